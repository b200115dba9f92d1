"""What each backend says of its queues is what the software's own tools say, with real brokers."""

from __future__ import annotations

import json
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

import pytest
from redis import Redis

from django_prodserver.backends.base import Queue
from tests.backends import test_django_q2, test_dramatiq, test_huey, test_procrastinate, test_rq
from tests.inside import CELERY, DJANGO_TASKS, free_port
from tests.running import Run, Site, skip_without
from tests.services import RabbitMQ

BACKENDS = {
    "celery": CELERY,
    "django-tasks": DJANGO_TASKS,
    "rq": "django_prodserver.backends.rq.RQWorker",
    "huey": "django_prodserver.backends.huey.HueyWorker",
    "dramatiq": "django_prodserver.backends.dramatiq.DramatiqWorker",
    "django-q2": "django_prodserver.backends.django_q2.DjangoQ2Worker",
    "procrastinate": "django_prodserver.backends.procrastinate.ProcrastinateWorker",
}
# In seconds: a process that asks a queue has to have an answer or an error in this time.
LIMIT = 10.0


class Asked(NamedTuple):
    """The answer of a backend, when it was asked and when it answered, and what the tool says."""

    queue: Queue
    tool: Any
    between: tuple[float, float]

    def waited(self, sent: tuple[float, float]) -> bool:
        """Whether the oldest task was sent between these times."""
        assert self.queue.age is not None
        begin, end = self.between
        return begin - sent[1] <= self.queue.age <= end - sent[0]


def start(site: Site, backend: str, entry: Mapping[str, Any], tool: Any, how: Any) -> Run:
    """Ask in a process of the project, in which nothing else runs."""
    name, *arguments = tool
    question = json.dumps([BACKENDS[backend], entry, name, arguments])
    return site({"any": {"BACKEND": backend}}, question, program=("-W", "ignore", "ask.py"), **how)


def ask(
    site: Site, backend: str, entry: Mapping[str, Any], tool: Any = ("nothing",), **how: Any
) -> Asked:
    run = start(site, backend, entry, tool, how)
    assert run.end() == 0, run.stderr
    (begin, end, answer), said = map(json.loads, run.said("")[-2:])
    return Asked(Queue(*answer), said, (begin, end))


def refusal(site: Site, backend: str, entry: Mapping[str, Any], **how: Any) -> str:
    """The last line of the error with which it answers in time."""
    begun = time.monotonic()
    run = start(site, backend, entry, ("nothing",), how)
    assert run.end() == 1
    assert time.monotonic() - begun < LIMIT
    return run.stderr.splitlines()[-1]


@contextmanager
def sending() -> Iterator[list[float]]:
    """When tasks were sent: not before, and not after."""
    between = [time.time()]
    yield between
    between.append(time.time())


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def finish(site: Site, run: Run, *names: str, redis: str = "") -> None:
    """Let the tasks of these names end, and the worker; those that wait in Redis are dropped."""
    if redis:
        with Redis.from_url(redis) as client:
            client.flushdb()
    for name in names:
        site.release(name)
    assert run.end(signal.SIGTERM) == 0


# ---- Celery ----


def worker(queue: str, **args: Any) -> dict[str, Any]:
    options = {"Q": queue, "concurrency": 1, "prefetch-multiplier": 1, "loglevel": "info", **args}
    return {"BACKEND": "celery", "APP": "workers.app", "ARGS": options}


def asked_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "BACKEND"}


def fill(site: Site, broker: Mapping[str, str], *tasks: Any, dated: bool = True) -> Any:
    with sending() as sent:
        site.call("filled.celery", dated, *tasks, env=broker)
    return sent


def test_celery_with_redis(site: Site, redis: str) -> None:
    """A task is running, one is prefetched, and one that is for later was taken, too."""
    queue, broker = "mail", {"BROKER": redis}
    entry = worker(queue)
    site.hold("one", "two")
    here = {"queue": queue}

    assert ask(site, "celery", asked_of(entry), env=broker).queue == Queue(0, 0, 0.0, None)

    fill(site, broker, ("hold", ["one"], here), ("hold", ["later"], {**here, "countdown": 3600}))
    run = site({"worker": entry}, env=broker)
    run.wait_for_each_of("all 1 ready", "one in progress")
    # It takes what is for later beside what it prefetches.
    run.wait_for("worker.1", "jobs.tasks.hold.*received")
    fill(site, broker, ("hold", ["two"], here))
    run.wait_for("worker.1", "jobs.tasks.hold.*received")
    sent = fill(
        site,
        broker,
        ("hold", ["three"], here),
        ("hold", ["urgent"], {**here, "priority": 9}),
        ("hello", [], {"queue": "other"}),
    )

    asked = ask(site, "celery", asked_of(entry), ["celery"], env=broker)

    node = f"worker.1@{socket.gethostname()}"
    assert asked.tool == [{node: 1}, {node: 1}, {node: 1}]
    with Redis.from_url(redis) as client:
        assert client.llen(queue) == client.llen(f"{queue}\x06\x169") == 1
    assert asked.queue[:2] == (2, 2)
    assert asked.queue.of_instances == {"worker.1": 2}
    assert asked.waited(sent)

    finish(site, run, "one", "two", redis=redis)


def test_celery_with_rabbitmq(site: Site, rabbitmq: RabbitMQ) -> None:
    """Nobody can read a message there, so that it says nothing of the age."""
    queue, missing = uuid.uuid4().hex, uuid.uuid4().hex
    broker = {"BROKER": rabbitmq.address}
    entry = worker(f"{queue},{missing}")
    site.hold("one", "two")
    here = {"queue": queue}

    assert ask(site, "celery", asked_of(entry), env=broker).queue == Queue(0, 0, 0.0, None)
    with pytest.raises(ValueError, match="unpack"):
        rabbitmq.messages(missing)  # It was not made.

    fill(site, broker, ("hold", ["one"], here))
    run = site({"worker": worker(queue)}, env=broker)
    run.wait_for_each_of("all 1 ready", "one in progress")
    later = ("hold", ["later"], {**here, "countdown": 3600})
    fill(site, broker, later, ("hold", ["two"], here))
    run.wait_for("worker.1", "jobs.tasks.hold.*received")
    run.wait_for("worker.1", "jobs.tasks.hold.*received")
    fill(site, broker, ("hold", ["one"], here), ("hold", ["two"], here), ("hold", ["two"], here))

    asked = ask(site, "celery", asked_of(entry), ["celery"], env=broker)

    node = f"worker.1@{socket.gethostname()}"
    assert asked.tool == [{node: 1}, {node: 1}, {node: 1}]
    # Celery has acknowledged the one that is running.
    assert rabbitmq.messages(queue) == (3, 2)
    assert asked.queue == Queue(3, 2, None, {"worker.1": 2})

    rabbitmq.purge(queue)
    finish(site, run, "one", "two")
