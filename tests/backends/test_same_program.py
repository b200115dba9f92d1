"""A project behaves the same under the software's own command and under prodserver.

On setup the project opens a pool of PostgreSQL connections and a connection to memcached, draws a
random number, and starts a polling thread. Processes that share any of these get wrong answers.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from signal import SIGINT, SIGTERM, Signals
from subprocess import STDOUT
from typing import Any, NamedTuple

import django
import pytest

from django_prodserver.backends import BUILT_IN
from tests.backends.test_everything import missing
from tests.inside import free_port, sleeper
from tests.peers import get
from tests.running import Run, Site, skip_without
from tests.services import database, listens

skip_without("numpy")
skip_without("psycopg_pool")
skip_without("pymemcache")

# Set by `make same`. Without it, everything is reduced, to save time.
LONG = bool(os.environ.get("PRODSERVER_TEST_LONG"))
CLIENTS = 8
REQUESTS = 25 if LONG else 5

# Ways to start it. "auto" spawns if the preload has a thread; FORKED is "auto" without one.
PLAIN, ALONE, AUTO, SPAWNED, FORKED = "plain", "alone", "auto", "spawned", "forked"
WAYS = [ALONE, AUTO, SPAWNED, FORKED] if LONG else [ALONE, AUTO, FORKED]


class Software(NamedTuple):
    """The software's own command, and the arguments that it shares with ARGS.

    They replace the word ARGS in the command, or follow it. PORT stands for a port.
    """

    command: str
    args: str
    entry: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    stop: Signals = SIGTERM
    # Requests or tasks are coroutines.
    asynchronous: bool = False
    # What each of its two workers prints once it runs; stopped earlier, it never exits. (granian's
    # may not exit either if stopped at that very line, hence its `--workers-kill-timeout`.)
    runs: str = ""
    # Under its own command, its processes share what was opened before the fork, and some tasks
    # are lost: there is nothing to compare with.
    shares: bool = False

    @property
    def has_tasks(self) -> bool:
        return "PORT" not in self.args


BIND, AT_PORT = "--bind=127.0.0.1:PORT", "--port=PORT"
SOFTWARE = {
    "gunicorn": Software("gunicorn wsgi", f"{BIND} --workers=2 --threads=4"),
    "gunicorn-asgi": Software("gunicorn asgi -k asgi", f"{BIND} --workers=2", asynchronous=True),
    "uvicorn": Software("uvicorn asgi:application", f"{AT_PORT} --workers=2", asynchronous=True),
    "uvicorn-wsgi": Software("uvicorn wsgi:application --interface=wsgi", f"{AT_PORT} --workers=2"),
    "granian": Software(
        "granian asgi:application --interface=asgi",
        f"{AT_PORT} --workers=2 --workers-kill-timeout=5",
        asynchronous=True,
        runs=r"Started worker-\d",
    ),
    "granian-wsgi": Software(
        "granian wsgi:application --interface=wsgi",
        f"{AT_PORT} --workers=2 --workers-kill-timeout=5 --blocking-threads=4",
        runs=r"Started worker-\d",
    ),
    "hypercorn": Software("hypercorn asgi:application", f"{BIND} --workers=2", asynchronous=True),
    "hypercorn-wsgi": Software("hypercorn wsgi:application", f"{BIND} --workers=2"),
    "daphne": Software("daphne asgi:application", AT_PORT, asynchronous=True),
    # On SIGTERM, waitress itself exits in the middle of a request.
    "waitress": Software(
        "waitress ARGS wsgi:application", "--listen=127.0.0.1:PORT --threads=4", stop=SIGINT
    ),
    # Without `lazy-apps` its workers share what was opened before the fork.
    "uwsgi": Software(
        "-c __import__('pyuwsgi').run() --master --die-on-term --module=wsgi",
        "--http-socket=127.0.0.1:PORT --processes=2 --threads=4 --lazy-apps",
    ),
    "celery": Software("celery -A workers worker", "--concurrency=2", {"APP": "workers"}),
    "rq": Software(
        "manage.py rqworker",
        "default",
        settings={"INSTALLED_APPS": ["django_rq"], "RQ_QUEUES": {"default": {"URL": "REDIS"}}},
    ),
    "dramatiq": Software(
        "manage.py rundramatiq",
        "--processes=2 --threads=4",
        settings={
            "INSTALLED_APPS": ["django_dramatiq"],
            "DRAMATIQ_BROKER": {
                "BROKER": "dramatiq.brokers.redis.RedisBroker",
                "OPTIONS": {"url": "REDIS"},
                "MIDDLEWARE": ["dramatiq.middleware.AgeLimit", "dramatiq.middleware.Retries"],
            },
        },
    ),
    "huey": Software(
        "manage.py run_huey",
        "--workers=4",
        settings={
            "INSTALLED_APPS": ["huey.contrib.djhuey"],
            "HUEY": {"huey_class": "huey.RedisHuey", "url": "REDIS", "immediate": False},
        },
        stop=SIGINT,
    ),
    "django-q2": Software(
        "manage.py qcluster",
        "",
        settings={
            "INSTALLED_APPS": ["django_q"],
            "Q_CLUSTER": {
                "name": "same",
                "redis": "REDIS",
                "workers": 2,
                "timeout": 60,
                "retry": 120,
            },
        },
        shares=True,
    ),
    "procrastinate": Software(
        "manage.py procrastinate worker",
        "",
        settings={
            "INSTALLED_APPS": ["procrastinate.contrib.django"],
            "PROCRASTINATE_IMPORT_PATHS": ["lively.tasks"],
        },
        asynchronous=True,
    ),
    "django-tasks": Software("manage.py db_worker", "--interval=0"),
}
# One of each kind: an arbiter that forks, a server in Rust, a command that executes another.
SHORT = ["gunicorn", "granian-wsgi", "dramatiq"]
# These have neither requests nor tasks.
NEITHER = {
    "wait-for",
    "migrate",
    "runserver",
    "celery-beat",
    "celery-flower",
    "rq-scheduler",
    "command",
    "shell",
}


class Outcome(NamedTuple):
    """What clients or tasks received, and how the program exited."""

    wrong: list[Any]
    # Whether the thread was alive in the processes that served: in all, in none, or both.
    polls: set[bool]
    # Whether each process drew its own random number.
    differ: bool
    status: int


def filled(value: Any, words: Mapping[str, str]) -> Any:
    text = json.dumps(value)
    for word, stands_for in words.items():
        text = text.replace(word, stands_for)
    return json.loads(text)


def asked(run: Run, port: int) -> Iterator[dict[str, Any]]:
    """Yield the answers to clients that send requests concurrently."""
    while not listens(port):
        assert run.popen.poll() is None, run.read()

    def client(number: int) -> list[dict[str, Any]]:
        return [answer_of(port, f"{number}-{request}") for request in range(REQUESTS)]

    with ThreadPoolExecutor(CLIENTS) as clients:
        for reports in clients.map(client, range(CLIENTS)):
            yield from reports


def answer_of(port: int, token: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(get(port, f"/report/{token}"))
    except (OSError, http.client.HTTPException, ValueError, AssertionError) as error:
        return {"error": repr(error)}
    return found if found["token"] == token else {"error": f"{token} was told {found}"}


def done(run: Run, tokens: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the reports that tasks print; some may have been printed before this is called."""
    waiting, lines = {*tokens}, iter(run.lines)
    while waiting:
        line = next(lines, None) or run.read()
        assert line is not None, f"never told: {waiting}\n" + "\n".join(run.raw)
        found = re.search(r'told (\{"token": .*\})', line.text)
        if found:
            report = json.loads(found[1])
            waiting.discard(report["token"])
            yield report


def outcome(site: Site, name: str, how: str, settings: Mapping[str, Any]) -> Outcome:
    """Start the software in this way, let it serve, and stop it."""
    software, port, given = SOFTWARE[name], free_port(), {"SETTINGS": settings}
    args = software.args.replace("PORT", str(port)).split()
    entry = {"BACKEND": name, "ARGS": args, **software.entry}
    env = {"DJANGO_ALLOW_ASYNC_UNSAFE": "1", "POLLS": "" if how == FORKED else "1"}
    env["BROKER"] = settings["CELERY_BROKER_URL"]
    tokens = [f"{how}-{number}" for number in range(CLIENTS * REQUESTS)]
    if software.has_tasks:
        site.call("lively.tasks.enqueue", tokens, supervisor=given, env=env)

    stop = SIGTERM
    common: dict[str, Any] = {"supervisor": given, "env": env, "stderr": STDOUT}
    if how == PLAIN:
        stop, env["DJANGO_SETTINGS_MODULE"] = software.stop, "settings"
        module = [] if software.command.startswith(("manage.py", "-c")) else ["-m"]
        before, _, after = software.command.partition("ARGS")
        words = ["-W", "ignore", *module, *before.split(), *args, *after.split()]
        *program, last = words
        run = site({"any": sleeper()}, last, program=program, **common)
    elif how == ALONE:
        stop = software.stop
        run = site({"one": entry}, "one", **common)
    else:
        entry["START_METHOD"] = "spawn" if how == SPAWNED else "auto"
        run = site({"one": entry}, **common)
        run.wait_for("system", "all 1 ready")
    reports = list(done(run, tokens) if software.has_tasks else asked(run, port))
    while software.runs and sum(bool(re.search(software.runs, at.text)) for at in run.lines) < 2:
        assert run.read() is not None, "\n".join(run.raw)
    status = run.end(stop)

    right = [one for one in reports if "error" not in one]
    numbers = {one["pid"]: one["drawn"] for one in right}
    return Outcome(
        wrong=[one for one in reports if not is_right(one)],
        polls={one["polls"] for one in right},
        differ=len({*numbers.values()}) == len(numbers),
        status=status,
    )


def is_right(report: Mapping[str, Any]) -> bool:
    return "error" not in report and report["answer"] == report["cached"] == report["token"]


def test_each_server_and_worker_backend_has_a_command_in_this_file() -> None:
    assert {*SOFTWARE} >= {*BUILT_IN} - NEITHER


@pytest.fixture(name="services")
def services_fixture(redis: str, postgresql: str, memcached: str) -> dict[str, str]:
    return {"redis": redis, "postgresql": postgresql, "memcached": memcached}


@pytest.mark.parametrize("name", SOFTWARE if LONG else SHORT)
def test_software_serves_the_same_answers_as_under_its_own_command(
    site: Site, name: str, services: dict[str, str]
) -> None:
    if missing(name):
        pytest.skip(f"{', '.join(missing(name))} is not installed here")
    settings = settings_of(name, services)

    plain = Outcome([], {False}, True, 0)
    if not SOFTWARE[name].shares:
        plain = outcome(site, name, PLAIN, settings)
    ours = {how: outcome(site, name, how, settings) for how in WAYS}

    assert plain.wrong == []
    for how, found in ours.items():
        assert found.wrong == [], how
        assert found.differ or not plain.differ, how
        assert found.polls == ({False} if how == FORKED else plain.polls), how
        assert found.status == (plain.status if how == ALONE else 0), how


def settings_of(name: str, services: Mapping[str, str]) -> dict[str, Any]:
    """Return the project's settings for this software."""
    software = SOFTWARE[name]
    pool = {"pool": {"min_size": 2, "max_size": 10}} if django.VERSION >= (5, 1) else {}
    cache = {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": services["memcached"],
        "KEY_PREFIX": name,
    }
    more = filled(software.settings, {"REDIS": services["redis"]})
    return {
        **more,
        "INSTALLED_APPS": ["lively", *more.get("INSTALLED_APPS", [])],
        "DATABASES": {"default": {**database(services["postgresql"]), "OPTIONS": pool}},
        "CACHES": {"default": cache},
        "CELERY_BROKER_URL": services["redis"],
        "TASKS_OF": name if software.has_tasks else "",
        "ASYNC": software.asynchronous,
    }
