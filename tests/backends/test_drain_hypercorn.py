"""The real hypercorn: it listens at held sockets, and loses no request when it stops."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.hypercorn import HypercornServer, HypercornWSGIServer
from tests.holding import (
    Server,
    closes_websockets,
    ends_although_connections_are_idle,
    replaced_under_load,
    serves_what_is_on_its_way,
    serving,
)
from tests.inside import free_port, free_ports
from tests.load import Client

without_uvloop = pytest.mark.skipif(not find_spec("uvloop"), reason="uvloop is not installed")
without_trio = pytest.mark.skipif(not find_spec("trio"), reason="trio is not installed")
KINDS = [
    pytest.param(HypercornServer, {"workers": 0}, id="no workers"),
    pytest.param(HypercornServer, {"workers": 1}, id="one worker"),
    pytest.param(HypercornServer, {"workers": 2}, id="two workers"),
    pytest.param(HypercornWSGIServer, {"workers": 0}, id="wsgi"),
    pytest.param(
        HypercornServer,
        {"workers": 0, "worker-class": "uvloop"},
        id="uvloop",
        marks=without_uvloop,
    ),
]


def somewhere() -> dict[str, str]:
    return {"bind": f"127.0.0.1:{free_port()}"}


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_no_request_is_lost_while_hypercorn_is_replaced(
    backend: type[HypercornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with serving(backend, {**args, **somewhere()}, tmp_path) as server:
        load = replaced_under_load(server, 5)

    assert load.failures == []


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_requests_that_arrive_during_a_stop_are_answered(
    backend: type[HypercornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, **somewhere()}, tmp_path, "own") as server:
        serves_what_is_on_its_way(server)


@pytest.mark.parametrize(("backend", "args"), KINDS[:1])
def test_requests_that_arrive_during_a_stop_are_answered_without_a_supervisor(
    backend: type[HypercornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, **somewhere()}, tmp_path, "alone") as server:
        serves_what_is_on_its_way(server)


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_idle_connections_do_not_delay_the_stop_for_long(
    backend: type[HypercornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, **somewhere()}, tmp_path) as server:
        ends_although_connections_are_idle(server)


@pytest.mark.parametrize("worker_class", ["asyncio", pytest.param("trio", marks=without_trio)])
@pytest.mark.parametrize("workers", [0, 2])
def test_hypercorn_serves_all_held_sockets_and_keeps_the_unix_socket_file(
    workers: int, worker_class: str, tmp_path: Path
) -> None:
    path, (one, other) = str(tmp_path / "web"), free_ports(2)
    bind = [f"127.0.0.1:{one}", f"[::1]:{other}", f"unix:{path}"]
    args = {"bind": bind, "workers": workers, "worker-class": worker_class}
    with serving(HypercornServer, args, tmp_path) as server:
        for place in server.places:
            with Client(place) as client:
                client.ask()

    assert len(server.places) == 3
    assert os.path.exists(path)


def test_hypercorn_opens_its_own_sockets_with_fd_quic_or_user_and_group() -> None:
    def why(**args: Any) -> str:
        server = HypercornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1)
        return server.why_own_sockets(server.parse())

    assert why() == ""
    assert why(bind="fd://3") == "'bind' names a descriptor"
    assert why(**{"quic-bind": "localhost:443"}) == "'quic-bind' is set"
    assert why(user=0, group=0, bind="unix:/run/web") == "'user' and 'group' are set"
    assert why(user=0, group=0) == ""


@pytest.mark.parametrize("workers", [0, 2])
def test_websockets_are_closed_with_1012_at_once_when_hypercorn_stops(
    workers: int, tmp_path: Path
) -> None:
    with Server(HypercornServer, {"workers": workers, **somewhere()}, tmp_path) as server:
        closes_websockets(server)


def test_the_arguments_determine_backlog_and_mode_of_the_sockets() -> None:
    def address(**args: Any) -> tuple[int, Any]:
        (one,) = HypercornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1).addresses()
        return one.backlog, one.mode

    assert address() == (2048, None)
    assert address(bind="unix:/run/web", backlog=9) == (9, None)
    assert address(bind="unix:/run/web", umask=0o027) == (2048, 0o750)
