"""The same project with the commands of startup.py, for django-prodserver."""

from __future__ import annotations

import os

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "django_prodserver"]

PRODUCTION_PROCESSES = {
    "gunicorn": {
        "BACKEND": "django_prodserver.backends.gunicorn.GunicornServer",
        "ARGS": {"bind": f"127.0.0.1:{os.environ['BENCH_GUNICORN_PORT']}", "workers": 2},
    },
    "uvicorn": {
        "BACKEND": "django_prodserver.backends.uvicorn.UvicornServer",
        "ARGS": {"host": "127.0.0.1", "port": int(os.environ["BENCH_UVICORN_PORT"])},
    },
    "waitress": {
        "BACKEND": "django_prodserver.backends.waitress.WaitressServer",
        "ARGS": {"listen": f"127.0.0.1:{os.environ['BENCH_WAITRESS_PORT']}"},
    },
    "celery": {
        "BACKEND": "django_prodserver.backends.celery.CeleryWorker",
        "APP": "project.celery.app",
        "ARGS": {"concurrency": 2, "loglevel": "INFO"},
    },
    "beat": {
        "BACKEND": "django_prodserver.backends.celery.CeleryBeat",
        "APP": "project.celery.app",
        "ARGS": {"loglevel": "INFO"},
    },
    "db_worker": {
        "BACKEND": "django_prodserver.backends.django_tasks.DjangoTasksWorker",
    },
}
