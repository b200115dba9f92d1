"""The real daphne when it stops: no request is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.daphne import DaphneServer
from tests.backends import drains
from tests.holding import serving
from tests.inside import free_port

HOW = ("held", "own", "alone")


def at(port: int) -> dict[str, Any]:
    return {"port": port, "verbosity": 0}


def backend(*args: str) -> tuple[DaphneServer, Any]:
    server = DaphneServer(ARGS=list(args), STOP_TIMEOUT=25.0, REPLICAS=1)
    return server, server.parse()


def test_no_request_is_lost_while_daphne_is_replaced(tmp_path: Path) -> None:
    with serving(DaphneServer, at(free_port()), tmp_path, replicas=2) as server:
        drains.loses_nothing(server)


def test_no_request_is_lost_at_a_unix_socket_while_daphne_is_replaced(tmp_path: Path) -> None:
    args = {"unix-socket": str(tmp_path / "socket"), "verbosity": 0}
    with serving(DaphneServer, args, tmp_path, replicas=2) as server:
        drains.loses_nothing(server, 2)


@pytest.mark.parametrize("how", HOW)
def test_responses_during_a_drain_announce_connection_close(tmp_path: Path, how: str) -> None:
    with serving(DaphneServer, at(free_port()), tmp_path, how=how) as server:
        drains.tells_clients(server)


@pytest.mark.parametrize("how", HOW[1:])
def test_daphne_refuses_new_connections_at_its_own_sockets_during_a_drain(
    tmp_path: Path, how: str
) -> None:
    with serving(DaphneServer, at(free_port()), tmp_path, how=how) as server:
        drains.refuses_connections(server)


def test_daphne_serves_several_held_sockets_and_leaves_their_files_alone(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "socket"
    endpoints = [f"tcp:{port}:interface=127.0.0.1", rf"tcp:{port}:interface=\:\:1", f"unix:{path}"]
    args = {"endpoint": endpoints, "port": free_port()}
    with serving(DaphneServer, args, tmp_path) as server:
        path.chmod(0o600)
        drains.serves_everywhere(server)
        assert path.stat().st_mode & 0o777 == 0o600


def test_websockets_are_closed_with_1012_when_daphne_stops(tmp_path: Path) -> None:
    with serving(DaphneServer, at(free_port()), tmp_path) as server:
        drains.closes_websockets(server)


def test_the_arguments_determine_address_backlog_and_mode_of_the_sockets() -> None:
    def addresses(*args: str) -> list[tuple[Any, int, Any]]:
        return [(one.at, one.backlog, one.mode) for one in backend(*args)[0].addresses()]

    assert addresses() == [(("127.0.0.1", 8000), 2048, None)]
    assert addresses("-u", "/run/web") == [("/run/web", 2048, 0o666)]
    assert addresses("-e", "tcp:80:backlog=9") == [(("", 80), 9, None)]
    assert addresses("-e", "unix:/run/web:mode=660") == [("/run/web", 2048, 0o660)]


def test_daphne_opens_descriptors_tls_and_systemd_endpoints_itself() -> None:
    def why(*args: str) -> str:
        server, options = backend(*args)
        return server.why_own_sockets(options)

    assert why("-p", "80", "-u", "/run/web", "-e", "tcp:81", "-e", "unix:/run/other") == ""
    assert why("--fd", "3") == "'fd' is set"
    assert why("-e", "tcp:80", "-e", "ssl:443:privateKey=k.pem") == "'endpoint' is 'ssl'"
    assert why("-e", "systemd:domain=INET:index=0") == "'endpoint' is 'systemd'"
