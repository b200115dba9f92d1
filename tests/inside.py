"""The command called inside the test process: for what ends before anything is started."""

from __future__ import annotations

import io
import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import django
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import override_settings

from tests import settings as defaults


def configure_django() -> None:
    """Not through DJANGO_SETTINGS_MODULE, which the processes that tests start would inherit."""
    if not settings.configured:
        given = {key: getattr(defaults, key) for key in dir(defaults) if key.isupper()}
        settings.configure(**given)
        django.setup()


configure_django()

GUNICORN = "django_prodserver.backends.gunicorn.GunicornServer"
UVICORN = "django_prodserver.backends.uvicorn.UvicornServer"
UVICORN_WSGI = "django_prodserver.backends.uvicorn.UvicornWSGIServer"
WAITRESS = "django_prodserver.backends.waitress.WaitressServer"
CELERY = "django_prodserver.backends.celery.CeleryWorker"
BEAT = "django_prodserver.backends.celery.CeleryBeat"
DJANGO_TASKS = "django_prodserver.backends.django_tasks.DjangoTasksWorker"
COMMAND = "django_prodserver.backends.command.ManagementCommand"
SHELL = "django_prodserver.backends.command.ShellCommand"

NOT_SET: Any = object()


def sleeper(**entry: Any) -> dict[str, Any]:
    """An entry that needs nothing, and that no test here starts."""
    return {"BACKEND": SHELL, "ARGS": ["sleep", "1000"], **entry}


@contextmanager
def configured(processes: Any, supervisor: Any = NOT_SET, **others: Any) -> Iterator[None]:
    """With these settings; NOT_SET takes one away."""
    given = {"PRODUCTION_PROCESSES": processes, "PRODUCTION_SUPERVISOR": supervisor}
    others.update({key: value for key, value in given.items() if value is not NOT_SET})
    with override_settings(**others):
        yield


def prodserver(processes: Any, *args: str, supervisor: Any = NOT_SET, **others: Any) -> str:
    """What `manage.py prodserver` with these arguments prints."""
    out = io.StringIO()
    with configured(processes, supervisor, **others):
        call_command("prodserver", *args, stdout=out)
    return out.getvalue()


def without_threads(said: str) -> str:
    """What was advised, but for W008: pytest-xdist has a thread in the processes of its tests."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if "(prodserver.W008)" not in line)


def refused(processes: Any, *args: str, supervisor: Any = NOT_SET, **others: Any) -> list[str]:
    """The lines with which it ends instead of starting anything; `--all` without arguments."""
    with pytest.raises(CommandError) as error:
        prodserver(processes, *(args or ("--all",)), supervisor=supervisor, **others)
    return str(error.value).splitlines()


def free_port() -> int:
    """A port at 127.0.0.1 that nobody uses, and that nobody else of these tests will choose."""
    for port in _ports:
        with socket.socket() as probe:
            # As servers do: connections of a former one that linger are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a cycle has no end")


def free_ports(number: int) -> list[int]:
    """So many of them, none twice."""
    return [free_port() for _ in range(number)]


def _own_ports() -> Iterator[int]:
    """Those of this process: none that another process of pytest-xdist has.

    Below those that the kernel gives to whoever connects (ip_local_port_range in ip(7)): one of
    these may be taken before the server has it that it was chosen for.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10
    first = 10_000 + 2_000 * worker
    # Other tests may run at the same time.
    start = os.getpid() % 2_000
    return itertools.cycle(first + (start + n) % 2_000 for n in range(2_000))


_ports = _own_ports()


@contextmanager
def listener(path: Optional[str] = None, shared: bool = False) -> Iterator[str]:
    """Somebody who listens already; gives the address, as gunicorn writes it."""
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(path or ("127.0.0.1", 0))
        taken.listen()
        yield f"unix:{path}" if path else "{}:{}".format(*taken.getsockname())
