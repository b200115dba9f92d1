"""Settings for tests that call the command inside the test process; see `tests/inside.py`."""

from __future__ import annotations

import runpy
from pathlib import Path

SECRET_KEY = "for tests"
INSTALLED_APPS = ["django_prodserver"]
ROOT_URLCONF = "tests.project.urls"
WSGI_APPLICATION = "tests.project.wsgi.application"
ASGI_APPLICATION = "tests.project.asgi.application"
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
# Read once, when the app is imported: django-q2 warns of its own defaults, and the default broker
# of django-dramatiq is not installed.
Q_CLUSTER = {"orm": "default", "timeout": 60, "retry": 120}
DRAMATIQ_BROKER = {"BROKER": "dramatiq.brokers.stub.StubBroker"}

# The differences between releases of django-tasks. They are not imported: the package makes a
# Celery app, and sets DJANGO_SETTINGS_MODULE for every process that is started later.
_quickstart = Path(__file__).parent.parent / "examples" / "quickstart" / "quickstart"
_compat = runpy.run_path(str(_quickstart / "compat.py"))
TASKS_APPS, TASKS_BACKEND = _compat["TASKS_APPS"], _compat["TASKS_BACKEND"]
