"""The views of the test project; `hold` keeps a request in flight."""

from __future__ import annotations

import asyncio
import os
import sys

from django.http import HttpResponse
from django.urls import path


def index(request):
    return HttpResponse(f"served by {os.getpid()}")


def interface(request):
    """`ASGIRequest` or `WSGIRequest`."""
    return HttpResponse(type(request).__name__)


def healthy(request):
    os.write(1, b"asked how it is\n")
    return HttpResponse("well")


def large(request):
    return HttpResponse(b"x" * 50_000_000)


def argv(request):
    return HttpResponse(" ".join(sys.argv))


def hold(request, name):
    from jobs.hold import hold

    hold(name)
    return HttpResponse(f"{name} held")


def answer(request, token):
    from pooled.database import answer

    return HttpResponse(answer(token))


def report(request, token):
    from lively.everything import report

    return HttpResponse(report(token))


async def forever(request):
    os.write(1, b"forever\n")
    await asyncio.Event().wait()


urlpatterns = [
    path("", index),
    path("interface", interface),
    path("healthy", healthy),
    path("large", large),
    path("argv", argv),
    path("hold/<name>", hold),
    path("forever", forever),
    path("answer/<token>", answer),
    path("report/<token>", report),
]
