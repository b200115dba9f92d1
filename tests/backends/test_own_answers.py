"""Each client gets its own answer, even if the project queried the database before the fork.

Processes that share a socket receive each other's answers. Django's pool keeps its sockets open
when a connection is closed.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from signal import SIGTERM
from subprocess import STDOUT
from typing import Any

import django
import pytest

from tests.inside import CELERY, free_port
from tests.running import Run, Site, skip_without
from tests.services import database

skip_without("psycopg_pool")
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(django.VERSION < (5, 1), reason="this Django has no pool yet"),
]

CLIENTS = 8
REQUESTS = 25
TASKS = 40

# Each runs two processes that serve.
SERVERS = {
    "gunicorn": {"workers": 2, "threads": 4},
    "granian-wsgi": {"workers": 2, "blocking-threads": 4},
    "uvicorn": {"workers": 2},
    "hypercorn": {"workers": 2},
    "uwsgi": {"processes": 2, "threads": 4},
}
# The option that takes a whole address.
WHERE = {"gunicorn": "bind", "hypercorn": "bind", "uwsgi": "http-socket"}
# The line that each of the two prints once it runs.
SAYS = {
    "gunicorn": "Booting worker",
    "granian-wsgi": "Started worker",
    "uvicorn": "Application startup complete",
    "hypercorn": "Running on",
    "uwsgi": r"\(accepting\)",
}
DONE = r"Task pooled\.tasks\.write_answer\S* (succeeded|raised)"
WORKER = {"BACKEND": CELERY, "APP": "workers", "ARGS": {"concurrency": 2, "loglevel": "info"}}


@pytest.fixture(name="settings")
def settings_fixture(postgresql: str) -> dict[str, Any]:
    default = {**database(postgresql), "OPTIONS": {"pool": {"min_size": 2, "max_size": 4}}}
    return {"INSTALLED_APPS": ["pooled"], "DATABASES": {"default": default}}


def server(backend: str) -> tuple[dict[str, Any], int]:
    port = free_port()
    option = WHERE.get(backend)
    where: dict[str, Any] = {"host": "127.0.0.1", "port": port}
    if option is not None:
        where = {option: f"127.0.0.1:{port}"}
    return {"BACKEND": backend, "ARGS": {**where, **SERVERS[backend]}}, port


def asking(when: str) -> dict[str, str]:
    # uvicorn imports the application in its event loop.
    return {"ASKS_THE_DATABASE": when, "DJANGO_ALLOW_ASYNC_UNSAFE": "1"}


def wait_for_listener(connection: http.client.HTTPConnection) -> None:
    """A server may print its line before it listens."""
    while True:
        try:
            connection.connect()
        except ConnectionRefusedError:
            continue
        return


def wrong_answers(ports: Sequence[int]) -> list[tuple[str, str]]:
    """Return the answers that were meant for another client; each uses every port in turn."""

    def ask(client: int) -> list[tuple[str, str]]:
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for port in ports]
        wrong = []
        for number in range(REQUESTS):
            for connection in connections:
                token = f"{client}-{number}"
                try:
                    if number == 0:
                        wait_for_listener(connection)
                    connection.request("GET", f"/answer/{token}", headers={"Connection": "close"})
                    said = connection.getresponse().read().decode()
                except (OSError, http.client.HTTPException) as error:
                    return [*wrong, (token, repr(error))]
                finally:
                    connection.close()
                if said != token:
                    wrong.append((token, said[:100]))
        return wrong

    with ThreadPoolExecutor(CLIENTS) as clients:
        return [answer for told in clients.map(ask, range(CLIENTS)) for answer in told]


def wait_for_answers(site: Site, run: Run) -> list[list[str]]:
    """Return the answers that tasks received: each line is a token and its answer."""
    while len([text for text in run.said("worker.1") if re.search(DONE, text)]) < TASKS:
        assert run.read() is not None, run.raw
    return [line.split() for line in (site.project / "answers").read_text().splitlines()]


@pytest.mark.parametrize(
    ("method", "asked"), [("auto", "ready"), ("spawn", "ready"), ("auto", "check")]
)
def test_every_client_and_task_gets_its_own_answer(
    site: Site, settings: dict[str, Any], method: str, asked: str
) -> None:
    servers = {name: server(name) for name in SERVERS}
    processes = {name: entry for name, (entry, _) in servers.items()}
    tokens = [f"task-{number}" for number in range(TASKS)]
    site.call("pooled.tasks.send", tokens, supervisor={"SETTINGS": settings})
    run = site(
        {**processes, "worker": WORKER},
        supervisor={"START_METHOD": method, "SETTINGS": settings},
        env=asking(asked),
    )
    run.wait_for("system", f"all {len(processes) + 1} ready")

    wrong = wrong_answers([port for _, port in servers.values()])
    answers = wait_for_answers(site, run)

    assert run.end(SIGTERM) == 0
    assert wrong == []
    assert sorted(answers) == sorted([token, token] for token in tokens)
    assert not [line for line in run.said("system") if "thread" in line]


@pytest.mark.parametrize(
    ("name", "asked"), [*((name, "ready") for name in SERVERS), ("gunicorn", "check")]
)
def test_every_client_of_a_server_without_a_supervisor_gets_its_own_answer(
    site: Site, settings: dict[str, Any], name: str, asked: str
) -> None:
    entry, port = server(name)
    supervisor, env = {"SETTINGS": settings}, asking(asked)
    run = site({"web": entry}, "web", supervisor=supervisor, env=env, stderr=STDOUT)
    run.wait_for_all(("", SAYS[name]), ("", SAYS[name]))

    assert wrong_answers([port]) == []
    assert run.end(SIGTERM) == 0
