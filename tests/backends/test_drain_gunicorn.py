"""The real gunicorn: it listens at held sockets, and loses no request when it stops."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.gunicorn import GunicornASGIServer, GunicornServer
from django_prodserver.backends.hooks.gunicorn import WORKER_CLASSES
from tests.holding import (
    SOON,
    Server,
    closes_websockets,
    ends_although_connections_are_idle,
    replaced_under_load,
    serves_what_is_on_its_way,
    serving,
)
from tests.inside import free_port, free_ports
from tests.load import Client

# The package uvicorn-worker, or uvicorn's own module from before that existed.
UVICORN = "uvicorn_worker" if find_spec("uvicorn_worker") else "uvicorn.workers"
without_asgi = pytest.mark.skipif(
    "asgi" not in WORKER_CLASSES, reason="this gunicorn has no worker class asgi"
)
GTHREAD = {"worker-class": "gthread", "threads": 8}
sync = pytest.param(GunicornServer, {"workers": 4}, id="sync")
# Workers that keep connections alive.
KINDS = [
    pytest.param(GunicornServer, GTHREAD, id="gthread"),
    pytest.param(GunicornServer, {"worker-class": "gevent"}, id="gevent"),
    pytest.param(GunicornServer, {"worker-class": "gevent_pywsgi"}, id="gevent_pywsgi"),
    pytest.param(GunicornASGIServer, {"asgi-loop": "asyncio"}, id="asgi", marks=without_asgi),
    pytest.param(
        GunicornASGIServer, {"worker-class": f"{UVICORN}.UvicornWorker"}, id="UvicornWorker"
    ),
    pytest.param(
        GunicornASGIServer,
        {"worker-class": f"{UVICORN}.UvicornH11Worker", "workers": 2},
        id="UvicornH11Worker",
    ),
]


def somewhere() -> dict[str, str]:
    return {"bind": f"127.0.0.1:{free_port()}"}


@pytest.mark.parametrize(("backend", "args"), [sync, *KINDS])
def test_no_request_is_lost_while_gunicorn_is_replaced(
    backend: type[GunicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with serving(backend, {**args, **somewhere()}, tmp_path) as server:
        load = replaced_under_load(server, 5)

    assert load.failures == []


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_requests_that_arrive_during_a_stop_are_answered(
    backend: type[GunicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, **somewhere()}, tmp_path, "own") as server:
        serves_what_is_on_its_way(server)


@pytest.mark.parametrize(("backend", "args"), KINDS[:1])
def test_requests_that_arrive_during_a_stop_are_answered_without_a_supervisor(
    backend: type[GunicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    with Server(backend, {**args, **somewhere()}, tmp_path, "alone") as server:
        serves_what_is_on_its_way(server)


@pytest.mark.parametrize(("backend", "args"), KINDS)
def test_idle_connections_do_not_delay_the_stop_for_long(
    backend: type[GunicornServer], args: dict[str, Any], tmp_path: Path
) -> None:
    # A gunicorn thread waits that long for the first byte of a request.
    within = {"within": 5.0 + SOON} if args is GTHREAD else {}
    with Server(backend, {**args, **somewhere()}, tmp_path) as server:
        ends_although_connections_are_idle(server, **within)


def test_gunicorn_serves_all_held_sockets_and_keeps_the_unix_socket_file(tmp_path: Path) -> None:
    path, (one, other) = str(tmp_path / "web"), free_ports(2)
    bind = [f"127.0.0.1:{one}", f"[::1]:{other}", f"unix:{path}"]
    with serving(GunicornServer, {"bind": bind}, tmp_path) as server:
        for place in server.places:
            with Client(place) as client:
                client.ask()

    assert len(server.places) == 3
    assert os.path.exists(path)


def test_gunicorn_removes_the_file_of_a_unix_socket_that_it_has_bound(tmp_path: Path) -> None:
    path = str(tmp_path / "web")
    with serving(GunicornServer, {"bind": f"unix:{path}"}, tmp_path, "own"):
        assert os.path.exists(path)

    assert not os.path.exists(path)


@pytest.mark.parametrize(
    "args",
    [
        pytest.param({}, id="asgi", marks=without_asgi),
        pytest.param({"worker-class": f"{UVICORN}.UvicornWorker"}, id="UvicornWorker"),
    ],
)
def test_gunicorn_is_not_ready_if_the_asgi_lifespan_startup_fails(
    args: dict[str, Any], tmp_path: Path
) -> None:
    """A loaded application is not enough: its lifespan begins after that."""
    server = Server(
        GunicornASGIServer, {**args, **somewhere()}, tmp_path, application="tests.load.broken"
    )
    with pytest.raises(AssertionError, match="it ended before it was ready"):
        server.__enter__()


def test_gunicorn_opens_its_own_sockets_with_fd_reuse_port_or_user() -> None:
    def why(**args: Any) -> str:
        server = GunicornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1)
        return server.why_own_sockets(server.parse())

    assert why() == ""
    assert why(bind="fd://3") == "'bind' names a descriptor"
    assert why(**{"reuse-port": True}) == "'reuse-port' is set"
    assert why(user="nobody") == ""
    assert why(user="nobody", bind="unix:/run/web") == "'user' is set"


@without_asgi
def test_websockets_are_closed_with_1012_at_once_when_gunicorn_stops(tmp_path: Path) -> None:
    with Server(GunicornASGIServer, somewhere(), tmp_path) as server:
        closes_websockets(server)


def test_the_arguments_determine_backlog_and_mode_of_the_sockets() -> None:
    def address(**args: Any) -> tuple[int, Any]:
        (one,) = GunicornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1).addresses()
        return one.backlog, one.mode

    assert address() == (2048, None)
    assert address(bind="unix:/run/web", backlog=9) == (9, 0o777)
    assert address(bind="unix:/run/web", umask="0o027") == (2048, 0o750)
