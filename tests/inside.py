"""The command called inside the test process: for runs that end before anything is started."""

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
    """Not through DJANGO_SETTINGS_MODULE, which processes that tests start would inherit."""
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
    """An entry that needs nothing, and that tests in this process do not start."""
    return {"BACKEND": SHELL, "ARGS": ["sleep", "1000"], **entry}


@contextmanager
def configured(processes: Any, supervisor: Any = NOT_SET, **others: Any) -> Iterator[None]:
    """Override these settings; NOT_SET removes one."""
    given = {"PRODUCTION_PROCESSES": processes, "PRODUCTION_SUPERVISOR": supervisor}
    others.update({key: value for key, value in given.items() if value is not NOT_SET})
    with override_settings(**others):
        yield


def prodserver(processes: Any, *args: str, supervisor: Any = NOT_SET, **others: Any) -> str:
    """The output of `manage.py prodserver` with these arguments."""
    out = io.StringIO()
    with configured(processes, supervisor, **others):
        call_command("prodserver", *args, stdout=out)
    return out.getvalue()


def without_threads(said: str) -> str:
    """The advice without W008: pytest-xdist has a thread in each test process."""
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if "(prodserver.W008)" not in line)


def refused(processes: Any, *args: str, supervisor: Any = NOT_SET, **others: Any) -> list[str]:
    """The lines of the error that stops the command; the default argument is `--all`."""
    with pytest.raises(CommandError) as error:
        prodserver(processes, *(args or ("--all",)), supervisor=supervisor, **others)
    return str(error.value).splitlines()


def free_port() -> int:
    """A port at 127.0.0.1 that is free, and that no other test chooses."""
    for port in _ports:
        with socket.socket() as probe:
            # Servers do the same: lingering connections of an earlier server do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a cycle has no end")


def free_ports(number: int) -> list[int]:
    """Several free ports, all different."""
    return [free_port() for _ in range(number)]


def _own_ports() -> Iterator[int]:
    """The ports of this process: no other process of pytest-xdist has them.

    They are below the kernel's range for outgoing connections (ip_local_port_range in ip(7)): a
    port in that range might be taken before the server binds it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10
    first = 10_000 + 2_000 * worker
    # Another run of the tests may be active at the same time.
    start = os.getpid() % 2_000
    return itertools.cycle(first + (start + n) % 2_000 for n in range(2_000))


_ports = _own_ports()


@contextmanager
def listener(path: Optional[str] = None, shared: bool = False) -> Iterator[str]:
    """A socket that already listens; yields its address, as gunicorn writes it."""
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as taken:
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(path or ("127.0.0.1", 0))
        taken.listen()
        yield f"unix:{path}" if path else "{}:{}".format(*taken.getsockname())
