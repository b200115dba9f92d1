"""Sockets of this process that are known only by their descriptors."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.posix.doors import count_connections, door_of, stop_accepting


@pytest.fixture(params=["127.0.0.1", "::1", "unix"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    families = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6, "unix": socket.AF_UNIX}
    with socket.socket(families[request.param]) as one:
        at: Any = (request.param, 0)
        one.bind(str(tmp_path / "socket") if request.param == "unix" else at)
        one.listen(5)
        one.setblocking(False)
        yield one


def connected(listener: socket.socket) -> socket.socket:
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    return client


def test_open_connections_survive_when_a_socket_stops_accepting(listener: socket.socket) -> None:
    door, at = door_of(listener), listener.getsockname()
    assert door is not None
    with connected(listener) as client, listener.accept()[0] as accepted:
        accepted.setblocking(False)
        assert count_connections(door) == 1

        stop_accepting(door)

        assert count_connections(door) == 1
        accepted.sendall(b"answer")
        assert client.recv(10) == b"answer"
        with socket.socket(listener.family) as late, pytest.raises(ConnectionRefusedError):
            late.connect(at)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert count_connections(door) == 0
