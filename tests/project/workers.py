"""The Celery app."""

from __future__ import annotations

import billiard.common  # noqa: F401 - as projects do that use its locks
from celery import Celery
from celery.signals import setup_logging

app = Celery("workers", set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**kwargs):
    """Without a receiver Celery would replace the handlers of settings.LOGGING."""
