"""The handler in Lambda's own runtime client, beside gunicorn with the same application."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import pytest

from django_prodserver.serverless.events import Sender
from django_prodserver.serverless.handler import ACCEPTED
from tests.serverless.requests import Answer, Request, answer, as_far_as_sent, event, received
from tests.serverless.runtime_api import PROJECT, VERSION, Function, TimedOut

pytestmark = pytest.mark.skipif(
    find_spec("awslambdaric") is None,
    reason="awslambdaric, which needs Python 3.10, is not installed",
)

SENDERS = pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.name)
TEXT = "Größe 100 % & mehr + \U0001f40d"
KEYS = ["a", "b c", "ü", "per%cent", "e=q&l"]
VALUES = ["", "1", "x y", "50%", "%41", "a+b", "a&b=c", TEXT]
PATHS = ["/", "/echo/a", "/echo/a%20b/", "/echo/%C3%A9t%C3%A9", "/echo/a+b;c,d", "/echo/100%25"]
METHODS = ["GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
STATUSES = ["200", "200", "201", "400", "404", "418", "500", "503"]
OTHERS = ["/image", "/latin", "/streamed", "/compressed", "/unchanged", "/fails", "/nowhere"]


def some_request(chance: random.Random) -> Request:
    if chance.random() < 0.3:
        return Request(chance.choice(["GET", "HEAD"]), chance.choice(OTHERS))
    query = [("status", chance.choice(STATUSES)), ("cookies", str(chance.randrange(4)))]
    for key in chance.sample(KEYS, chance.randrange(4)):
        query += [(key, chance.choice(VALUES)) for _ in range(chance.randrange(1, 4))]
    method = chance.choice(METHODS)
    headers = [("X-Tag", "one"), ("X-Tag", "two"), ("X_Tag", "forged"), ("X-Empty", "")]
    if chance.random() < 0.5:
        headers.append(("X-Forwarded-For", "203.0.113.9"))
    body = b""
    if method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        kind, body = chance.choice(
            [
                ("application/octet-stream", chance.randbytes(chance.randrange(2000))),
                ("text/plain; charset=utf-8", (TEXT * chance.randrange(40)).encode()),
                ("application/json", b'{"manage": ["flush", "--noinput"]}'),
                ("application/x-www-form-urlencoded", b"a=1&a=%25"),
            ]
        )
        headers.append(("Content-Type", kind))
    cookies = [(f"k{number}", f"v{number}") for number in range(chance.randrange(4))]
    return Request(method, chance.choice(PATHS), query, headers, cookies, body)


class Gunicorn:
    """It serves the same application. What connects before it is ready waits in the socket."""

    def __init__(self, log: Path) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = listener.getsockname()
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": str(PROJECT),
        }
        with listener, log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-b", f"fd://{listener.fileno()}", "shop.wsgi"],
                env=environ,
                pass_fds=[listener.fileno()],
                stdout=output,
                stderr=output,
            )

    def ask(self, request: Request) -> Answer:
        with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
            connection.putrequest(
                request.method, request.target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.all_headers:
                connection.putheader(name, value)
            connection.endheaders(request.body or None)
            with connection.getresponse() as response:
                body = response.read()
        return answer(response.status, response.getheaders(), body)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    server = Gunicorn(tmp_path_factory.mktemp("gunicorn") / "log")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    with Function(tmp_path_factory.mktemp("function") / "log") as function:
        yield function


@pytest.mark.parametrize(("interface", "count"), [("wsgi", 1000), ("asgi", 1000)])
def test_every_answer_is_that_of_gunicorn(
    gunicorn: Gunicorn, tmp_path: Path, interface: str, count: int
) -> None:
    chance = random.Random(20)
    setting = f'{{"INTERFACE": "{interface}"}}'

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        for sender, _ in zip(cycle(Sender), range(count)):
            asked = as_far_as_sent(some_request(chance), sender)
            answered = received(function.invoke(event(asked, sender)), sender)

            assert answered == gunicorn.ask(asked), (sender, asked)


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@SENDERS
def test_urls_begin_with_the_base_path(tmp_path: Path, interface: str, sender: Sender) -> None:
    setting = f'{{"INTERFACE": "{interface}", "BASE_PATH": "/prod"}}'
    path = "/echo/a" if sender is Sender.PAYLOAD_1 else "/prod/echo/a"

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        answered = received(function.invoke(event(Request("GET", path), sender)), sender)

    assert b'"path": "/prod/echo/a", "path_info": "/echo/a"' in answered.body


def test_a_view_that_takes_too_long_ends_its_process_and_not_the_function(tmp_path: Path) -> None:
    hello, stuck = (event(Request("GET", path), Sender.PAYLOAD_2) for path in ("/", "/stuck"))

    with Function(tmp_path / "log") as function:
        first = function.invoke(hello)
        with pytest.raises(TimedOut, match=r"Task timed out after 0\.50 seconds"):
            function.invoke(stuck, limit=0.5)
        second = function.invoke(hello)

    assert first == second


def test_a_command_is_run_and_its_output_returned(function: Function) -> None:
    answered = function.invoke({"manage": ["migrate", "--noinput"]})

    assert answered["status"] == 0
    assert "No migrations to apply." in answered["output"]


def test_a_command_that_fails_does_not_fail_the_function(function: Function) -> None:
    answered = function.invoke({"manage": ["migrate", "nothing"]})

    assert answered == {
        "status": 1,
        "output": "CommandError: No installed app with label 'nothing'.\n",
    }


def test_an_event_of_a_queue_is_refused(function: Function) -> None:
    kind, document = function.invoke_raw({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]})

    assert (kind, document["errorType"]) == ("error", "ValueError")
    assert document["errorMessage"] == f"{ACCEPTED}; got the keys Records"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"SHOP_SERVERLESS": '{"INTERFACE": "http"}'},
            "PRODUCTION_SERVERLESS['INTERFACE'] must be one of wsgi, asgi; got 'http'.",
        ),
        ({"DJANGO_SETTINGS_MODULE": "shop.nowhere"}, "No module named 'shop.nowhere'"),
    ],
)
def test_a_function_that_cannot_start_says_why(
    tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    with Function(tmp_path / "log", **environ) as function:
        path, document = function.posted()
        status = function.process.wait()

    assert path == f"{VERSION}/init/error"
    assert said in document["errorMessage"]
    assert status == 1
