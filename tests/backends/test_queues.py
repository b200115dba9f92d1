"""Each backend reports the same about its queues as the software's own tools, with real brokers."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

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
# In seconds: how long a backend may take to answer or to fail.
LIMIT = 10.0
TIMEOUT = re.compile("timed out|timeout", re.IGNORECASE)


class Asked(NamedTuple):
    """A backend's answer, the times before and after the call, and what the tool says."""

    queue: Queue
    tool: Any
    between: tuple[float, float]

    def waited(self, sent: tuple[float, float]) -> bool:
        """Whether the oldest task was sent between these times."""
        assert self.queue.age is not None
        begin, end = self.between
        return begin - sent[1] <= self.queue.age <= end - sent[0]


def start(site: Site, backend: str, entry: Mapping[str, Any], tool: Any, how: Any) -> Run:
    """Ask in a separate process of the project."""
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
    """Return the error that the backend raises within the limit."""
    begun = time.monotonic()
    run = start(site, backend, entry, ("nothing",), how)
    assert run.end() == 1
    assert time.monotonic() - begun < LIMIT
    return run.stderr


@contextmanager
def sending() -> Iterator[list[float]]:
    """Yield the times before and after tasks are sent."""
    between = [time.time()]
    yield between
    between.append(time.time())


@contextmanager
def silent() -> Iterator[int]:
    """Yield the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def finish(site: Site, run: Run, *names: str, redis: str = "") -> None:
    """Release the named tasks and stop the worker; tasks that wait in Redis are dropped."""
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


def test_celery_with_redis_reports_ready_and_running_tasks_and_their_age(
    site: Site, redis: str
) -> None:
    """One task is running, one is prefetched, and a delayed one was taken, too."""
    queue, broker = "mail", {"BROKER": redis}
    entry = worker(queue)
    site.hold("one", "two")
    here = {"queue": queue}

    assert ask(site, "celery", asked_of(entry), env=broker).queue == Queue(0, 0, 0.0, None)

    fill(site, broker, ("hold", ["one"], here), ("hold", ["later"], {**here, "countdown": 3600}))
    run = site({"worker": entry}, env=broker)
    run.wait_for_each_of("all 1 ready", "one in progress")
    # A worker takes delayed tasks in addition to those that it prefetches.
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


def test_celery_with_rabbitmq_reports_ready_and_running_tasks_without_an_age(
    site: Site, rabbitmq: RabbitMQ
) -> None:
    """Messages in RabbitMQ cannot be read without being taken, so the age is unknown."""
    queue, missing = uuid.uuid4().hex, uuid.uuid4().hex
    broker = {"BROKER": rabbitmq.address}
    entry = worker(f"{queue},{missing}")
    site.hold("one", "two")
    here = {"queue": queue}

    assert ask(site, "celery", asked_of(entry), env=broker).queue == Queue(0, 0, 0.0, None)
    with pytest.raises(ValueError, match="unpack"):
        rabbitmq.messages(missing)  # The queue was not created.

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
    # Celery has acknowledged the running task.
    assert rabbitmq.messages(queue) == (3, 2)
    assert asked.queue == Queue(3, 2, None, {"worker.1": 2})

    rabbitmq.purge(queue)
    finish(site, run, "one", "two")


def test_a_task_sent_by_a_worker_has_a_timestamp(site: Site, redis: str) -> None:
    """Both from a forked worker, as most senders are, and from a spawned one."""
    broker = {"BROKER": redis}
    fill(
        site, broker, *[("pass_on", ["later"], {"queue": name}) for name in ("a", "b")], dated=False
    )
    entries = {"forked": worker("a"), "spawned": {**worker("b"), "START_METHOD": "spawn"}}

    with sending() as sent:
        run = site(entries, env=broker)
        run.wait_for_each_of("forked.1 has passed it on", "spawned.1 has passed it on")

    assert ask(site, "celery", asked_of(worker("later")), env=broker).waited(sent)
    with Redis.from_url(redis) as client:
        assert client.llen("later") == 2
        dates = [
            json.loads(text)["properties"]["published_at"] for text in client.lrange("later", 0, -1)
        ]
    assert all(sent[0] < date < sent[1] for date in dates)
    assert run.end(signal.SIGTERM) == 0


def test_the_age_is_unknown_if_the_oldest_message_has_no_timestamp(site: Site, redis: str) -> None:
    broker, hello = {"BROKER": redis}, ("hello", [], {"queue": "mail"})
    fill(site, broker, hello, dated=False)
    fill(site, broker, hello)

    assert ask(site, "celery", asked_of(worker("mail")), env=broker).queue == Queue(
        2, 0, None, None
    )


def test_celery_with_a_key_prefix_and_a_topic_exchange_reports_its_queues(
    site: Site, redis: str
) -> None:
    """One hash holds the tasks that workers have taken from all queues."""
    broker = {"BROKER": redis}
    settings = {"CELERY_BROKER_TRANSPORT_OPTIONS": {"global_keyprefix": "ours."}}
    how = {"supervisor": {"SETTINGS": settings}, "env": {**broker, "TOPIC": "feed.#"}}
    site.hold("one", "two")
    site.call(
        "filled.celery",
        *(
            True,
            ("hold_late", ["one"], {"queue": "feeds", "routing_key": "feed.import"}),
            ("hold_late", ["two"], {"queue": "mail"}),
        ),
        **how,
    )
    entry = worker("feeds,mail", concurrency=2)
    run = site({"worker": entry}, **how)
    run.wait_for_each_of("one in progress", "two in progress")

    with Redis.from_url(redis) as client:
        assert client.hlen("ours.unacked") == 2
    assert ask(site, "celery", asked_of(entry), **how).queue == Queue(0, 2, 0.0, {"worker.1": 2})
    for name in ("feeds", "mail"):
        queue = ask(site, "celery", asked_of(worker(name)), **how).queue
        assert queue == Queue(0, 1, 0.0, {"worker.1": 1})
    for name in ("celery", "news"):
        assert ask(site, "celery", asked_of(worker(name)), **how).queue[:2] == (0, 0)
    finish(site, run, "one", "two")


# ---- RQ ----


def test_rq_reports_ready_and_running_jobs_and_their_age(site: Site, redis: str) -> None:
    how = test_rq.project(redis)
    entry = {"BACKEND": "rq", "ARGS": ["high", "default"]}
    site.hold("one")

    assert ask(site, "rq", asked_of(entry), **how).queue == Queue(0, 0, 0.0, None)

    site.call("rq_jobs.enqueue", ["default", "hold", "one"], **how)
    run = site({"worker": {**entry, "REPLICAS": 2}}, **how)
    run.wait_for_each_of("all 2 ready", "one in progress")
    site.hold("two")
    site.call("rq_jobs.enqueue", ["high", "hold", "two"], **how)
    run.wait_for_each_of("two in progress")
    with sending() as sent:
        site.call(
            "rq_jobs.enqueue", *[[name, "hello"] for name in ("default", "high", "high")], **how
        )
    site.call("filled.rq_later", "high", "later", **how)

    asked = ask(site, "rq", asked_of(entry), ["rq", redis, "default", "high"], **how)

    assert asked.tool == [3, 2] == list(asked.queue[:2])
    assert asked.queue.of_instances == {"worker.1": 1, "worker.2": 1}
    assert asked.waited(sent)
    alone = ask(site, "rq", {"ARGS": []}, ["rq", redis, "default"], **how)
    assert alone.tool == [1, 1] == list(alone.queue[:2])
    finish(site, run, "one", "two", redis=redis)


# ---- huey ----


def over_redis(redis: str) -> dict[str, Any]:
    settings = {"INSTALLED_APPS": test_huey.APPS, "HUEY": {"url": redis, "immediate": False}}
    return {"supervisor": {"SETTINGS": settings}}


@pytest.mark.parametrize("storage", ["redis", "sqlite"])
def test_huey_reports_only_the_number_of_ready_tasks(
    site: Site, request: pytest.FixtureRequest, storage: str
) -> None:
    """huey records neither running tasks nor how long a task has waited."""
    by_file = storage == "sqlite"
    redis = "" if by_file else request.getfixturevalue("redis")
    how = {"supervisor": test_huey.project()} if by_file else over_redis(redis)
    site.hold("one")

    assert ask(site, "huey", {}, **how).queue == Queue(0, 0, None, None)

    site.call("huey_jobs.tasks.enqueue", "one", **how)
    run = site({"worker": {"BACKEND": "huey", "ARGS": {"no-periodic": True}}}, **how)
    run.wait_for_each_of("all 1 ready", "one in progress")
    site.call("huey_jobs.tasks.enqueue", "two", "three", **how)
    site.call("filled.huey_later", "later", **how)

    asked = ask(site, "huey", {}, ["huey"], **how)

    assert asked.tool == [2, 0]
    assert asked.queue == Queue(2, 0, None, None)
    run.signal(signal.SIGTERM)
    run.wait_for("worker.1", "Shutting down gracefully")
    site.release("one")
    assert run.end() == 0


# ---- dramatiq ----


def test_dramatiq_reports_ready_and_running_tasks_and_their_age(site: Site, redis: str) -> None:
    how = {"supervisor": test_dramatiq.project(redis)}
    env = test_dramatiq.ONE_EACH
    entry = {"BACKEND": "dramatiq", "ARGS": {"processes": 1, "threads": 1}}
    site.hold("one")

    assert ask(site, "dramatiq", asked_of(entry), **how).queue == Queue(0, 0, 0.0, None)

    site.call("dramatiq_jobs.tasks.enqueue", "one", **how)
    run = site({"worker": entry}, env=env, **how)
    run.wait_for_each_of("all 1 ready", "one in progress")
    with sending() as sent:
        site.call("dramatiq_jobs.tasks.enqueue", "two", "three", "four", **how)
    site.call("filled.dramatiq_later", "later", **how)

    asked = ask(site, "dramatiq", asked_of(entry), ["dramatiq", "default"], **how)

    assert asked.tool == [3, 1] == list(asked.queue[:2])
    assert asked.waited(sent)
    other = ask(site, "dramatiq", {"ARGS": ["--queues", "other"]}, **how)
    assert other.queue == Queue(0, 0, 0.0, None)
    finish(site, run, "one", redis=redis)


def test_dramatiq_with_rabbitmq_reports_ready_tasks_without_an_age(
    site: Site, rabbitmq: RabbitMQ
) -> None:
    skip_without("pika")
    how = {"supervisor": over_rabbitmq(rabbitmq.address)}
    missing = {"ARGS": ["--queues", uuid.uuid4().hex]}

    assert ask(site, "dramatiq", missing, **how).queue == Queue(0, 0, 0.0, None)

    site.call("dramatiq_jobs.tasks.enqueue", "one", "two", **how)
    site.call("filled.dramatiq_later", "later", **how)

    assert ask(site, "dramatiq", {}, **how).queue == Queue(2, 0, None, None)
    assert rabbitmq.messages("default") == (2, 0)
    rabbitmq.purge("default")


def over_rabbitmq(address: str) -> dict[str, Any]:
    supervisor = test_dramatiq.project("")
    broker = {"BROKER": "dramatiq.brokers.rabbitmq.RabbitmqBroker", "OPTIONS": {"url": address}}
    supervisor["SETTINGS"]["DRAMATIQ_BROKER"].update(broker)
    return supervisor


# ---- django-q2 ----


@pytest.mark.parametrize("broker", ["orm", "redis"])
def test_django_q2_reports_ready_tasks_and_age_but_running_ones_only_with_orm(
    site: Site, request: pytest.FixtureRequest, broker: str
) -> None:
    """A cluster of one worker takes three tasks, of which Redis keeps no record."""
    redis = request.getfixturevalue("redis") if broker == "redis" else ""
    kept = {"redis": redis} if redis else {"orm": "default"}
    how = test_django_q2.project(**kept, workers=1, queue_limit=1)
    site.hold("one")

    site.call("q2_jobs.enqueue", **how)

    assert ask(site, "django-q2", {}, **how).queue == Queue(0, 0, 0.0, None)

    tasks = [["jobs.hold.hold", "one"], *[["jobs.hold.say", "hello"]] * 4]
    with sending() as sent:
        site.call("q2_jobs.enqueue", *tasks, **how)
    run = site({"worker": {"BACKEND": "django-q2"}}, **how)
    run.wait_for_each_of("all 1 ready", "one in progress")

    asked = ask(site, "django-q2", {}, ["django_q2"], **how)

    while asked.queue.ready > 2:  # The cluster does not log that it has taken a task.
        asked = ask(site, "django-q2", {}, ["django_q2"], **how)
    assert asked.queue[:2] == ((2, 0) if redis else (2, 3))
    assert asked.tool == ([2, None] if redis else [2, 3])
    assert asked.waited(sent)
    finish(site, run, "one", redis=redis)


# ---- the database worker of django-tasks ----


def test_django_tasks_reports_ready_and_running_tasks_and_their_age(site: Site) -> None:
    site.hold("one")
    entry = {"BACKEND": "django-tasks", "ARGS": {"queue-name": "mail"}}
    site.send()

    assert ask(site, "django-tasks", asked_of(entry)).queue == Queue(0, 0, 0.0, None)

    site.call("filled.django_tasks", "mail", "one")
    run = site({"worker": entry})
    run.wait_for_each_of("all 1 ready", "one in progress")
    with sending() as sent:
        site.call("filled.django_tasks", "mail", "two", "three")
    site.call("filled.django_tasks", "default", "four")
    site.call("filled.django_tasks_later", "mail", "later")

    asked = ask(site, "django-tasks", asked_of(entry), ["django_tasks", "mail"])

    assert asked.tool == [2, 1] == list(asked.queue[:2])
    assert asked.waited(sent)
    everything = ask(site, "django-tasks", {"ARGS": {"queue-name": "*"}}).queue
    assert everything[:2] == (3, 1)
    run.signal(signal.SIGTERM)
    run.wait_for("worker.1", "shutting down gracefully")
    site.release("one")
    assert run.end() == 0


# ---- procrastinate ----


def test_procrastinate_reports_no_delayed_or_locked_job_as_ready(
    site: Site, postgresql: str
) -> None:
    how = {"supervisor": test_procrastinate.over(postgresql)}
    entry = {"BACKEND": "procrastinate", "ARGS": {"queues": "mail,news"}}
    site.hold("one")
    site.call("filled.procrastinate", **how)

    assert ask(site, "procrastinate", asked_of(entry), **how).queue == Queue(0, 0, 0.0, None)

    mail, locked = {"queue": "mail"}, {"queue": "mail", "lock": "one at a time"}
    site.call("filled.procrastinate", ("one", locked), **how)
    run = site({"worker": entry}, **how)
    run.wait_for_each_of("all 1 ready", "one in progress")
    with sending() as sent:
        site.call("filled.procrastinate", ("two", mail), ("three", mail), **how)
    later = {"queue": "mail", "schedule_in": {"hours": 1}}
    site.call("filled.procrastinate", ("later", later), ("four", locked), ("five", {}), **how)

    asked = ask(site, "procrastinate", asked_of(entry), ["procrastinate", "mail"], **how)

    # procrastinate's own list includes a delayed job and one whose lock is held.
    assert asked.tool == [4, 1]
    assert asked.queue[:2] == (2, 1)
    assert asked.waited(sent)
    assert ask(site, "procrastinate", {"ARGS": []}, **how).queue[:2] == (3, 1)
    run.signal(signal.SIGTERM)
    run.wait_for("worker.1", "Waiting for job to finish")
    site.release("one")
    assert run.end() == 0


# ---- all backends ----


def on_redis(backend: str, address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an entry and settings that put the backend's queue in Redis at this address."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "celery": (asked_of(worker("mail")), {"env": {"BROKER": address}}),
        "rq": ({"ARGS": []}, test_rq.project(address)),
        "huey": ({}, over_redis(address)),
        "dramatiq": ({}, {"supervisor": test_dramatiq.project(address)}),
        "django-q2": ({}, test_django_q2.project(redis=address)),
    }
    return found[backend]


# How each queue is filled with two tasks; Celery's also gets a delayed one (others: LATER).
FILLED = {
    "celery": [
        *("filled.celery", True, ("hello", [], {"queue": "mail"})),
        *(("hello", [], {"queue": "mail", "countdown": 3600}), ("hello", [], {"queue": "mail"})),
    ],
    "rq": ["rq_jobs.enqueue", ["default", "hello"], ["default", "hello"]],
    "huey": ["huey_jobs.tasks.enqueue", "one", "two"],
    "dramatiq": ["dramatiq_jobs.tasks.enqueue", "one", "two"],
    "django-q2": ["q2_jobs.enqueue", ["jobs.hold.say", "one"], ["jobs.hold.say", "two"]],
}
LATER = {
    "rq": ["filled.rq_later", "default", "later"],
    "huey": ["filled.huey_later", "later"],
    "dramatiq": ["filled.dramatiq_later", "later"],
}


@pytest.mark.parametrize("backend", FILLED)
def test_measuring_a_queue_changes_nothing_in_redis(site: Site, redis: str, backend: str) -> None:
    """No worker runs that would set delayed tasks aside."""
    entry, how = on_redis(backend, redis)
    with sending() as sent:
        site.call(*FILLED[backend], **how)
    if backend in LATER:
        site.call(*LATER[backend], **how)

    def kept() -> dict[bytes, Any]:
        """All keys except kombu's bindings, which change with the temporary queue for replies."""
        keys = client.keys()
        return {key: client.dump(key) for key in keys if not key.startswith(b"_kombu.binding")}

    with Redis.from_url(redis) as client:
        before = kept()
        asked = ask(site, backend, entry, **how)
        assert kept() == before

    assert asked.queue[:2] == (2, 0)
    assert asked.queue.age is None or asked.waited(sent)
    assert (asked.queue.age is None) == (backend == "huey")


@pytest.mark.parametrize("backend", FILLED)
def test_an_unreachable_or_silent_redis_is_an_error(site: Site, backend: str) -> None:
    entry, how = on_redis(backend, f"redis://127.0.0.1:{free_port()}/0")
    assert "refused" in refusal(site, backend, entry, **how)

    with silent() as port:
        entry, how = on_redis(backend, f"redis://127.0.0.1:{port}/0")
        assert TIMEOUT.search(refusal(site, backend, entry, **how))


@pytest.mark.parametrize("backend", ["celery", "dramatiq"])
def test_an_unreachable_or_silent_rabbitmq_is_an_error(site: Site, backend: str) -> None:
    def at(port: int) -> tuple[dict[str, Any], dict[str, Any]]:
        address = f"amqp://guest:guest@127.0.0.1:{port}/%2F"
        if backend == "celery":
            return asked_of(worker("mail")), {"env": {"BROKER": address}}
        skip_without("pika")
        return {"ARGS": ["--queues", "mail"]}, {"supervisor": over_rabbitmq(address)}

    entry, how = at(free_port())
    said = refusal(site, backend, entry, **how)
    assert "refused" in said or "AMQPConnectionError" in said  # pika says no more than that.
    with silent() as port:
        entry, how = at(port)
        assert TIMEOUT.search(refusal(site, backend, entry, **how))


def test_an_unreachable_or_silent_database_is_an_error(site: Site) -> None:
    def at(port: int) -> dict[str, Any]:
        return {"supervisor": test_procrastinate.over(f"postgresql://tests@127.0.0.1:{port}/tests")}

    assert "refused" in refusal(site, "procrastinate", {}, **at(free_port()))
    with silent() as port:
        assert TIMEOUT.search(refusal(site, "procrastinate", {}, **at(port)))
