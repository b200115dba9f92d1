"""Make a function a task of the software under test."""

from __future__ import annotations

import inspect

import compat
from django.conf import settings
from django.utils.module_loading import import_string


def _celery(function):
    from celery import shared_task

    task = shared_task(function)
    return task, lambda *args: task.delay(*args)


def _django_tasks(function):
    task = import_string(compat.TASK_DECORATOR)()(function)
    return task, task.enqueue


def _huey(function):
    from huey.contrib.djhuey import task

    made = task()(function)
    return made, made


def _dramatiq(function):
    import dramatiq

    actor = dramatiq.actor(max_retries=0)(function)
    return actor, actor.send


def _procrastinate(function):
    from procrastinate.contrib.django import app

    names = [*inspect.signature(function).parameters]
    task = app.task(function)
    return task, lambda *args: task.defer(**dict(zip(names, args)))


def _rq(function):
    import django_rq

    return function, lambda *args: django_rq.get_queue("default").enqueue(function, *args)


def _django_q2(function):
    from django_q.tasks import async_task

    path = f"{function.__module__}.{function.__qualname__}"
    return function, lambda *args: async_task(path, *args)


SOFTWARE = {
    "celery": _celery,
    "django-tasks": _django_tasks,
    "huey": _huey,
    "dramatiq": _dramatiq,
    "procrastinate": _procrastinate,
    "rq": _rq,
    "django-q2": _django_q2,
}


def queued(function):
    """Return what the module must keep under the function's name, and what enqueues it."""
    if settings.TASKS_OF not in SOFTWARE:
        return function, None
    import workers  # noqa: F401 - Celery's app

    return SOFTWARE[settings.TASKS_OF](function)
