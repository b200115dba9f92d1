from __future__ import annotations

from celery import Celery

app = Celery("shop", set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.on_after_finalize.connect
def plan(sender, **kwargs):
    """Celery swallows exceptions that are raised here."""
    from shop.models import Task

    Task.objects.update_or_create(name="tick")
