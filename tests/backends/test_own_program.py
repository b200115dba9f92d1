"""Alone or spawned, servers and workers behave as under their own command.

The managing process does not import Django, so its workers import the project themselves. A
greenlet library patches Python before anything else, whatever the start method.
"""

from __future__ import annotations

import os
import signal
import time
from subprocess import STDOUT
from textwrap import dedent
from typing import Any

import pytest

from tests.inside import CELERY, GUNICORN, free_port
from tests.peers import get
from tests.rewriting import rewrite
from tests.running import Run, Site

ALONE, SPAWN, FORK = "alone", "spawn", "fork"
# Prints whether the arbiter has imported Django, and whose sockets the workers have.
CONFIG = """
    import sys

    def on_starting(server):
        print("the arbiter has Django:", "django" in sys.modules, flush=True)

    def post_worker_init(worker):
        import socket
        print("the worker's sockets:", socket.socket.__module__, flush=True)
"""
APPLICATION = """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"version %d"]
"""


def start(site: Site, how: str, entry: dict[str, Any], **kwargs: Any) -> tuple[Run, str]:
    """Start it as `web`; return also its name in the log."""
    if how == ALONE:
        return site({"web": entry}, "web", stderr=STDOUT, **kwargs), ""
    return site({"web": {**entry, "START_METHOD": how}}, stderr=STDOUT, **kwargs), "web.1"


def gunicorn(port: int, **args: Any) -> dict[str, Any]:
    args = {"bind": f"127.0.0.1:{port}", "config": "gunicorn_conf.py", **args}
    return {"BACKEND": GUNICORN, "ARGS": args}


@pytest.mark.parametrize("how", [ALONE, SPAWN])
def test_an_arbiter_does_not_import_django_and_loads_new_code_on_sighup(
    site: Site, how: str
) -> None:
    port = free_port()
    files = {"gunicorn_conf.py": CONFIG, "wsgi.py": APPLICATION % 1}
    run, name = start(site, how, gunicorn(port), files=files)
    run.wait_for_all((name, "the arbiter has Django: False"), (name, "the worker's sockets"))
    assert get(port) == "version 1"

    rewrite(site.project / "wsgi.py", dedent(APPLICATION % 2))
    arbiter = run.pid if how == ALONE else run.children()[0].pid
    os.kill(arbiter, signal.SIGHUP)
    run.wait_for(name, "the worker's sockets")
    while get(port) != "version 2":
        pass  # The old worker still answers some requests.

    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("how", [ALONE, SPAWN, FORK])
def test_gevent_patches_before_the_project_is_imported(site: Site, how: str) -> None:
    port = free_port()
    files = {"gunicorn_conf.py": CONFIG}
    run, name = start(site, how, gunicorn(port, **{"worker-class": "gevent"}), files=files)
    run.wait_for_all((name, "the worker's sockets: gevent"))
    assert get(port).startswith("served by ")

    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("how", [ALONE, SPAWN, FORK])
def test_six_tasks_run_concurrently_in_gevent_greenlets(site: Site, how: str) -> None:
    source = """
        import time

        from celery.signals import worker_ready
        from workers import app

        @app.task(name="sleepy.sleep")
        def sleep():
            time.sleep(1)

        @worker_ready.connect
        def send(**kwargs):
            for _ in range(6):
                sleep.delay()
    """
    args = {"pool": "gevent", "concurrency": 6, "loglevel": "info"}
    entry = {"BACKEND": CELERY, "APP": "sleepy.app", "ARGS": args}
    run, name = start(site, how, entry, files={"sleepy.py": source})
    run.wait_for(name, " ready.")

    began = time.monotonic()
    run.wait_for_all(*[(name, r"Task sleepy\.sleep\S* succeeded")] * 6)
    assert time.monotonic() - began < 4  # In sequence they take six.

    assert run.end(signal.SIGTERM) == 0


def test_a_forked_arbiter_logs_that_sighup_does_not_load_new_code(site: Site) -> None:
    run, name = start(site, FORK, gunicorn(free_port()), files={"gunicorn_conf.py": CONFIG})
    run.wait_for_all((name, "the arbiter has Django: True"), (name, "the worker's sockets"))

    os.kill(run.children()[0].pid, signal.SIGHUP)

    run.wait_for_all((name, "HUP does not load new code"), (name, "the worker's sockets"))
    assert run.end(signal.SIGTERM) == 0
