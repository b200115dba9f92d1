"""How each event is handled, which application answers, and commands."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from django.test import override_settings

from django_prodserver.serverless.adapters import adapter, interface_of, mounted_asgi
from django_prodserver.serverless.commands import run
from django_prodserver.serverless.events import BASE_PATH, Sender
from django_prodserver.serverless.handler import ACCEPTED, Handler
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.load import read
from tests.serverless.requests import Answer, Request, event, received


class Recorded:
    """An adapter and a command runner that record their arguments."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.ran: list[Any] = []

    def adapt(self, asked: Any, context: Any) -> Any:
        self.asked.append(asked)
        return {"statusCode": 200, "headers": {}, "body": "hello"}

    def run(self, words: Any) -> Any:
        self.ran.append(words)
        return {"status": 0, "output": ""}


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def handler(recorded: Recorded) -> Handler:
    return Handler(recorded.adapt, recorded.run, "/prod")


# ---- events ----


@pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.name)
def test_a_request_is_answered(handler: Handler, recorded: Recorded, sender: Sender) -> None:
    answer = handler(event(Request("GET", "/prod/shop"), sender), None)

    assert received(answer, sender) == Answer(200, [], b"hello")
    assert recorded.asked[0]["version"] == "2.0"
    assert recorded.ran == []


def test_a_command_is_run(handler: Handler, recorded: Recorded) -> None:
    answer = handler({"manage": ["migrate", "--noinput"]}, None)

    assert answer == {"status": 0, "output": ""}
    assert (recorded.ran, recorded.asked) == ([["migrate", "--noinput"]], [])


@pytest.mark.parametrize(
    ("refused", "got"),
    [
        ({"Records": [], "more": 1}, "the keys Records, more"),
        ({"manage": ["migrate"], "path": "/"}, "the keys manage, path"),
        ({"manage": "migrate"}, "the keys manage"),
        (["migrate"], "list"),
        (None, "NoneType"),
    ],
)
def test_an_event_that_is_neither_request_nor_command_is_refused(
    handler: Handler, recorded: Recorded, refused: object, got: str
) -> None:
    with pytest.raises(ValueError, match="no other key") as error:
        handler(refused, None)

    assert str(error.value) == f"{ACCEPTED}; got {got}"
    assert (recorded.ran, recorded.asked) == ([], [])


@pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.name)
def test_no_request_runs_a_command(handler: Handler, recorded: Recorded, sender: Sender) -> None:
    wanted = Request("POST", "/manage", body=b'{"manage": ["flush", "--noinput"]}')

    handler({**event(wanted, sender), "manage": ["flush", "--noinput"]}, None)

    assert (recorded.ran, len(recorded.asked)) == ([], 1)


# ---- which application ----


@pytest.mark.parametrize(
    ("processes", "serverless", "interface"),
    [
        ({}, {}, "wsgi"),
        ({"web": {"BACKEND": "gunicorn"}}, {}, "wsgi"),
        ({"web": {"BACKEND": "uvicorn"}}, {}, "asgi"),
        ({"web": {"BACKEND": "hypercorn"}}, {}, "asgi"),
        ({"web": {"BACKEND": "daphne"}}, {}, "asgi"),
        ({"web": {"BACKEND": "granian"}}, {}, "asgi"),
        ({"web": {"BACKEND": "granian-wsgi"}}, {}, "wsgi"),
        ({"beat": {"BACKEND": "celery-beat"}, "web": {"BACKEND": "uvicorn"}}, {}, "asgi"),
        ({"own": {"BACKEND": "nowhere.Server"}, "web": {"BACKEND": "uvicorn"}}, {}, "asgi"),
        ({"own": {"BACKEND": "os.path.join"}, "web": {"BACKEND": "uvicorn"}}, {}, "asgi"),
        ({"web": {"BACKEND": "uvicorn"}}, {"INTERFACE": "wsgi"}, "wsgi"),
        ({"web": {"BACKEND": "gunicorn"}}, {"INTERFACE": "asgi"}, "asgi"),
    ],
)
def test_the_interface_comes_from_the_setting_or_the_first_web_server(
    processes: Any, serverless: Any, interface: str
) -> None:
    with override_settings(PRODUCTION_PROCESSES=processes, PRODUCTION_SERVERLESS=serverless):
        assert interface_of(read()) == interface


@pytest.mark.parametrize(
    ("interface", "module", "package"),
    [("wsgi", "apig_wsgi", "apig-wsgi"), ("asgi", "mangum", "mangum")],
)
def test_the_error_names_the_missing_package(
    monkeypatch: pytest.MonkeyPatch, interface: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with override_settings(PRODUCTION_SERVERLESS={"INTERFACE": interface}):
        configuration = read()
        with pytest.raises(ConfigurationError) as error:
            adapter(configuration)

    assert str(error.value) == (
        f"PRODUCTION_SERVERLESS needs the package {package} for {interface.upper()}. "
        f"Run: pip install {package}."
    )


# ---- around the application ----


def shows_where_it_is(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    shown = environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["REMOTE_ADDR"]
    return [" ".join(shown).encode("latin-1")]


@override_settings(
    WSGI_APPLICATION=f"{__name__}.shows_where_it_is", PRODUCTION_SERVERLESS={"INTERFACE": "wsgi"}
)
@pytest.mark.parametrize("sender", Sender, ids=lambda sender: sender.name)
def test_a_wsgi_application_is_mounted_at_the_base_path(sender: Sender) -> None:
    handler = Handler(adapter(read()), run, "/prod")
    # In payload 1.0 the path does not include the stage.
    path = "/shop/%E4" if sender is Sender.PAYLOAD_1 else "/prod/shop/%E4"

    answer = handler(event(Request("GET", path), sender), None)

    assert received(answer, sender).body == "/prod /shop/ä 127.0.0.1".encode("latin-1")


def test_an_asgi_application_is_mounted_at_the_base_path_with_utf_8_headers() -> None:
    scopes, sent = [], []

    async def served(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "headers": [(b"x-who", b"J\xf6rg")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"path": "/shop", "aws.event": {BASE_PATH: "/prod"}}
    asyncio.run(mounted_asgi(served)(scope, None, send))

    assert (scopes[0]["root_path"], scopes[0]["path"]) == ("/prod", "/prod/shop")
    assert sent[0]["headers"] == [(b"x-who", "Jörg".encode()), (b"content-type", b"")]
    assert sent[1] == {"type": "http.response.body", "body": b""}


# ---- commands ----


def test_the_output_of_a_command_is_returned_and_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = run(["check"])

    assert answer["status"] == 0
    assert "System check identified" in answer["output"]
    assert capsys.readouterr().out == answer["output"]


def test_an_unknown_command_returns_the_exit_status_of_manage_py() -> None:
    answer = run(["migrat"])

    assert answer["status"] == 1
    assert "Unknown command: 'migrat'" in answer["output"]


def test_the_error_of_a_command_is_in_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(words: Any) -> None:
        raise KeyError("customer")

    monkeypatch.setattr("django_prodserver.serverless.commands.execute_from_command_line", fails)

    answer = run(["import_orders"])

    assert answer["status"] == 1
    assert answer["output"].startswith("Traceback")
    assert answer["output"].endswith("KeyError: 'customer'\n")


@pytest.mark.parametrize(
    ("code", "status", "output"),
    [(None, 0, ""), (0, 0, ""), (3, 3, ""), ("no disk", 1, "no disk\n")],
)
def test_a_command_that_exits_returns_its_own_exit_status(
    monkeypatch: pytest.MonkeyPatch, code: Any, status: int, output: str
) -> None:
    monkeypatch.setattr(
        "django_prodserver.serverless.commands.execute_from_command_line", lambda _: sys.exit(code)
    )

    assert run(["import_orders"]) == {"status": status, "output": output}
