import os

from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from demo import tasks
from demo.models import Result


@require_safe
def index(request):
    return render(request, "demo/index.html", overview())


@require_safe
def results(request):
    return JsonResponse(overview())


@require_safe
def healthz(request):
    return HttpResponse("ok", content_type="text/plain")


@require_POST
def queue_celery(request):
    tasks.queue_celery()
    return redirect("index")


@require_POST
def queue_django_tasks(request):
    tasks.queue_django_tasks()
    return redirect("index")


def overview():
    beats = Result.objects.filter(queue=Result.Queue.BEAT)
    others = Result.objects.exclude(queue=Result.Queue.BEAT)
    return {
        "served_by": os.getpid(),
        "heartbeat": beats.values().first(),
        "results": list(others.values()[:20]),
    }
