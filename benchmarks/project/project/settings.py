"""A small but typical Django project, which the peers run.

Nothing here imports django-prodserver, so a peer does not pay for that. All files are written below
the folder that BENCH_FOLDER names.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(os.environ["BENCH_FOLDER"])

# Up to 0.11 django-tasks included its database backend; since then it is a separate package.
TASKS_APPS, TASKS_BACKEND = (
    (["django_tasks_db"], "django_tasks_db.DatabaseBackend")
    if find_spec("django_tasks_db")
    else (
        ["django_tasks", "django_tasks.backends.database"],
        "django_tasks.backends.database.DatabaseBackend",
    )
)

SECRET_KEY = "serves nobody but the benchmark on 127.0.0.1"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *TASKS_APPS,
    "entries",
]
if os.environ.get("BENCH_HEAVY"):
    # A project that is slow to import; see urls.py, too.
    INSTALLED_APPS += [
        "rest_framework",
        *(f"wagtail.contrib.{name}" for name in ("forms", "redirects", "settings")),
        *(f"wagtail.{name}" for name in ("embeds", "sites", "users", "snippets", "documents")),
        *("wagtail.images", "wagtail.search", "wagtail.admin", "wagtail", "modelcluster", "taggit"),
    ]
    WAGTAIL_SITE_NAME = "heavy"
    WAGTAILADMIN_BASE_URL = "http://127.0.0.1"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True

TASKS = {"default": {"BACKEND": TASKS_BACKEND}}

CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": FOLDER / "queue",
    "data_folder_out": FOLDER / "queue",
    "control_folder": FOLDER / "control",
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(FOLDER / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {"count": {"task": "entries.tasks.count", "schedule": 3600.0}}
