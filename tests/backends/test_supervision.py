"""Order, health and restarts, with real servers and workers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from django_prodserver.test import Run
from tests.inside import CELERY, COMMAND, DJANGO_TASKS, GUNICORN, free_port
from tests.peers import Request, get
from tests.running import Site


def gunicorn(port: int, **entry: Any) -> dict[str, Any]:
    return {"BACKEND": GUNICORN, "ARGS": {"bind": f"127.0.0.1:{port}"}, **entry}


def pid_of(run: Run, instance: str) -> int:
    """Wait until the instance is ready, for the first time or again; return its PID."""
    return int(run.wait_for("system", rf"^{instance} ready after .* \(pid (\d+)\)")[1])


def test_gunicorn_is_started_once_the_migrations_are_done(site: Site) -> None:
    port = free_port()
    migrate = {"BACKEND": COMMAND, "ARGS": ["migrate", "--noinput"], "TYPE": "oneshot"}
    with site.running({"web": gunicorn(port, AFTER=["migrate"]), "migrate": migrate}) as run:
        assert get(port).startswith("served by ")
        names = [line.name for line in run.lines]
        last_migration = max(i for i, name in enumerate(names) if name == "migrate.1")
        assert names.index("web.1") > last_migration
        system = run.said("system")
        finished = next(i for i, text in enumerate(system) if "migrate.1 finished" in text)
        assert "web.1 ready" in system[finished + 1]
        assert run.stop() == 0


def test_a_failed_migration_keeps_gunicorn_from_being_started(site: Site) -> None:
    migrate = {"BACKEND": COMMAND, "ARGS": ["migrate", "nothing"], "TYPE": "oneshot"}
    processes = {"web": gunicorn(free_port(), AFTER=["migrate"]), "migrate": migrate}

    refused = pytest.raises(AssertionError, match="ended with status 1")
    with refused as failure, site.running(processes):
        pass

    assert "migrate.1 exited with status 1" in str(failure.value)
    assert "\nweb.1 " not in str(failure.value)


def test_a_crashing_worker_is_restarted_up_to_its_limit_while_gunicorn_serves(
    site: Site,
) -> None:
    port = free_port()
    site.send()
    worker = {
        "BACKEND": DJANGO_TASKS,
        "RESTART": "on-failure",
        "BACKOFF": {"INITIAL": 0.1, "MAX": 0.2},
        "START_LIMIT": {"BURST": 3, "INTERVAL": 300},
    }
    with site.running({"web": gunicorn(port), "worker": worker}) as run:
        served_by = get(port)
        for restarts in range(3):
            os.kill(pid_of(run, r"worker\.1"), signal.SIGKILL)
            so_far = ("", ", restarted once so far", ", restarted 2 times so far")[restarts]
            end = r"; restarting in 0\.\d\d s" if restarts < 2 else ""
            killed = r"^worker\.1 was killed by SIGKILL \(not sent by prodserver\)"
            run.wait_for("system", rf"{killed} after [\d.]+ s{so_far}{end}$")
            if restarts < 2:
                assert get(port) == served_by
        run.wait_for("system", r"^giving up on worker\.1: 3 starts in 300 s")

        assert run.wait() == 128 + signal.SIGKILL


def test_a_hung_gunicorn_becomes_unhealthy_and_is_restarted(site: Site) -> None:
    port = free_port()
    site.hold("slow")
    web = gunicorn(
        port,
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0.1},
        STOP_TIMEOUT=3,
        HEALTHCHECK={"HTTP": "/", "INTERVAL": 0.2, "TIMEOUT": 0.5, "RETRIES": 2},
    )
    with site.running({"web": web}) as run:
        first = pid_of(run, r"web\.1")

        with Request(port, "/hold/slow"):  # From here on its only worker is busy.
            run.wait_for("web.1", "slow in progress")
            run.wait_for(
                "system", r"^web\.1 failed a health check \(1 of 2\): no answer within 0.5"
            )
            run.wait_for(
                "system", r"^web\.1 is unhealthy: no answer within 0.5 s, 2 times in a row; "
            )
            run.wait_for("system", r"^web\.1 .*; restarting in 0\.\d+ s")

        assert pid_of(run, r"web\.1") != first
        assert get(port).startswith("served by ")
        assert run.stop() == 0


def test_the_task_of_a_killed_celery_worker_is_executed_again(site: Site, redis: str) -> None:
    # With Redis, a message that is not acknowledged within a second goes to another worker.
    env = {"BROKER": redis, "VISIBILITY_TIMEOUT": "1"}
    site.hold("late")
    site.send(("hold_late", ["late"], "celery"), env=env)
    worker = {
        "BACKEND": CELERY,
        "APP": "workers",
        "ARGS": {"concurrency": 1, "loglevel": "info"},
        "RESTART": "on-failure",
        "BACKOFF": {"INITIAL": 1.5},
    }
    with site.running({"worker": worker}, env=env) as run:
        first = pid_of(run, r"worker\.1")
        run.wait_for("worker.1", "late in progress")
        os.kill(first, signal.SIGKILL)

        run.wait_for(
            "system",
            r"^worker\.1 was killed by SIGKILL \(not sent by prodserver\) .*; restarting in ",
        )
        run.wait_for("system", r"^worker\.1 ready")
        run.wait_for("worker.1", "late in progress")
        site.release("late")
        run.wait_for("worker.1", "late done")

        assert run.stop() == 0
