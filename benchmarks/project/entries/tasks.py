from __future__ import annotations

from celery import shared_task

from entries.models import Entry


@shared_task(ignore_result=True)
def count() -> None:
    Entry.objects.count()
