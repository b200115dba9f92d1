"""A project with everything that the backends run; the test sets its processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import compat

BASE_DIR = Path(__file__).parent

_production = json.loads(Path(os.environ["PRODSERVER_TEST_PRODUCTION"]).read_text())

SECRET_KEY = "for tests"
DEBUG = True
ALLOWED_HOSTS = ["*"]
# What a test adds for the software that it runs.
_added = _production["supervisor"].pop("SETTINGS", {})
INSTALLED_APPS = [
    *_added.pop("FIRST_APPS", []),
    "django_prodserver",
    "jobs",
    *compat.TASKS_APPS,
    *_added.pop("INSTALLED_APPS", []),
]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = _production["supervisor"].pop("WSGI_APPLICATION", "wsgi.application")
if "ASGI_APPLICATION" in _production["supervisor"]:
    ASGI_APPLICATION = _production["supervisor"].pop("ASGI_APPLICATION")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "db.sqlite3",
        "OPTIONS": compat.SQLITE_OPTIONS,
    }
}
if "DATABASES" in _added and "mysql" in _added["DATABASES"]["default"]["ENGINE"]:
    # Instead of mysqlclient, which has to be compiled: Django checks for this version of it.
    import pymysql

    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TASKS = {"default": {"BACKEND": compat.TASKS_BACKEND, "QUEUES": ["default", "mail"]}}

PRODUCTION_PROCESSES = _production["processes"]
PRODUCTION_SUPERVISOR = _production["supervisor"]

(BASE_DIR / "messages").mkdir(exist_ok=True)
CELERY_BROKER_URL = os.environ.get("BROKER", "filesystem://localhost")
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
    "data_folder_in": str(BASE_DIR / "messages"),
    "data_folder_out": str(BASE_DIR / "messages"),
    "control_folder": str(BASE_DIR / "control"),
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_BEAT_SCHEDULE_FILENAME = str(BASE_DIR / "schedule")
CELERY_BEAT_SCHEDULE = {"tick": {"task": "jobs.tasks.hello", "schedule": 3600}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {"celery.beat": {"level": "DEBUG"}},
}

globals().update(_added)
