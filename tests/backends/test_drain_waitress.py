"""The real waitress when it stops: no request is lost."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.waitress import WaitressServer
from tests.backends import drains
from tests.holding import Server, serving
from tests.inside import free_port
from tests.load import Work

HOW = ("held", "own", "alone")


def listen(port: int) -> dict[str, Any]:
    return {"listen": f"127.0.0.1:{port}", "threads": 8}


def test_no_request_is_lost_while_waitress_is_replaced(tmp_path: Path) -> None:
    with serving(WaitressServer, listen(free_port()), tmp_path, replicas=2) as server:
        drains.loses_nothing(server)


def test_no_request_is_lost_at_a_unix_socket_while_waitress_is_replaced(tmp_path: Path) -> None:
    at = {"unix-socket": str(tmp_path / "socket"), "threads": 8}
    with serving(WaitressServer, at, tmp_path, replicas=2) as server:
        drains.loses_nothing(server, 2)


@pytest.mark.parametrize("how", HOW)
def test_responses_during_a_drain_announce_connection_close(tmp_path: Path, how: str) -> None:
    with serving(WaitressServer, listen(free_port()), tmp_path, how=how) as server:
        drains.tells_clients(server)


@pytest.mark.parametrize("how", HOW[1:])
def test_waitress_refuses_new_connections_at_its_own_sockets_during_a_drain(
    tmp_path: Path, how: str
) -> None:
    with serving(WaitressServer, listen(free_port()), tmp_path, how=how) as server:
        drains.refuses_connections(server)


def test_waitress_serves_several_held_sockets(tmp_path: Path) -> None:
    port = free_port()
    at = {"listen": [f"127.0.0.1:{port}", f"[::1]:{port}"]}
    with serving(WaitressServer, at, tmp_path) as server:
        drains.serves_everywhere(server)


def test_waitress_leaves_the_file_of_a_held_unix_socket_alone(tmp_path: Path) -> None:
    with serving(WaitressServer, {"unix-socket": str(tmp_path / "socket")}, tmp_path) as server:
        drains.serves_everywhere(server)


def test_an_endless_request_is_dropped_within_the_stop_timeout(tmp_path: Path) -> None:
    with serving(WaitressServer, listen(free_port()), tmp_path, STOP_TIMEOUT=3) as server:
        client = with_a_request_without_end(server)

        assert server.stop(server.lives[0]) == 0

        client.close()
    assert 1.0 <= server.stops[0] < 3.0


def test_a_stop_signal_repeated_after_five_seconds_ends_waitress_early(tmp_path: Path) -> None:
    """Except in the first five seconds, when it counts as the same signal."""
    with serving(WaitressServer, listen(free_port()), tmp_path, how="alone") as server:
        client = with_a_request_without_end(server)
        (life,) = server.lives

        asked = 0
        while life.popen.poll() is None:
            asked += 1
            life.signal(signal.SIGINT)
            try:
                life.popen.wait(0.5)
            except subprocess.TimeoutExpired:
                continue

        client.close()
        assert life.end() == 0
        server.lives.remove(life)
    assert 10 <= asked < 20


def with_a_request_without_end(server: Server) -> drains.Client:
    client = drains.Client(server.places[0])
    client.ask()
    client.send_for(Work(2, between=60.0, pieces=2))
    assert client.sock.recv(1)
    return client


def test_the_arguments_determine_address_backlog_and_mode_of_the_sockets() -> None:
    def addresses(**args: Any) -> list[tuple[Any, int, Any]]:
        backend = WaitressServer(ARGS=args, STOP_TIMEOUT=25.0, REPLICAS=1)
        return [(one.at, one.backlog, one.mode) for one in backend.addresses()]

    assert addresses(listen="127.0.0.1:80") == [(("127.0.0.1", 80), 2048, None)]
    assert addresses(listen="127.0.0.1:80", backlog=100) == [(("127.0.0.1", 80), 100, None)]
    unix = {"unix-socket": "/run/web", "unix-socket-perms": "660"}
    assert addresses(**unix) == [("/run/web", 2048, 0o660)]
    assert addresses(**{"unix-socket": "/run/web"}) == [("/run/web", 2048, 0o600)]
