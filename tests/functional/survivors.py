"""Processes that survive a `kill -9` of the supervisor, and some that are hard to find then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import psutil

from tests.functional.helpers import Run, Runs, code, shell
from tests.inside import CELERY, GUNICORN, free_port
from tests.running import gone

ROOT = os.geteuid() == 0

# Processes that the end of their parent does not reach: in their own session, as another user,
# without an environment. Each prints "here" once everything is running.
SHELL = shell(
    "setsid sleep 1000 & sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) "
    "; env -i sleep 1000 & echo here; sleep 1000; true"
)
DAEMON = code(
    """
    def daemon():
        os.setsid()
        beget(lambda: print("here") or forever())

    os.waitpid(beget(daemon), 0)
    forever()
    """
)
OTHER_USER = shell(
    ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", "sleep 1000 & echo here; wait"]
)
# Another user may be unable to import modules later, or to write a schedule file.
PRELOAD = {"PRELOAD": ["celery.beat"]}
IN_MEMORY = {"scheduler": "celery.beat:Scheduler"}


def gunicorn(user: Mapping[str, str]) -> dict[str, Any]:
    bind = f"127.0.0.1:{free_port()}"
    return {"BACKEND": GUNICORN, "ARGS": {"bind": bind, "workers": 2, **user}}


def celery(user: Mapping[str, str]) -> dict[str, Any]:
    args = {"concurrency": 1, "beat": None, "loglevel": "info", **IN_MEMORY, **user}
    return {"BACKEND": CELERY, "APP": "workers", "ARGS": args}


def survivors(run: Run, runs: Runs, within: float) -> list[str]:
    """The processes that still exist `within` seconds after the supervisor was killed."""
    run.popen.wait()
    left = runs.left()
    psutil.wait_procs(left, timeout=within)
    # Look again, for processes started meanwhile. Zombies are for PID 1 to reap.
    return [named(one) for one in runs.left() if not gone(one.pid)]


def named(process: psutil.Process) -> str:
    try:
        return f"{' '.join(process.cmdline())} (pid {process.pid})"
    except psutil.Error:
        return f"pid {process.pid}"
