"""Settings for tests that call the command inside the test process; see `tests/inside.py`."""

from __future__ import annotations

SECRET_KEY = "for tests"
INSTALLED_APPS = ["django_prodserver"]
ROOT_URLCONF = "tests.project.urls"
WSGI_APPLICATION = "tests.project.wsgi.application"
ASGI_APPLICATION = "tests.project.asgi.application"
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
