"""Order, health and restarts, with real servers and workers."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.functional.helpers import Run
from tests.inside import CELERY, COMMAND, DJANGO_TASKS, GUNICORN, free_port
from tests.running import Request, Site, get, wait_for_all

pytestmark = pytest.mark.timeout(90)


def gunicorn(port: int, **entry: Any) -> dict[str, Any]:
    return {"BACKEND": GUNICORN, "ARGS": {"bind": f"127.0.0.1:{port}"}, **entry}


def pid_of(run: Run, instance: str) -> int:
    """Wait until it is ready."""
    return int(run.wait_for("system", rf"^{instance} ready after .* \(pid (\d+)\)")[1])


def test_gunicorn_is_started_once_the_migrations_are_done(site: Site) -> None:
    port = free_port()
    migrate = {"BACKEND": COMMAND, "ARGS": ["migrate", "--noinput"], "TYPE": "oneshot"}
    run = site({"web": gunicorn(port, AFTER=["migrate"]), "migrate": migrate})
    run.wait_for("system", r"^all 2 ready")

    assert get(port).startswith("served by ")
    names = [line.name for line in run.lines]
    last_migration = max(i for i, name in enumerate(names) if name == "migrate.1")
    assert names.index("web.1") > last_migration
    finished = next(i for i, text in enumerate(run.said("system")) if "migrate.1 finished" in text)
    assert "web.1 ready" in run.said("system")[finished + 1]
    assert run.end(signal.SIGTERM) == 0


def test_a_failed_migration_keeps_gunicorn_from_being_started(site: Site) -> None:
    migrate = {"BACKEND": COMMAND, "ARGS": ["migrate", "nothing"], "TYPE": "oneshot"}
    run = site({"web": gunicorn(free_port(), AFTER=["migrate"]), "migrate": migrate})

    assert run.end() == 1
    assert run.said("web.1") == []
    assert any("migrate.1 exited with status 1" in text for text in run.said("system"))


def test_a_worker_that_crashes_is_restarted_while_gunicorn_answers_until_it_is_too_often(
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
    run = site({"web": gunicorn(port), "worker": worker})
    served_by = None
    for restarts in range(3):
        crashed = pid_of(run, r"worker\.1")
        if served_by is None and not any("web.1 ready" in text for text in run.said("system")):
            run.wait_for("system", r"^web\.1 ready")
        run.kill(crashed, signal.SIGKILL)
        so_far = ("", ", restarted once so far", ", restarted 2 times so far")[restarts]
        end = r"; restarting in 0\.\d\d s" if restarts < 2 else ""
        line = rf"^worker\.1 was killed by SIGKILL from outside after [\d.]+ s{so_far}{end}$"
        run.wait_for("system", line)
        if restarts < 2:
            answer = get(port)
            assert answer == (served_by or answer)
            served_by = answer
    run.wait_for("system", r"^worker\.1 failed for good: 3 starts in 300 s, its")

    assert run.end() == 128 + signal.SIGKILL


def test_a_gunicorn_that_hangs_is_replaced(site: Site) -> None:
    port = free_port()
    site.hold("slow")
    web = gunicorn(
        port,
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0.1},
        STOP_TIMEOUT=3,
        HEALTHCHECK={"HTTP": "/", "INTERVAL": 0.2, "TIMEOUT": 0.5, "RETRIES": 2},
    )
    run = site({"web": web})
    first = pid_of(run, r"web\.1")

    with Request(port, "/hold/slow"):  # Its one worker has nothing else to do from here on.
        run.wait_for("web.1", "slow in hand")
        run.wait_for("system", r"^web\.1 failed a health check \(1 of 2\): no answer within 0.5 s")
        run.wait_for("system", r"^web\.1 is unhealthy: no answer within 0.5 s, 2 times in a row; ")
        run.wait_for("system", r"^web\.1 .*; restarting in 0\.\d+ s")

    assert pid_of(run, r"web\.1") != first
    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0


def test_a_task_of_a_celery_worker_that_is_killed_is_executed_again(site: Site, redis: str) -> None:
    # Redis gives a message to another worker when it was not acknowledged for a second.
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
    run = site({"worker": worker}, env=env)
    first = pid_of(run, r"worker\.1")
    run.wait_for("worker.1", "late in hand")
    run.kill(first, signal.SIGKILL)

    run.wait_for("system", r"^worker\.1 was killed by SIGKILL from outside .*; restarting in ")
    wait_for_all(run, ("system", r"^worker\.1 ready"), ("worker.1", "late in hand"))
    site.release("late")
    run.wait_for("worker.1", "late done")

    assert run.end(signal.SIGTERM) == 0
