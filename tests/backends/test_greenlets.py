"""Greenlets with PostgreSQL: each gets its own answer, and they wait concurrently.

Whatever the start method, Python is patched before the project is imported. Otherwise Django would
keep its connections per thread, and all greenlets of a thread would share one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from signal import SIGINT, SIGTERM, Signals
from subprocess import STDOUT
from typing import Any, NamedTuple

import pytest

from django_prodserver.backends.parsers import require
from tests.backends.test_everything import filled
from tests.backends.test_same_program import LONG
from tests.inside import free_port
from tests.peers import get
from tests.running import Run, Site, is_there, skip_without
from tests.services import database, listens

skip_without("gevent")

ALONE, AUTO, SPAWN, FORK = "alone", "auto", "spawn", "fork"
# Whatever START_METHOD says, they are spawned.
WAYS = [ALONE, AUTO, SPAWN, FORK] if LONG else [ALONE, AUTO]
CLIENTS, REQUESTS = 8, 10
TASKS = 6


class Worker(NamedTuple):
    entry: dict[str, Any]
    settings: dict[str, Any]
    stop: Signals = SIGTERM


def celery(pool: str) -> Worker:
    args = {"pool": pool, "concurrency": TASKS}
    return Worker({"BACKEND": "celery", "APP": "workers", "ARGS": args}, {})


WORKERS = {
    "celery": celery("gevent"),
    "celery with eventlet": celery("eventlet"),
    "dramatiq": Worker(
        {"BACKEND": "dramatiq", "ARGS": {"use-gevent": True, "processes": 1, "threads": TASKS}},
        {
            "INSTALLED_APPS": ["django_dramatiq"],
            "DRAMATIQ_BROKER": {
                "BROKER": "dramatiq.brokers.redis.RedisBroker",
                "OPTIONS": {"url": "REDIS"},
                "MIDDLEWARE": ["dramatiq.middleware.AgeLimit", "dramatiq.middleware.Retries"],
            },
        },
    ),
    "huey": Worker(
        {"BACKEND": "huey", "ARGS": {"worker-type": "greenlet", "workers": TASKS}},
        {
            "INSTALLED_APPS": ["huey.contrib.djhuey"],
            "HUEY": {"huey_class": "huey.RedisHuey", "url": "REDIS", "immediate": False},
        },
        SIGINT,
    ),
}
WORKERS_NEED = {
    "celery with eventlet": ["eventlet"],
    "dramatiq": ["django_dramatiq"],
    "huey": ["huey"],
}


def test_a_missing_library_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="--use-fibres needs the package fibres: pip install fib"):
        require("fibres", "worker --use-fibres")


def start(site: Site, how: str, entry: dict[str, Any], **kwargs: Any) -> Run:
    if how == ALONE:
        return site({"one": entry}, "one", stderr=STDOUT, **kwargs)
    return site({"one": {**entry, "START_METHOD": how}}, stderr=STDOUT, **kwargs)


def settings_with(postgresql: str, **settings: Any) -> dict[str, Any]:
    apps = settings.pop("INSTALLED_APPS", [])
    default = {"default": database(postgresql)}
    return {"SETTINGS": {"INSTALLED_APPS": apps, "DATABASES": default, **settings}}


def answers(port: int) -> list[tuple[str, str]]:
    """Return the tokens that clients send concurrently, each with the database's answer."""

    def ask(client: int) -> list[tuple[str, str]]:
        tokens = [f"{client}-{number}" for number in range(REQUESTS)]
        return [(token, get(port, f"/answer/{token}")) for token in tokens]

    with ThreadPoolExecutor(CLIENTS) as clients:
        return [one for told in clients.map(ask, range(CLIENTS)) for one in told]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_each_of_80_requests_gets_its_own_answer(
    site: Site, postgresql: str, library: str, how: str
) -> None:
    if library == "eventlet" and not has_eventlet_workers():
        pytest.skip("this gunicorn has no workers of eventlet, or eventlet is missing")
    port = free_port()
    args = {"bind": f"127.0.0.1:{port}", "worker-class": library}
    entry = {"BACKEND": "gunicorn", "ARGS": args}
    run = start(site, how, entry, supervisor=settings_with(postgresql))
    while not listens(port):
        assert run.popen.poll() is None

    told = answers(port)

    assert len(told) == 80
    assert [one for one in told if one[0] != one[1]] == []
    assert run.end(SIGTERM) == 0


def has_eventlet_workers() -> bool:
    return is_there("eventlet") and int(version("gunicorn").split(".")[0]) < 26


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", WORKERS)
def test_six_tasks_run_concurrently_in_greenlets(
    site: Site, redis: str, postgresql: str, name: str, how: str
) -> None:
    missing = [one for one in WORKERS_NEED.get(name, ()) if not is_there(one)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed here")
    worker = WORKERS[name]
    given = settings_with(postgresql, **filled(worker.settings, {"REDIS": redis}))
    given["SETTINGS"].update(
        {"TASKS_OF": name.split()[0], "CELERY_BROKER_URL": redis, "ASYNC": False}
    )
    given["SETTINGS"]["INSTALLED_APPS"].insert(0, "lively")
    tokens = [f"task-{number}" for number in range(TASKS)]
    site.call("lively.tasks.enqueue", tokens, 1, supervisor=given)

    run = start(site, how, worker.entry, supervisor=given)
    told = reports(run, tokens)

    assert [one for one in told if one["answer"] != one["token"]] == []
    one = min(task["until"] - task["since"] for task in told)
    all_of_them = max(task["until"] for task in told) - min(task["since"] for task in told)
    assert all_of_them < 2 * one
    assert run.end(worker.stop if how == ALONE else SIGTERM) == 0


def reports(run: Run, tokens: Collection[str]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while len(told) < len(tokens):
        line = run.read()
        assert line is not None, "\n".join(run.raw)
        found = re.search(r'told (\{"token": .*\})', line.text)
        if found:
            told.append(json.loads(found[1]))
    return told
