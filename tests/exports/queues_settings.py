"""A project whose work is done by RQ, huey and a shell."""

from __future__ import annotations

SECRET_KEY = "exported only"
INSTALLED_APPS = ["django_prodserver", "django_rq", "huey.contrib.djhuey"]
WSGI_APPLICATION = "tests.project.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
RQ_QUEUES = {"default": {"HOST": "127.0.0.1", "PORT": 1}}
HUEY = {"huey_class": "huey.RedisHuey", "immediate": False}
PRODUCTION_PROCESSES = {
    "web": {"BACKEND": "gunicorn", "ARGS": {"bind": "unix:/run/site/web.sock"}},
    "rq": {"BACKEND": "rq", "ARGS": ["default"], "REPLICAS": 3, "STOP_TIMEOUT": 600},
    "Huey_1": {"BACKEND": "huey", "RESTART": "always"},
    "echo": {"BACKEND": "shell", "ARGS": "echo $HOME; exec sleep 1000", "STOP_SIGNAL": "SIGINT"},
    "beat": {"BACKEND": "celery-beat", "APP": "workers", "ENABLED": False},
}
