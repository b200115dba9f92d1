"""`manage.py devserver` is `runserver`."""

from __future__ import annotations

import signal

from django.core.management import load_command_class
from django.core.management.commands import runserver

from tests.inside import free_port
from tests.peers import get
from tests.running import Site


def test_devserver_is_the_runserver_of_the_project() -> None:
    assert isinstance(load_command_class("django_prodserver", "devserver"), runserver.Command)


def test_devserver_answers_until_ctrl_c(site: Site) -> None:
    port = free_port()
    program = ("-W", "ignore", "-u", "manage.py", "devserver")
    run = site({}, f"127.0.0.1:{port}", "--noreload", "--skip-checks", program=program)

    run.wait_for("", "Quit the server with CONTROL-C")

    assert get(port) == f"served by {run.pid}"
    assert run.end(signal.SIGINT) == 0
