"""Put tasks into queues; `later` ones are due in an hour."""

from __future__ import annotations

import datetime

HOUR = datetime.timedelta(hours=1)


def celery(dated, *tasks):
    """Each is a name in jobs.tasks, its arguments, and options of apply_async."""
    from jobs import tasks as known
    from workers import app

    from django_prodserver.backends.celery import CeleryWorker

    app.finalize()
    if dated:
        CeleryWorker(APP="workers.app").preload()
    for name, args, options in tasks:
        getattr(known, name).apply_async(args, **options)


def django_tasks(queue, *names):
    from jobs.tasks import django_hold

    for name in names:
        django_hold.using(queue_name=queue).enqueue(name)


def django_tasks_later(queue, *names):
    from django.utils import timezone
    from jobs.tasks import django_hold

    for name in names:
        django_hold.using(queue_name=queue, run_after=timezone.now() + HOUR).enqueue(name)


def rq_later(queue, *names):
    import django_rq
    from jobs.hold import hold

    for name in names:
        django_rq.get_queue(queue).enqueue_in(HOUR, hold, name)


def huey_later(*names):
    from huey_jobs.tasks import hold

    for name in names:
        hold.schedule((name,), delay=HOUR.total_seconds())


def dramatiq_later(*names):
    from dramatiq_jobs.tasks import hold

    for name in names:
        hold.send_with_options(args=(name,), delay=int(HOUR.total_seconds() * 1000))


def procrastinate(*jobs):
    """Each is the name of the job to hold, and options of configure_task."""
    from procrastinate.contrib.django import app

    for name, options in jobs:
        app.configure_task("procrastinate_jobs.hold", **options).defer(name=name)
