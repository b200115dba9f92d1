"""Every backend with its real software under one supervisor; add new backends here."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from tests.inside import free_ports
from tests.peers import get
from tests.running import Site, is_there
from tests.services import database

# The entry of each backend; each PORT is another one, REDIS is the address of the queue.
ENTRIES: dict[str, dict[str, Any]] = {
    "gunicorn": {"ARGS": {"bind": "127.0.0.1:PORT"}},
    "gunicorn-asgi": {"ARGS": {"bind": "127.0.0.1:PORT"}},
    "uvicorn": {"ARGS": {"port": "PORT"}},
    "uvicorn-wsgi": {"ARGS": {"port": "PORT"}},
    "granian": {"ARGS": {"port": "PORT"}},
    "granian-wsgi": {"ARGS": {"port": "PORT"}},
    "hypercorn": {"ARGS": {"bind": "127.0.0.1:PORT"}},
    "hypercorn-wsgi": {"ARGS": {"bind": "127.0.0.1:PORT"}},
    "daphne": {"ARGS": {"port": "PORT"}},
    "waitress": {"ARGS": {"listen": "127.0.0.1:PORT"}},
    "uwsgi": {"ARGS": {"http-socket": "127.0.0.1:PORT"}},
    "celery": {"APP": "workers", "ARGS": {"concurrency": 1}},
    "celery-beat": {"APP": "workers"},
    "celery-flower": {"APP": "workers", "ARGS": {"address": "127.0.0.1", "port": "PORT"}},
    "rq": {"ARGS": ["default"]},
    "rq-scheduler": {"ARGS": {"queue": "default"}},
    "dramatiq": {"ARGS": {"processes": 1, "threads": 1}},
    "huey": {},
    "django-q2": {},
    "procrastinate": {},
    "django-tasks": {},
    "wait-for": {"ARGS": ["database"], "AFTER": []},
    "migrate": {},
    "runserver": {"ARGS": ["PORT"]},
    "command": {"ARGS": ["migrate", "--noinput"], "TYPE": "oneshot", "AFTER": []},
    "shell": {"ARGS": ["sleep", "1000"]},
}

# The settings that the project needs for each backend.
SETTINGS: dict[str, dict[str, Any]] = {
    "rq": {"INSTALLED_APPS": ["django_rq"], "RQ_QUEUES": {"default": {"URL": "REDIS"}}},
    "dramatiq": {
        "INSTALLED_APPS": ["django_dramatiq"],
        "DRAMATIQ_BROKER": {
            "BROKER": "dramatiq.brokers.redis.RedisBroker",
            "OPTIONS": {"url": "REDIS"},
        },
    },
    "huey": {
        "INSTALLED_APPS": ["huey.contrib.djhuey"],
        "HUEY": {"huey_class": "huey.RedisHuey", "url": "REDIS", "immediate": False},
    },
    "django-q2": {
        "INSTALLED_APPS": ["django_q"],
        "Q_CLUSTER": {"name": "everything", "redis": "REDIS", "workers": 1},
    },
    "procrastinate": {"INSTALLED_APPS": ["procrastinate.contrib.django"]},
}

# Further modules to look for: one that older gunicorns lack, and the one that brings uWSGI.
PARTS = {"gunicorn-asgi": "gunicorn.asgi", "uwsgi": "pyuwsgi"}


def missing(name: str) -> Sequence[str]:
    """The modules of a backend that are not installed here."""
    modules = [*import_string(BUILT_IN[name]).requires, *filter(None, [PARTS.get(name)])]
    return [module for module in modules if not is_there(module)]


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_backend_has_an_entry_here(name: str) -> None:
    """A backend whose software is missing is skipped, so that the summary names it."""
    assert name in ENTRIES
    if missing(name):
        pytest.skip(f"{name} is left out: {', '.join(missing(name))} is not installed here")


def test_all_backends_run_under_one_supervisor(site: Site, redis: str, postgresql: str) -> None:
    names = [name for name in BUILT_IN if not missing(name)]
    ports = dict(zip(names, free_ports(len(names))))
    processes = {
        name: {
            "BACKEND": name,
            "AFTER": ["command"],
            **filled(ENTRIES[name], {"PORT": str(ports[name])}),
        }
        for name in names
    }
    settings = settings_for(names, redis, postgresql)

    run = site(processes, env={"BROKER": redis}, supervisor={"SETTINGS": settings})
    run.wait_for("system", f"^all {len(names)} ready after")

    for name in names:
        if "PORT" in str(ENTRIES[name]):
            path, answer = ("/healthcheck", "OK") if name == "celery-flower" else ("/", "served by")
            assert get(ports[name], path).startswith(answer), name
    assert run.end(signal.SIGTERM) == 0
    said = run.said("system")
    print("\n".join(said[:8]))
    assert not [line for line in said if "the preload left" in line]
    ended = {line.split()[0] for line in said if " stopped after " in line or "finished" in line}
    assert ended == {*(f"{name}.1" for name in names), "all"}


def settings_for(names: Iterable[str], redis: str, postgresql: str) -> dict[str, Any]:
    """Return the settings of a project with all of these backends."""
    settings: dict[str, Any] = {
        "INSTALLED_APPS": [],
        "DATABASES": {"default": database(postgresql)},
    }
    for name in names:
        for key, value in filled(SETTINGS.get(name, {}), {"REDIS": redis}).items():
            settings[key] = settings[key] + value if key == "INSTALLED_APPS" else value
    return settings


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """Return the value with each of the words replaced."""
    if isinstance(value, dict):
        return {key: filled(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, words) for one in value]
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace(word, text)
    return value
