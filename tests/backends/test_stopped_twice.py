"""Repeated stop signals, as from a platform that signals every process.

Each process gets the signal twice. The supervisor gets it, too, and sends it once more.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests.inside import CELERY, DJANGO_TASKS, UVICORN, free_port
from tests.peers import Request
from tests.running import Site, skip_without
from tests.services import database

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells what is pending")

Enqueue = Callable[[Site], None]


class Case(NamedTuple):
    """A worker, how to enqueue the task `task`, and what the worker logs when it is stopped."""

    entry: dict[str, Any]
    says: str
    project: dict[str, Any]
    enqueue: Enqueue
    signal: signal.Signals = signal.SIGTERM
    # In seconds: some software treats two signals that are closer together as one.
    apart: float = 0.01


def called(function: str, *args: Any, **project: Any) -> Enqueue:
    return lambda site: site.call(function, *args, **project)


def settings(*apps: str, **more: Any) -> dict[str, Any]:
    return {"supervisor": {"SETTINGS": {"INSTALLED_APPS": [*apps], **more}}}


def django_tasks() -> Case:
    def enqueue(site: Site) -> None:
        site.send(("django_hold", ["task"], ""))

    return Case({"BACKEND": DJANGO_TASKS}, "shutting down gracefully", {}, enqueue)


def rq(redis: str) -> Case:
    project = settings("django_rq", RQ_QUEUES={"default": {"URL": redis}})
    enqueue = called("rq_jobs.enqueue", ["default", "hold", "task"], **project)
    return Case({"BACKEND": "rq"}, "warm shut down requested", project, enqueue, apart=1.1)


def huey(graceful: signal.Signals = signal.SIGINT, **consumer: Any) -> Case:
    skip_without("huey")
    queue = {"huey_class": "huey.SqliteHuey", "filename": "huey.db", "immediate": False}
    apps = ("huey.contrib.djhuey", "huey_jobs")
    project = settings(*apps, HUEY={**queue, "consumer": consumer})
    enqueue = called("huey_jobs.tasks.enqueue", "task", **project)
    return Case({"BACKEND": "huey"}, "Shutting down gracefully", project, enqueue, graceful)


def huey_by_sigterm() -> Case:
    options: Any = pytest.importorskip("huey.consumer_options", reason="huey is missing")
    if "graceful_signal" not in options.config_keys:
        pytest.skip("this huey knows no other graceful signal")
    return huey(signal.SIGTERM, graceful_signal="TERM", worker_type="process")


def dramatiq(redis: str, **args: Any) -> Case:
    skip_without("django_dramatiq")
    broker = {
        "BROKER": "dramatiq.brokers.redis.RedisBroker",
        "OPTIONS": {"url": redis},
        "MIDDLEWARE": ["dramatiq.middleware.AgeLimit", "dramatiq.middleware.Retries"],
    }
    project = settings("django_dramatiq", "dramatiq_jobs", DRAMATIQ_BROKER=broker)
    enqueue = called("dramatiq_jobs.tasks.enqueue", "task", **project)
    entry = {"BACKEND": "dramatiq", "ARGS": {"processes": 1, "threads": 1, **args}}
    return Case(entry, "Stopping worker process", project, enqueue)


def dramatiq_with_gevent(redis: str) -> Case:
    skip_without("gevent")
    return dramatiq(redis, **{"use-gevent": True})


def procrastinate(postgresql: str) -> Case:
    project = settings(
        "procrastinate.contrib.django",
        DATABASES={"default": database(postgresql)},
        PROCRASTINATE_IMPORT_PATHS=["procrastinate_jobs"],
    )
    enqueue = called("procrastinate_jobs.enqueue", ("hold", {"name": "task"}), **project)
    return Case({"BACKEND": "procrastinate"}, "Waiting for job to finish", project, enqueue)


def celery() -> Case:
    def enqueue(site: Site) -> None:
        site.send(("hold", ["task"], "celery"))

    args = {"concurrency": 1, "loglevel": "info"}
    entry = {"BACKEND": CELERY, "APP": "workers", "ARGS": args, "STOP_SIGNAL": "SIGINT"}
    return Case(entry, "Warm shutdown", {}, enqueue, signal.SIGINT)


def django_q2() -> Case:
    cluster = {"name": "tests", "workers": 1, "timeout": 60, "retry": 120, "orm": "default"}
    project = settings("django_q", Q_CLUSTER=cluster)
    enqueue = called("q2_jobs.enqueue", ["jobs.hold.hold", "task"], **project)
    return Case({"BACKEND": "django-q2"}, "stopping cluster processes", project, enqueue)


CASES: dict[str, Callable[..., Case]] = {
    "django-tasks": django_tasks,
    "rq": rq,
    "huey": huey,
    "huey by SIGTERM": huey_by_sigterm,
    "dramatiq": dramatiq,
    "dramatiq with gevent": dramatiq_with_gevent,
    "procrastinate": procrastinate,
    "celery": celery,
    "django-q2": django_q2,
}
SERVICES = {
    "rq": "redis",
    "dramatiq": "redis",
    "dramatiq with gevent": "redis",
    "procrastinate": "postgresql",
}


def wait_until_it_is_taken(process: psutil.Process) -> None:
    """Wait until no signal is pending: Python calls the handler before it does anything else."""
    status = Path(f"/proc/{process.pid}/status")
    while not re.search(r"^ShdPnd:\t0+$", status.read_text(), re.MULTILINE):
        """It is a matter of microseconds."""


def is_stopped_twice(site: Site, case: Case) -> None:
    site.hold("task")
    case.enqueue(site)
    run = site({"jobs": case.entry}, **case.project)
    run.wait_for_each_of("all 1 ready", "task in progress")
    (leader,) = run.children()

    leader.send_signal(case.signal)
    run.wait_for("jobs.1", case.says)
    time.sleep(case.apart)
    leader.send_signal(case.signal)
    wait_until_it_is_taken(leader)
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    site.release("task")

    assert run.end() == 0, "\n".join(run.raw)
    assert "task done" in run.said("jobs.1")
    assert any(line.startswith("jobs.1 stopped after") for line in run.said("system"))


@pytest.mark.parametrize("software", CASES)
def test_a_repeated_stop_signal_does_not_abort_the_running_task(
    site: Site, software: str, request: pytest.FixtureRequest
) -> None:
    needs = SERVICES.get(software)
    case = CASES[software](*([request.getfixturevalue(needs)] if needs else []))

    is_stopped_twice(site, case)


def test_a_repeated_stop_signal_does_not_abort_uvicorns_in_flight_request(site: Site) -> None:
    port = free_port()
    site.hold("task")
    args = {"host": "127.0.0.1", "port": port}
    run = site({"web": {"BACKEND": UVICORN, "ARGS": args, "STOP_SIGNAL": "SIGINT"}})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/task")
    run.wait_for("web.1", "task in progress")
    (leader,) = run.children()

    leader.send_signal(signal.SIGINT)
    run.wait_for("web.1", "Waiting for connections to close")
    leader.send_signal(signal.SIGINT)
    wait_until_it_is_taken(leader)
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    time.sleep(0.5)  # uvicorn checks every 0.1 seconds whether to drop its requests.
    site.release("task")

    assert slow.answer() == "task held"
    assert run.end() == 0


def test_celery_obeys_an_escalation_signal_soon_after_a_stop_signal(site: Site) -> None:
    """For Celery, two SIGTERMs count as one, but a SIGQUIT soon after them still counts."""
    case = celery()
    site.hold("task")
    case.enqueue(site)
    entry = {**case.entry, "STOP_SIGNAL": "SIGTERM", "STOP_TIMEOUT": 5}
    run = site({"jobs": entry})
    run.wait_for_each_of("all 1 ready", "task in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("jobs.1", "Warm shutdown")
    run.wait_for("system", "jobs.1 is still running; sending it SIGQUIT")
    run.wait_for("jobs.1", "Cold shutdown")
    # The status is left open: what remains of STOP_TIMEOUT may be too short for a cold shutdown.
    run.end()
