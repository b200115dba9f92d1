"""The Celery app."""

from __future__ import annotations

import os

import billiard.common  # noqa: F401 - as projects do that use its locks
from celery import Celery
from celery.signals import setup_logging
from kombu import Exchange, Queue

app = Celery("workers", set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
if "TOPIC" in os.environ:
    feeds = Exchange("feeds", type="topic")
    app.conf.task_queues = [Queue("celery"), Queue("feeds", feeds, os.environ["TOPIC"])]


@setup_logging.connect
def keep_django_logging(**kwargs):
    """Without a receiver Celery would replace the handlers of settings.LOGGING."""
