"""The real granian when it stops: no request is lost."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import psutil
import pytest

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.backends.granian import GranianASGIServer, GranianWSGIServer
from tests.backends import drains
from tests.holding import serving
from tests.inside import free_port
from tests.load import PATIENCE
from tests.running import Site, skip_without

BACKENDS = [GranianASGIServer, GranianWSGIServer]
HOW = ("held", "own", "alone")
# In seconds: after this, granian kills its workers. The default STOP_TIMEOUT less 2.
KILLED = 23.0

pytestmark = pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets them share sockets")


def at(port: int, backend: type[BaseServerBackend], **args: Any) -> dict[str, Any]:
    more = {"blocking-threads": 8} if backend is GranianWSGIServer else {}
    return {"port": port, **more, **args}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_request_is_lost_while_granian_is_replaced(
    tmp_path: Path, backend: type[BaseServerBackend], workers: int
) -> None:
    args = at(free_port(), backend, workers=workers)
    with serving(backend, args, tmp_path, replicas=2) as server:
        drains.loses_nothing(server, 5 if workers == 1 else 3)


def test_no_request_is_lost_at_a_unix_socket_while_granian_is_replaced(tmp_path: Path) -> None:
    args = {"uds": str(tmp_path / "socket")}
    with serving(GranianASGIServer, args, tmp_path, replicas=2) as server:
        drains.loses_nothing(server, 2)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("backend", BACKENDS)
def test_responses_during_a_drain_announce_connection_close(
    tmp_path: Path, backend: type[BaseServerBackend], how: str
) -> None:
    with serving(backend, at(free_port(), backend), tmp_path, how=how) as server:
        drains.connected(server.places[0]).close()
        drains.tells_clients(server)


@pytest.mark.parametrize("how", HOW[1:])
@pytest.mark.parametrize("backend", BACKENDS)
def test_granian_refuses_new_connections_at_its_own_sockets_during_a_drain(
    tmp_path: Path, backend: type[BaseServerBackend], how: str
) -> None:
    with serving(backend, at(free_port(), backend), tmp_path, how=how) as server:
        drains.refuses_connections(server)


def test_granian_refuses_new_connections_at_its_own_unix_socket_during_a_drain(
    tmp_path: Path,
) -> None:
    """The leader has that socket open, too."""
    args = {"uds": str(tmp_path / "socket")}
    with serving(GranianASGIServer, args, tmp_path, how="own") as server:
        drains.refuses_connections(server)


def test_granian_serves_at_a_held_ipv6_socket(tmp_path: Path) -> None:
    args = {"host": "::1", "port": free_port()}
    with serving(GranianASGIServer, args, tmp_path) as server:
        drains.serves_everywhere(server)


def test_granian_leaves_the_file_of_a_held_unix_socket_alone(tmp_path: Path) -> None:
    with serving(GranianASGIServer, {"uds": str(tmp_path / "socket")}, tmp_path) as server:
        drains.serves_everywhere(server)


def test_websockets_are_closed_with_1012_when_granian_stops(tmp_path: Path) -> None:
    with serving(GranianASGIServer, {"port": free_port()}, tmp_path) as server:
        drains.closes_websockets(server)


@pytest.mark.parametrize("name", ["granian", "granian-wsgi"])
def test_a_stop_signal_immediately_after_a_worker_forks_is_not_lost(site: Site, name: str) -> None:
    """Without our hook it still has its leader's handlers then, which swallow the signal.

    This worker waits after the fork until the signal is pending, or for 2 s.
    """
    source = """
        import os, signal, time

        def wait_for_the_stop():
            os.kill(os.getppid(), signal.SIGTERM)
            end = time.monotonic() + 2
            while signal.SIGTERM not in signal.sigpending() and time.monotonic() < end:
                time.sleep(0.01)

        os.register_at_fork(after_in_child=wait_for_the_stop)
    """
    entry = {"BACKEND": name, "ARGS": {"port": free_port()}}
    files = {"sitecustomize.py": source}
    env = {"PYTHONPATH": str(site.project)}
    began = time.monotonic()
    run = site({"web": entry}, "web", files=files, env=env, stderr=STDOUT)

    assert run.end() == 0
    assert any("Shutting down granian" in line for line in run.raw)
    # granian may report a kill even of a worker that has exited, but not this early.
    assert time.monotonic() - began < KILLED


def test_a_worker_stops_whichever_thread_receives_the_signal(tmp_path: Path) -> None:
    """The kernel may deliver it to one of Rust's threads while the main thread waits."""
    args = {"port": free_port(), "blocking-threads": 4}
    with serving(GranianWSGIServer, args, tmp_path) as server:
        (life,) = server.lives
        (worker,) = psutil.Process(life.pid).children()
        others = [thread.id for thread in worker.threads() if thread.id != worker.pid]

        tell = ctypes.CDLL(None).tgkill  # glibc 2.30
        assert tell(worker.pid, others[-1], int(signal.SIGTERM)) == 0

        worker.wait(PATIENCE)
        assert life.end() == 1
        server.lives.remove(life)
    assert "Unexpected exit from worker-1" in life.said


def test_granians_metrics_are_served_at_a_held_socket(tmp_path: Path) -> None:
    if "metrics_enabled" not in GranianASGIServer(ARGS={}, STOP_TIMEOUT=25.0, REPLICAS=1).parse():
        pytest.skip("this granian has no metrics yet")
    args = {"port": free_port(), "metrics": True, "metrics-port": free_port()}
    with serving(GranianASGIServer, args, tmp_path, replicas=2) as server:
        for _ in range(2):
            with socket.create_connection(server.places[1], timeout=30) as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert b" 200 OK" in client.recv(1000)
            server.replace()


def test_the_arguments_determine_address_and_backlog_of_the_sockets() -> None:
    def addresses(**args: Any) -> list[tuple[Any, int, Any]]:
        backend = GranianASGIServer(ARGS=args, STOP_TIMEOUT=25.0, REPLICAS=1)
        return [(one.at, one.backlog, one.mode) for one in backend.addresses()]

    assert addresses(port=80) == [(("127.0.0.1", 80), 2048, None)]
    assert addresses(port=80, backlog=200) == [(("127.0.0.1", 80), 200, None)]
    assert addresses(uds="/run/web") == [("/run/web", 2048, None)]


# A worker as granian starts it, without an application.
SIGNALLED = """
import asyncio, os, signal, sys
from granian import _signals
from django_prodserver.backends.hooks.granian import _Drained
from django_prodserver.backends.hooks.in_flight import Running

drained = _Drained(0, Running(None))
drained._stop = lambda: told.append("stopped")
told = []
drained.take_signals()
loop = __import__(sys.argv[1]).new_event_loop()
_signals.set_loop_signals(loop)
loop.run_until_complete(asyncio.sleep(0))  # As for the startup of the lifespan.
os.kill(os.getpid(), signal.SIGTERM)
loop.run_until_complete(asyncio.sleep(0.1))
print(told[0])
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_stop_signal_while_the_event_loop_is_not_running_is_not_lost(loop: str) -> None:
    skip_without(loop)
    done = subprocess.run([sys.executable, "-c", SIGNALLED, loop], stdout=PIPE, check=True)

    assert done.stdout == b"stopped\n"
