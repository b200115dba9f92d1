"""A project with one process, which uses the backend of this package."""

from __future__ import annotations

import os

from django.http import HttpResponse
from django.urls import path

SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django_prodserver"]
ROOT_URLCONF = __name__
urlpatterns = [path("", lambda request: HttpResponse("served"))]

PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "wsgiref", "ARGS": os.environ.get("ADDRESS", "127.0.0.1:8000")},
}
