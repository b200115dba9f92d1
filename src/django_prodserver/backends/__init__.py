"""A class for each kind of software. Importing a backend does not import its software."""

from __future__ import annotations

# Class paths by short name, in the order of the reference.
BUILT_IN = {
    name: f"django_prodserver.backends.{path}"
    for name, path in {
        "gunicorn": "gunicorn.GunicornServer",
        "gunicorn-asgi": "gunicorn.GunicornASGIServer",
        "uvicorn": "uvicorn.UvicornServer",
        "uvicorn-wsgi": "uvicorn.UvicornWSGIServer",
        "granian": "granian.GranianASGIServer",
        "granian-wsgi": "granian.GranianWSGIServer",
        "hypercorn": "hypercorn.HypercornServer",
        "hypercorn-wsgi": "hypercorn.HypercornWSGIServer",
        "daphne": "daphne.DaphneServer",
        "waitress": "waitress.WaitressServer",
        "uwsgi": "uwsgi.UwsgiServer",
        "celery": "celery.CeleryWorker",
        "celery-beat": "celery.CeleryBeat",
        "celery-flower": "celery.CeleryFlower",
        "rq": "rq.RQWorker",
        "rq-scheduler": "rq.RQScheduler",
        "dramatiq": "dramatiq.DramatiqWorker",
        "huey": "huey.HueyWorker",
        "django-q2": "django_q2.DjangoQ2Worker",
        "procrastinate": "procrastinate.ProcrastinateWorker",
        "django-tasks": "django_tasks.DjangoTasksWorker",
        "wait-for": "wait_for.WaitFor",
        "migrate": "migrate.Migrate",
        "runserver": "runserver.Runserver",
        "command": "command.ManagementCommand",
        "shell": "command.ShellCommand",
    }.items()
}
