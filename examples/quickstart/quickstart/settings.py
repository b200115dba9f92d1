import os
from pathlib import Path

from . import compat

BASE_DIR = Path(__file__).resolve().parent.parent

# All state: the database, Celery's messages, beat's schedule.
VAR_DIR = Path(os.environ.get("QUICKSTART_VAR", BASE_DIR / "var")).resolve()
CELERY_QUEUE_DIR = VAR_DIR / "celery" / "queue"
CELERY_CONTROL_DIR = VAR_DIR / "celery" / "control"
for folder in (CELERY_QUEUE_DIR, CELERY_CONTROL_DIR):
    folder.mkdir(parents=True, exist_ok=True)

DEBUG = os.environ.get("QUICKSTART_DEBUG") == "1"
SECRET_KEY = os.environ.get("SECRET_KEY", "django-insecure-key-for-development-only")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "django_prodserver",
    "demo",
    *compat.TASKS_APPS,
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
    },
]
ROOT_URLCONF = "quickstart.urls"
WSGI_APPLICATION = "quickstart.wsgi.application"
ASGI_APPLICATION = "quickstart.asgi.application"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR_DIR / "db.sqlite3",
        "OPTIONS": compat.SQLITE_OPTIONS,
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# The processes -----------------------------------------------------------------------

PRODUCTION_PROCESSES = {
    "migrate": {
        "BACKEND": "command",
        "ARGS": ["migrate", "--verbosity=0"],
        "TYPE": "oneshot",
    },
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {
            "bind": os.environ.get("QUICKSTART_BIND", "127.0.0.1:8000"),
            "workers": 2,
        },
        "AFTER": ["migrate"],
    },
    "worker": {
        "BACKEND": "celery",
        "APP": "quickstart.celery.app",
        "ARGS": {"concurrency": 2},
        "AFTER": ["migrate"],
    },
    "beat": {
        "BACKEND": "celery-beat",
        "APP": "quickstart.celery.app",
        "AFTER": ["migrate"],
    },
    "tasks": {
        "BACKEND": "django-tasks",
        "AFTER": ["migrate"],
    },
}

# Celery: messages are files, so that no broker has to be installed ----------------------

CELERY_BROKER_URL = "filesystem://localhost"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(CELERY_QUEUE_DIR),
    "data_folder_out": str(CELERY_QUEUE_DIR),
    "control_folder": str(CELERY_CONTROL_DIR),
}
CELERY_TASK_IGNORE_RESULT = True  # the tasks write their results into demo.models.Result
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "heartbeat": {
        "task": "demo.tasks.heartbeat",
        "schedule": 10,
        "options": {"expires": 10},
    },
}

# django-tasks: messages are rows of the database ----------------------------------------

TASKS = {"default": {"BACKEND": compat.TASKS_BACKEND}}

# No time and no process name here: the supervisor adds both before every line.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "line",
        },
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
}
