"""What the tools of each task queue report: ready tasks, and running ones where they do."""

from __future__ import annotations

import re
import subprocess
import sys


def nothing():
    return None


def celery():
    """`celery inspect`: the numbers of active, reserved and scheduled tasks, by node."""
    from workers import app

    inspect = app.control.inspect()
    return [
        {node: len(tasks) for node, tasks in (answer() or {}).items()}
        for answer in (inspect.active, inspect.reserved, inspect.scheduled)
    ]


def django_tasks(queue):
    from django.apps import apps

    (model,) = (m for m in apps.get_models() if m.__name__ == "DBTaskResult")
    tasks = model.objects.filter(queue_name=queue)
    return [tasks.ready().count(), tasks.running().count()]


def rq(address, *queues):
    """`rq info`: `queue default 3, 1 executing, ...`."""
    command = [sys.executable, "-m", "rq.cli", "info", "--raw", "--url", address, *queues]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    counts = re.findall(r"^queue \S+ (\d+), (\d+) executing", said, re.MULTILINE)
    assert len(counts) == len(queues), said
    return [sum(map(int, column)) for column in zip(*counts)]


def huey():
    import huey_jobs.tasks  # noqa: F401
    from huey.contrib.djhuey import HUEY

    return [sum(task.eta is None for task in HUEY.pending()), HUEY.scheduled_count()]


def dramatiq(queue):
    import dramatiq

    client = dramatiq.get_broker().client
    taken = sum(client.scard(key) for key in client.keys(f"dramatiq:__acks__.*.{queue}"))
    return [client.llen(f"dramatiq:{queue}"), taken]


def django_q2():
    """What `manage.py qinfo` shows."""
    from django_q.brokers import get_broker

    broker = get_broker()
    return [broker.queue_size(), broker.lock_size()]


def procrastinate(queue):
    """The jobs in each state, delayed ones included."""
    from procrastinate.contrib.django import app

    (found,) = app.job_manager.list_queues(queue=queue)
    return [found["todo"], found["doing"]]
