"""wait-for with real servers, with silent servers, and with servers that start later."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from signal import SIGTERM
from typing import Any

import psutil
import pytest
from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.wait_for import WaitFor
from django_prodserver.settings.schema import OF_BACKENDS
from tests.backends.test_locks import between
from tests.inside import configured, free_port, prodserver, refused, sleeper
from tests.running import Site
from tests.services import RabbitMQ, connections, database

pytest.importorskip("psycopg", reason="the Python package psycopg is missing")

IN_MEMORY = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}


def waiting(*words: str, **entry: Any) -> dict[str, Any]:
    return {"wait": {"BACKEND": "wait-for", "ARGS": list(words), **entry}}


def using(**settings: Any) -> dict[str, Any]:
    return {"SETTINGS": settings}


@contextmanager
def silent() -> Iterator[int]:
    """Yield the port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield server.getsockname()[1]


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.server.well else 503)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """The test prints what it needs."""


@contextmanager
def web_server() -> Iterator[Any]:
    """A server that answers with 503 until it is `well`."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        server.well = False  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


# ---- the settings ----


def test_a_backend_has_the_same_defaults_under_its_name_and_under_its_path() -> None:
    for name, path in BUILT_IN.items():
        assert OF_BACKENDS.get(name) == OF_BACKENDS.get(path)
    assert {*OF_BACKENDS} <= {*BUILT_IN, *BUILT_IN.values()}


@pytest.mark.parametrize("backend", ["wait-for", BUILT_IN["wait-for"]])
def test_wait_for_is_a_oneshot_unless_its_type_says_otherwise(backend: str) -> None:
    once = {"BACKEND": backend, "ARGS": ["path:/"]}
    processes = {"once": once, "on": {**once, "TYPE": "service", "RESTART": "always"}}

    listed = json.loads(prodserver(processes, "--list", "--json"))

    assert [(one["name"], one["type"]) for one in listed] == [
        ("once", "oneshot"),
        ("on", "service"),
    ]


def test_a_key_for_services_is_refused() -> None:
    (said,) = refused(waiting("path:/", READY_TIMEOUT=3))

    assert said.startswith("PRODUCTION_PROCESSES['wait']['READY_TIMEOUT'] is for a service")


@pytest.mark.parametrize(
    "args",
    [
        ["database", "path:/srv", "--timeout=60", "--interval", "2"],
        ["--interval=2", "database", "--timeout=60", "path:/srv", "database"],
        {"for": ["database", "path:/srv"], "timeout": 60, "interval": 2},
    ],
)
def test_args_as_a_list_and_as_a_mapping_mean_the_same(args: Any) -> None:
    options = WaitFor(ARGS=args).parse()

    assert options.dependencies == ["database", "path:/srv"]
    assert (options.timeout, options.interval) == (60, 2)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("databases", "which cannot be waited for", "Did you mean 'database'?"),
        ("database:defaults", "but DATABASES has no 'defaults'", "Did you mean 'default'?"),
        ("migrations:other", "but DATABASES has no 'other'", "Known: default."),
        ("cache:other", "but CACHES has no 'other'", "Known: default."),
        ("broker", "but there is no APP", "Name the Celery app"),
        ("broker:tests.nothing", "but 'tests.nothing' cannot be imported", "Name the Celery app"),
        ("broker:tests.inside.sleeper", "is not a Celery app", "Name the Celery app"),
        ("tcp:localhost:80", "which has no //", "Write tcp://host:port"),
        ("tcp://localhost", "is not host:port", "Write tcp://host:port"),
        ("http://", "which is not a URL", "Write one such as"),
        ("path:", "which cannot be waited for", "Known: "),
        ("tests.inside.nothing", "which cannot be imported", "Write the dotted path"),
        ("tests.inside.QUICKSTART", "which cannot be imported", "Write the dotted path"),
        ("tests.running.SHELL", "which cannot be called", "Write the dotted path"),
    ],
)
@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
def test_a_wrong_dependency_is_found_before_anything_starts(
    word: str, message: str, hint: str
) -> None:
    if word.startswith("broker:"):
        pytest.importorskip("celery", reason="the Python package celery is missing")
    with configured({}, DATABASES=IN_MEMORY):
        (problem,) = WaitFor(ARGS=[word]).problems()

    assert problem.place == "ARGS"
    assert problem.message.startswith(f"has {word!r}, ")
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--timeout=0", "argument --timeout: '0' is not a positive number of seconds"),
        ("--interval=soon", "argument --interval: 'soon' is not a positive number of seconds"),
        ("--timeout=nan", "argument --timeout: 'nan' is not a positive number of seconds"),
        ("--tmeout=3", "unrecognized arguments: --tmeout=3"),
    ],
)
def test_a_wrong_option_is_found_before_anything_starts(option: str, message: str) -> None:
    (said,) = refused(waiting("path:/", option))

    assert message in said


# ---- available at once, or later ----


def test_wait_for_waits_for_all_its_dependencies_and_finishes(
    site: Site, redis: str, postgresql: str
) -> None:
    pytest.importorskip("celery", reason="the Python package celery is missing")
    (site.project / "ready.py").write_text("def yes():\n    return True\n")
    cache = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis}
    }
    settings = using(DATABASES={"default": database(postgresql)}, CACHES=cache, INSTALLED_APPS=[])
    tcp = "tcp://" + redis.partition("//")[2].partition("/")[0]
    words = ["database", "cache", "broker", tcp, "path:manage.py", "ready.yes"]
    processes = {**waiting(*words, APP="workers"), "web": sleeper(AFTER=["wait"])}

    with site.running(processes, supervisor=settings, env={"BROKER": redis}) as run:
        said = run.said("wait.1")
        finished = [line for line in run.said("system") if line.startswith("wait.1 finished")]
        assert run.stop() == 0

    begins = [
        *("database default answered", "cache default answered", "broker workers answered"),
        *(f"{tcp} accepted a connection", "path manage.py is there", "ready.yes returned true"),
    ]
    assert len(finished) == 1
    assert sorted(line.rpartition(" after ")[0] for line in said) == sorted(begins)


def test_wait_for_waits_for_migrations_that_another_deployment_applies(
    site: Site, postgresql: str
) -> None:
    settings = using(DATABASES={"default": database(postgresql)})
    gate = site.project / "gate"
    os.mkfifo(gate)
    command = f"read line < {gate}; exec {os.sys.executable} -W ignore manage.py migrate -v 0"
    other = {"BACKEND": "shell", "ARGS": command, "TYPE": "oneshot"}
    processes = {**waiting("migrations", "--timeout=60", "--interval=0.1"), "other": other}

    run = site(processes, "--all", supervisor=settings)
    run.wait_for("wait.1", r"^still waiting for migrations default after 1\d s: .* not applied")
    gate.write_text("go\n")

    assert run.end() == 0, run.stdout
    assert "migrations default are applied after" in run.said("wait.1")[-1]


def test_a_late_dependency_is_waited_for_and_logged_after_ten_seconds(site: Site) -> None:
    with web_server() as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        file = site.project / "late"
        run = site(waiting(url, f"path:{file}", "--interval=0.1"), "--all")
        run.wait_for("wait.1", rf"^still waiting for {url} after 1\d s: HTTPError: HTTP Error 503")
        run.wait_for("wait.1", rf"^still waiting for path {file} after 1\d s: it does not exist")
        server.well = True
        run.wait_for("wait.1", rf"^{url} answered after \d+\.\d s")
        file.touch()

        assert run.end() == 0, run.stdout
    assert run.said("wait.1")[-1].startswith(f"path {file} is there after ")


@pytest.mark.long
def test_wait_for_waits_for_a_rabbitmq_broker(site: Site, rabbitmq: RabbitMQ) -> None:
    pytest.importorskip("celery", reason="the Python package celery is missing")
    run = site(waiting("broker", APP="workers"), "--all", env={"BROKER": rabbitmq.address})

    assert run.end() == 0, run.stdout
    assert run.said("wait.1")[-1].startswith("broker workers answered after ")


def test_wait_for_survives_an_outage_of_the_database(site: Site, postgresql: str) -> None:
    """If the database stops answering, the wait goes on, and succeeds once it answers again."""
    with between(postgresql) as (address, gate):
        settings = using(DATABASES={"default": database(address)})
        words = ("migrations", "--timeout=300", "--interval=0.1")
        run = site(waiting(*words), "--all", supervisor=settings)
        run.wait_for("wait.1", r"^still waiting for migrations default after 1\d s: .* not applied")
        gate.close()
        run.wait_for("wait.1", r"^still waiting for migrations default after \d+ s: .*refused")
        gate.open()
        run.wait_for("wait.1", r"^still waiting for migrations default after \d+ s: .*not applied")
        alone = {"PRODSERVER_CONTROL": "0"}
        migrate = {"m": {"BACKEND": "migrate"}}
        assert site(migrate, "--all", supervisor=settings, env=alone).end() == 0

        assert run.end() == 0, run.stdout
    assert "migrations default are applied after" in run.said("wait.1")[-1]


# ---- never available ----


def test_wait_for_gives_up_on_a_silent_server_at_its_timeout(site: Site) -> None:
    pytest.importorskip("celery", reason="the Python package celery is missing")
    with silent() as port:
        hung = database(f"postgresql://tests@127.0.0.1:{port}/tests")
        words = ["database", "broker", f"http://127.0.0.1:{port}/", "--timeout=1"]
        broker = {"BROKER": f"redis://127.0.0.1:{port}/0"}
        settings = using(DATABASES={"default": hung})
        run = site(waiting(*words, APP="workers"), "--all", supervisor=settings, env=broker)

        assert run.end() == 1

    reasons = {line.partition(" after ")[0]: line for line in run.said("wait.1")}
    assert {*reasons} == {
        f"gave up on {name}" for name in ("database default", "broker workers", words[2])
    }
    assert all("no answer within 1 s" in line for line in reasons.values())


def test_the_error_message_of_the_database_is_shown(site: Site, postgresql: str) -> None:
    there = database(postgresql)
    settings = using(
        DATABASES={
            "default": {**there, "NAME": "nowhere"},
            "stranger": {**there, "USER": "stranger"},
            "closed": {**there, "PORT": free_port()},
        }
    )
    words = ["database", "database:stranger", "migrations:closed", "--timeout=1"]

    run = site(waiting(*words), "--all", supervisor=settings)

    assert run.end() == 1
    first, second, third = run.said("wait.1")
    assert 'database "nowhere" does not exist' in first
    assert 'role "stranger" does not exist' in second
    assert re.match(r"gave up on migrations closed after \d+ s: OperationalError: ", third)


@pytest.mark.parametrize("word", ["database", "migrations"])
def test_a_missing_sqlite_file_is_reported_and_not_created(site: Site, word: str) -> None:
    file = site.project / "none.sqlite3"
    one = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}

    run = site(waiting(word, "--timeout=1"), "--all", supervisor=using(DATABASES={"default": one}))

    assert run.end() == 1
    (gave_up,) = run.said("wait.1")
    assert re.fullmatch(rf"gave up on {word} default after \d+ s: there is no file {file}", gave_up)
    assert not file.exists()


def test_a_function_that_raises_or_returns_none_is_reported_with_the_reason(site: Site) -> None:
    (site.project / "ready.py").write_text(
        "def no():\n    raise RuntimeError('three left')\ndef none(): ...\n"
    )

    run = site(waiting("ready.no", "ready.none", "--timeout=1"), "--all")

    assert run.end() == 1
    first, second = run.said("wait.1")
    assert re.fullmatch(
        r"gave up on ready\.no after \d+ s: RuntimeError: three left \(ready\.py, line 2\)", first
    )
    assert re.fullmatch(r"gave up on ready\.none after \d+ s: it returned None", second)


# ---- stopping, and the supervisor's connections ----


def test_a_stop_ends_the_wait_at_once_and_the_supervisor_has_no_connection(
    site: Site, postgresql: str
) -> None:
    with silent() as port:
        hung = database(f"postgresql://tests@127.0.0.1:{port}/tests")
        settings = using(DATABASES={"default": database(postgresql), "hung": hung})
        run = site(waiting("database", "database:hung"), "--all", supervisor=settings)
        run.wait_for("wait.1", "^database default answered")
        supervisor = psutil.Process(run.pid)

        assert connections(supervisor.pid) == []
        assert run.end(SIGTERM) == 0
    stopped = [line for line in run.said("system") if line.startswith("wait.1 ")]
    assert float(stopped[-1].split(" after ")[1].split()[0]) < 1, stopped


def test_the_name_wait_for_refers_to_its_backend() -> None:
    assert import_string(BUILT_IN["wait-for"]) is WaitFor


def test_mariadb_is_waited_for(site: Site, mariadb: dict[str, Any]) -> None:
    run = site(waiting("database", "migrations"), supervisor=using(DATABASES={"default": mariadb}))

    run.wait_for("wait.1", "^database default answered")
    assert run.end(SIGTERM) == 0


def test_a_wrong_mariadb_password_is_reported(site: Site, mariadb: dict[str, Any]) -> None:
    settings = using(DATABASES={"default": {**mariadb, "PASSWORD": "wrong"}})
    run = site(waiting("database", "--timeout=1"), supervisor=settings)

    assert run.end() == 1
    assert any("gave up on database default" in line for line in run.said("wait.1"))
    assert any("Access denied" in line for line in run.said("wait.1"))
