"""While a stop takes time, the real workers report what they still have to do."""

from __future__ import annotations

import inspect
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from tests.backends.test_stopped_twice import settings
from tests.inside import CELERY, DJANGO_TASKS, free_port
from tests.peers import Request
from tests.running import Site, skip_without
from tests.services import database

# The package uvicorn-worker, or uvicorn's own module from before that existed.
UVICORN = "uvicorn_worker" if find_spec("uvicorn_worker") else "uvicorn.workers"
Enqueue = Callable[[Site, Sequence[str]], None]


class Case(NamedTuple):
    """A worker, how to enqueue tasks that block, and how many it runs at a time."""

    entry: dict[str, Any]
    enqueue: Enqueue
    project: Mapping[str, Any] = MappingProxyType({})
    tasks: int = 2
    noun: str = "task"
    env: Mapping[str, str] = MappingProxyType({})


def celery(pool: str, tasks: int = 2) -> Case:
    def enqueue(site: Site, names: Sequence[str]) -> None:
        site.send(*(("hold", [name], "celery") for name in names))

    args = {"pool": pool, "concurrency": tasks, "loglevel": "info"}
    return Case({"BACKEND": CELERY, "APP": "workers", "ARGS": args}, enqueue, tasks=tasks)


def prefork() -> Case:
    return celery("prefork")


def threads() -> Case:
    return celery("threads")


def solo() -> Case:
    return celery("solo", tasks=1)


def django_tasks() -> Case:
    def enqueue(site: Site, names: Sequence[str]) -> None:
        site.send(*(("django_hold", [name], "") for name in names))

    return Case({"BACKEND": DJANGO_TASKS}, enqueue, tasks=1)


def rq(redis: str, worker: str = "") -> Case:
    project = settings("django_rq", RQ_QUEUES={"default": {"URL": redis}})

    def enqueue(site: Site, names: Sequence[str]) -> None:
        site.call("rq_jobs.enqueue", *(["default", "hold", name] for name in names), **project)

    args = {"worker-class": worker} if worker else {}
    return Case({"BACKEND": "rq", "ARGS": args}, enqueue, project, tasks=1, noun="job")


def rq_without_a_horse(redis: str) -> Case:
    return rq(redis, worker="rq.worker.SimpleWorker")


def huey(kind: str = "thread") -> Case:
    skip_without("huey")
    queue = {"huey_class": "huey.SqliteHuey", "filename": "huey.db", "immediate": False}
    consumer = {"worker_type": kind, "workers": 2}
    apps = ("huey.contrib.djhuey", "huey_jobs")
    project = settings(*apps, HUEY={**queue, "consumer": consumer})

    def enqueue(site: Site, names: Sequence[str]) -> None:
        site.call("huey_jobs.tasks.enqueue", *names, **project)

    return Case({"BACKEND": "huey"}, enqueue, project)


def huey_with_processes() -> Case:
    return huey("process")


def dramatiq(redis: str) -> Case:
    skip_without("django_dramatiq")
    broker = {
        "BROKER": "dramatiq.brokers.redis.RedisBroker",
        "OPTIONS": {"url": redis},
        "MIDDLEWARE": ["dramatiq.middleware.AgeLimit", "dramatiq.middleware.Retries"],
    }
    project = settings("django_dramatiq", "dramatiq_jobs", DRAMATIQ_BROKER=broker)

    def enqueue(site: Site, names: Sequence[str]) -> None:
        site.call("dramatiq_jobs.tasks.enqueue", *names, **project)

    entry = {"BACKEND": "dramatiq", "ARGS": {"processes": 2, "threads": 1}}
    # A worker process takes no second message while it has one in progress.
    return Case(entry, enqueue, project, env={"dramatiq_queue_prefetch": "1"})


def dramatiq_that_spawns(redis: str) -> Case:
    case = dramatiq(redis)
    command: Any = pytest.importorskip("django_dramatiq.management.commands.rundramatiq")
    if "use_spawn" not in inspect.signature(command.Command.handle).parameters:
        pytest.skip("this django-dramatiq has no --use-spawn")
    args = {**case.entry["ARGS"], "use-spawn": True}
    return case._replace(entry={**case.entry, "ARGS": args})


def django_q2() -> Case:
    cluster = {"name": "tests", "workers": 2, "timeout": 60, "retry": 120, "orm": "default"}
    project = settings("django_q", Q_CLUSTER=cluster)

    def enqueue(site: Site, names: Sequence[str]) -> None:
        site.call("q2_jobs.enqueue", *(["jobs.hold.hold", name] for name in names), **project)

    return Case({"BACKEND": "django-q2"}, enqueue, project)


def procrastinate(postgresql: str) -> Case:
    project = settings(
        "procrastinate.contrib.django",
        DATABASES={"default": database(postgresql)},
        PROCRASTINATE_IMPORT_PATHS=["procrastinate_jobs"],
    )

    def enqueue(site: Site, names: Sequence[str]) -> None:
        jobs = [("hold", {"name": name}) for name in names]
        site.call("procrastinate_jobs.enqueue", *jobs, **project)

    # Jobs that block take turns in one thread: a second one would never begin.
    return Case({"BACKEND": "procrastinate"}, enqueue, project, tasks=1, noun="job")


# By software: the case, and the service that holds its queue.
CASES: dict[str, tuple[Callable[..., Case], str]] = {
    "celery, prefork": (prefork, ""),
    "celery, threads": (threads, ""),
    "celery, solo": (solo, ""),
    "django-tasks": (django_tasks, ""),
    "rq": (rq, "redis"),
    "rq, SimpleWorker": (rq_without_a_horse, "redis"),
    "huey": (huey, ""),
    "huey, processes": (huey_with_processes, ""),
    "dramatiq": (dramatiq, "redis"),
    "dramatiq, spawning": (dramatiq_that_spawns, "redis"),
    "django-q2": (django_q2, ""),
    "procrastinate": (procrastinate, "postgresql"),
}
SPAWNED = ("celery, prefork", "django-tasks", "rq", "dramatiq")


@pytest.mark.parametrize(
    ("software", "method"),
    [*((one, "fork") for one in CASES), *((one, "spawn") for one in SPAWNED)],
)
def test_a_slow_stop_logs_how_many_tasks_are_still_in_progress(
    site: Site, software: str, method: str, request: pytest.FixtureRequest
) -> None:
    make, needs = CASES[software]
    case = make(*([request.getfixturevalue(needs)] if needs else []))
    names = ["one", "two"][: case.tasks]
    site.hold(*names)
    case.enqueue(site, names)
    run = site({"jobs": {**case.entry, "START_METHOD": method}}, env=case.env, **case.project)
    run.wait_for_each_of("all 1 ready", *(f"{name} in progress" for name in names))

    run.signal(signal.SIGTERM)
    nouns = f"{case.noun}{'s' * (case.tasks > 1)}"
    run.wait_for("system", rf"^waiting for jobs\.1: {case.tasks} {nouns}, oldest \d+ s; SIGKILL in")
    for name in names:
        site.release(name)

    assert run.end() == 0
    assert {f"{name} done" for name in names} <= set(run.said("jobs.1"))


Entry = Callable[[int], dict[str, Any]]


def server(name: str, **args: Any) -> Entry:
    """A server on its own port."""

    def entry(port: int) -> dict[str, Any]:
        bound = name.startswith(("gunicorn", "hypercorn"))
        where = {"bind": f"127.0.0.1:{port}"} if bound else {"port": port}
        return {"BACKEND": name, "ARGS": {**args, **where}}

    return entry


def gunicorn(worker: str, **args: Any) -> Entry:
    return server("gunicorn", **{"worker-class": worker, "workers": 2, **args})


WORKERS = {"workers": 2}
ONE = {
    "uvicorn": server("uvicorn"),
    "waitress": server("waitress"),
    "hypercorn": server("hypercorn", workers=0),
    "daphne": server("daphne"),
}
# Servers with several processes, and the module that each needs.
SEVERAL = {
    "gunicorn sync": (gunicorn("sync"), ""),
    "gunicorn gthread": (gunicorn("gthread", threads=2), ""),
    "gunicorn gevent": (gunicorn("gevent"), "gevent"),
    "gunicorn tornado": (gunicorn("tornado"), "tornado"),
    "gunicorn asgi": (server("gunicorn-asgi", **WORKERS), "gunicorn.workers.gasgi"),
    "gunicorn UvicornWorker": (
        server("gunicorn-asgi", **{"worker-class": f"{UVICORN}.UvicornWorker"}, **WORKERS),
        "uvicorn",
    ),
    "uvicorn": (server("uvicorn", **WORKERS), ""),
    "uvicorn, WSGI": (server("uvicorn-wsgi", **WORKERS), ""),
    "hypercorn": (server("hypercorn", **WORKERS), ""),
    "hypercorn, WSGI": (server("hypercorn-wsgi", **WORKERS), ""),
    "granian": (server("granian", **WORKERS), ""),
    "granian, WSGI": (server("granian-wsgi", **{"blocking-threads": 2}, **WORKERS), ""),
}


def ask_to_the_end(port: int) -> None:
    """A server closes the connection once the request is no longer in flight."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        while connection.recv(1 << 16):
            """It is still answered."""


@pytest.mark.parametrize("name", ONE)
def test_a_server_with_one_process_reports_its_in_flight_requests_in_a_stop(
    site: Site, name: str
) -> None:
    port = free_port()
    site.hold("task")
    run = site({"web": ONE[name](port)})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/task")
    run.wait_for("web.1", "task in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("system", r"^waiting for web\.1: 1 request; SIGKILL in")
    site.release("task")

    assert slow.answer() == "task held"
    assert run.end() == 0


@pytest.mark.parametrize("name", SEVERAL)
def test_a_server_with_several_processes_reports_in_flight_requests_in_a_stop(
    site: Site, name: str
) -> None:
    entry, needs = SEVERAL[name]
    if needs:
        skip_without(needs)
    port = free_port()
    site.hold("task")
    run = site({"web": entry(port)})
    run.wait_for("system", "all 1 ready")
    ask_to_the_end(port)
    slow = Request(port, "/hold/task")
    run.wait_for("web.1", "task in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("system", r"^waiting for web\.1: 1 request, oldest \d+ s; SIGKILL in")
    site.release("task")

    assert slow.answer() == "task held"
    assert run.end() == 0
