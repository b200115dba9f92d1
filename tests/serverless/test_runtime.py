"""The handler in Lambda's own runtime client, compared with gunicorn."""

from __future__ import annotations

import random
from collections.abc import Iterator
from http.client import IncompleteRead
from importlib.util import find_spec
from itertools import cycle, product
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
def test_every_response_equals_the_response_of_gunicorn(
    gunicorn: Server, tmp_path: Path, interface: str
) -> None:
    chance = random.Random(20)
    setting = f'{{"INTERFACE": "{interface}"}}'

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        for (by_url, sender), _ in zip(cycle(product((False, True), Sender)), range(1000)):
            asked = as_far_as_sent(some_request(chance), sender)
            document = function.invoke(event(asked, sender, function_url=by_url))
            answered = received(document, sender)

            assert answered == gunicorn.ask(asked), (sender, asked)


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
@SENDERS
def test_urls_start_with_the_base_path(tmp_path: Path, interface: str, sender: Sender) -> None:
    setting = f'{{"INTERFACE": "{interface}", "BASE_PATH": "/prod"}}'
    path = "/echo/a" if sender is Sender.PAYLOAD_1 else "/prod/echo/a"

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        answered = received(function.invoke(event(Request("GET", path), sender)), sender)

    assert b'"path": "/prod/echo/a", "path_info": "/echo/a"' in answered.body


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_function_answers_the_next_request_after_a_view_times_out(
    tmp_path: Path, interface: str
) -> None:
    hello, stuck = (event(Request("GET", path), Sender.PAYLOAD_2) for path in ("/", "/stuck"))
    setting = f'{{"INTERFACE": "{interface}"}}'

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        first = function.invoke(hello)
        with pytest.raises(TimedOut, match=r"Task timed out after 0\.50 seconds"):
            function.invoke(stuck, limit=0.5)
        second = function.invoke(hello)

    assert first == second


@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_a_response_that_breaks_off_is_an_error_and_the_next_request_succeeds(
    gunicorn: Server, tmp_path: Path, interface: str
) -> None:
    """gunicorn has already sent the beginning. Lambda sends all or nothing: 500 or 502."""
    setting = f'{{"INTERFACE": "{interface}"}}'
    broken, image = Request("GET", "/breaks-off"), Request("GET", "/image")
    with pytest.raises(IncompleteRead):
        gunicorn.ask(broken)

    with Function(tmp_path / "log", SHOP_SERVERLESS=setting) as function:
        kind, document = function.invoke_raw(event(broken, Sender.PAYLOAD_2))
        answered = function.invoke(event(image, Sender.PAYLOAD_2))

    if interface == "wsgi":
        assert (kind, document["errorType"]) == ("error", "ZeroDivisionError")
    else:
        assert (kind, document["statusCode"]) == ("response", 500)
    assert received(answered, Sender.PAYLOAD_2) == gunicorn.ask(image)


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
def test_a_function_that_cannot_start_reports_the_reason(
    tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    with Function(tmp_path / "log", **environ) as function:
        path, document = function.posted()
        status = function.process.wait()

    assert path == f"{VERSION}/init/error"
    assert said in document["errorMessage"]
    assert status == 1
