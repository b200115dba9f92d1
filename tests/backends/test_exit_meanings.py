"""Backends explain exit statuses as their software means them."""

from __future__ import annotations

import os

import pytest

from django_prodserver.backends.celery import CeleryWorker
from django_prodserver.backends.dramatiq import DramatiqWorker
from django_prodserver.backends.gunicorn import GunicornServer
from django_prodserver.backends.uvicorn import UvicornServer
from tests.inside import free_port
from tests.running import SHELL, Runs, Site

FAILS = """
    async def application(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no licence"})
"""


def test_the_explained_exit_statuses_match_those_of_the_software() -> None:
    gunicorn = pytest.importorskip("gunicorn.arbiter").Arbiter
    assert set(GunicornServer.exit_meanings) == {
        gunicorn.WORKER_BOOT_ERROR,
        gunicorn.APP_LOAD_ERROR,
    }
    assert set(UvicornServer.exit_meanings) == {
        pytest.importorskip("uvicorn.main").STARTUP_FAILURE,
    }
    assert set(CeleryWorker.exit_meanings) == {
        pytest.importorskip("celery.platforms").EX_FAILURE,
    }
    dramatiq = pytest.importorskip("dramatiq.cli")
    assert set(DramatiqWorker.exit_meanings) == {
        dramatiq.RET_KILLED,
        dramatiq.RET_IMPORT,
        dramatiq.RET_CONNECT,
    }


def test_a_failed_asgi_startup_is_explained_in_the_log(site: Site) -> None:
    web = {"BACKEND": "uvicorn", "ARGS": {"port": free_port()}}
    supervisor = {"SETTINGS": {"ASGI_APPLICATION": "failing.application"}}
    run = site({"web": web}, supervisor=supervisor, files={"failing.py": FAILS})

    assert run.end() == 3

    (meaning,) = UvicornServer.exit_meanings.values()
    assert any(f"exited with status 3 ({meaning})" in line for line in run.said("system"))


@pytest.mark.parametrize(
    ("args", "status", "meaning"),
    [
        ("no-such-program", 127, "the command was not found"),
        (os.devnull, 126, "the command cannot be executed"),
    ],
)
def test_a_command_that_a_shell_cannot_run_is_explained_in_the_log(
    start: Runs, args: str, status: int, meaning: str
) -> None:
    run = start({"web": {"BACKEND": SHELL, "ARGS": f"exec {args}"}})

    assert run.end() == status
    assert any(f"exited with status {status} ({meaning})" in line for line in run.said("system"))
