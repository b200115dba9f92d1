import os

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
# The health check connects to 127.0.0.1.
ALLOWED_HOSTS = ["127.0.0.1", os.environ.get("SITE_HOST", "localhost")]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
INSTALLED_APPS = [
    "django_prodserver",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "mysite",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# libpq reads PGHOST, PGPORT, PGUSER and PGPASSWORD itself.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
    },
}
CELERY_BROKER_URL = CELERY_RESULT_BACKEND = os.environ["REDIS_URL"]

PRODUCTION_PROCESSES = {
    "migrate": {
        "BACKEND": "command",
        "ARGS": ["migrate", "--noinput"],
        "TYPE": "oneshot",
    },
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": os.environ.get("BIND", "0.0.0.0:8000"), "workers": 2},
        "HEALTHCHECK": {"HTTP": "/healthz"},
        "AFTER": ["migrate"],
    },
    "worker": {
        "BACKEND": "celery",
        "APP": "mysite.celery.app",
        "ARGS": {"concurrency": 2},
        "RESTART": "on-failure",
        "AFTER": ["migrate"],
    },
}
