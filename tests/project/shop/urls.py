from __future__ import annotations

from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path
from django.utils.translation import gettext

WELCOME = gettext("Welcome")


def page(request):
    return HttpResponse(f"{WELCOME} {static('shop.css')}")


urlpatterns = [path("", page)]
