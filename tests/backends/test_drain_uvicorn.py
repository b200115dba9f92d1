"""The real uvicorn: it listens at held sockets, and loses no request when it stops."""

from __future__ import annotations

import os
import statistics
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.uvicorn import UvicornServer, UvicornWSGIServer
from tests.holding import (
    Server,
    closes_websockets,
    ends_although_connections_are_idle,
    replaced_under_load,
    seconds_per_response,
    serves_what_is_on_its_way,
    serving,
)
from tests.inside import free_port
from tests.load import Client

QUIET = {"log-level": "warning"}
PURE = {**QUIET, "loop": "asyncio", "http": "h11"}
FAST = {**QUIET, "loop": "uvloop", "http": "httptools"}
fast = pytest.param(
    UvicornServer,
    FAST,
    id="fast",
    marks=pytest.mark.skipif(
        not (find_spec("uvloop") and find_spec("httptools")),
        reason="uvloop and httptools are not both installed",
    ),
)
KINDS = [
    pytest.param(UvicornServer, PURE, id="pure"),
    fast,
    pytest.param(UvicornServer, {**QUIET, "workers": 2}, id="workers"),
    pytest.param(UvicornWSGIServer, QUIET, id="wsgi"),
]


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_no_request_is_lost_while_uvicorn_is_replaced(
    backend: type[UvicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with serving(backend, {**args, "port": free_port()}, tmp_path) as server:
        load = replaced_under_load(server, 5)

    assert load.failures == []


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_requests_that_arrive_during_a_stop_are_answered(
    backend: type[UvicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, "port": free_port()}, tmp_path, "own") as server:
        serves_what_is_on_its_way(server)


@pytest.mark.parametrize(("backend", "args"), KINDS[:1])
def test_requests_that_arrive_during_a_stop_are_answered_without_a_supervisor(
    backend: type[UvicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, "port": free_port()}, tmp_path, "alone") as server:
        serves_what_is_on_its_way(server)


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_idle_connections_do_not_delay_the_stop_for_long(
    backend: type[UvicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, "port": free_port()}, tmp_path) as server:
        ends_although_connections_are_idle(server)


@pytest.mark.parametrize("workers", [1, 2])
def test_uvicorn_serves_all_held_sockets_and_keeps_the_unix_socket_file(
    workers: int, tmp_path: Path
) -> None:
    path = str(tmp_path / "web")
    everywhere = {"host": "localhost", "port": free_port(), "workers": workers}
    for args in (everywhere, {"uds": path, "workers": workers}):
        with serving(UvicornServer, {**args, "log-level": "info"}, tmp_path) as server:
            for place in server.places:
                with Client(place) as client:
                    client.ask()
        where = f"unix socket {path}" if "uds" in args else f"http://localhost:{args['port']}"
        assert f"Uvicorn running on {where} (" in server.said()

    assert os.path.exists(path)


@pytest.mark.parametrize(("backend", "args"), KINDS[:3])
def test_a_response_does_not_wait_for_the_clients_acknowledgement(
    backend: type[UvicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    """Otherwise Nagle's algorithm delays the body by 44 ms, as with `uvicorn --fd`."""
    with serving(backend, {**args, "port": free_port()}, tmp_path) as server:
        took = seconds_per_response(server)

    assert statistics.median(took) < 0.03


def test_uvicorn_opens_its_own_socket_if_fd_is_set() -> None:
    def why(**args: Any) -> str:
        server = UvicornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1)
        return server.why_own_sockets(server.parse())

    assert why() == ""
    assert why(fd=3) == "'fd' is set"


def test_websockets_are_closed_with_1012_at_once_when_uvicorn_stops(tmp_path: Path) -> None:
    with Server(UvicornServer, {**PURE, "ws": "wsproto", "port": free_port()}, tmp_path) as server:
        closes_websockets(server)


def test_the_arguments_determine_backlog_and_mode_of_the_sockets() -> None:
    def address(**args: Any) -> tuple[int, Any]:
        (one,) = UvicornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1).addresses()
        return one.backlog, one.mode

    assert address() == (2048, None)
    assert address(uds="/run/web", backlog=9) == (9, 0o666)
