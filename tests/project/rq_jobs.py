"""Jobs of RQ, its scheduler and django-q2, and what enqueues them for RQ."""

from __future__ import annotations

import datetime
import os

from jobs.hold import hold, say


def hello():
    say(f"hello from {os.environ['PRODSERVER_INSTANCE']}")


def enqueue(*jobs):
    """Put jobs into RQ: each is a queue, the name of a function here, and its arguments."""
    import django_rq

    for queue, name, *args in jobs:
        django_rq.get_queue(queue).enqueue(globals()[name], *args)


def schedule(*jobs):
    """The same for rq-scheduler; they are due at once."""
    import django_rq

    for queue, name, *args in jobs:
        scheduler = django_rq.get_scheduler(queue)
        scheduler.enqueue_at(datetime.datetime.now(datetime.timezone.utc), globals()[name], *args)


__all__ = ["enqueue", "hello", "hold", "schedule"]
