"""The handler in Lambda's own runtime client, beside gunicorn with the same application."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import pytest

from django_prodserver.serverless.events import Sender
from django_prodserver.serverless.handler import ACCEPTED
from tests.serverless.requests import Request, as_far_as_sent, event, received, some_request
from tests.serverless.runtime_api import VERSION, Function, TimedOut
from tests.serverless.servers import Server

pytestmark = pytest.mark.skipif(
    find_spec("awslambdaric") is None,
    reason="awslambdaric, which needs Python 3.10, is not installed",
)

SENDERS = pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.name)


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    with Function(tmp_path_factory.mktemp("function") / "log") as function:
        yield function


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_every_answer_is_that_of_gunicorn(gunicorn: Server, tmp_path: Path, interface: str) -> None:
    chance = random.Random(20)
    setting = f'{{"INTERFACE": "{interface}"}}'

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        for sender, _ in zip(cycle(Sender), range(1000)):
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
