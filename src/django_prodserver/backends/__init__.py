"""A class for each kind of software; nothing here imports the software before it is asked to."""

from __future__ import annotations

BUILT_IN = (
    "django_prodserver.backends.gunicorn.GunicornServer",
    "django_prodserver.backends.uvicorn.UvicornServer",
    "django_prodserver.backends.uvicorn.UvicornWSGIServer",
    "django_prodserver.backends.waitress.WaitressServer",
    "django_prodserver.backends.celery.CeleryWorker",
    "django_prodserver.backends.celery.CeleryBeat",
    "django_prodserver.backends.django_tasks.DjangoTasksWorker",
    "django_prodserver.backends.command.ManagementCommand",
    "django_prodserver.backends.command.ShellCommand",
)
