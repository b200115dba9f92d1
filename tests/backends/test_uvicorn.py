"""The real uvicorn, ASGI and WSGI, alone and supervised, with one worker and with two."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.backends.uvicorn import UvicornServer
from tests.inside import UVICORN, UVICORN_WSGI, free_port
from tests.peers import Request, get, systemd
from tests.running import Site


def test_each_uvicorn_mode_serves_finishes_requests_and_counts_as_stopped(
    site: Site,
) -> None:
    """With one worker it dies of the SIGTERM that stops it, which counts as a success."""
    kinds: dict[str, tuple[str, int]] = {
        "asgi": (UVICORN, 1),
        "wsgi": (UVICORN_WSGI, 1),
        "asgi2": (UVICORN, 2),
        "wsgi2": (UVICORN_WSGI, 2),
    }
    ports = {name: free_port() for name in kinds}
    site.hold(*kinds)
    processes: dict[str, Any] = {
        name: {"BACKEND": backend, "ARGS": {"port": ports[name], "workers": workers}}
        for name, (backend, workers) in kinds.items()
    }

    run = site(processes)
    run.wait_for("system", "all 4 ready")
    for port in ports.values():
        assert get(port).startswith("served by ")
    slow = {name: Request(port, f"/hold/{name}") for name, port in ports.items()}
    run.wait_for_each({f"{name}.1": f"{name} in progress" for name in kinds})
    run.signal(signal.SIGTERM)
    run.wait_for_each(
        {
            "asgi.1": "Waiting for connections to close",
            "wsgi.1": "Waiting for connections to close",
            "asgi2.1": "Waiting for connections to close",
            "wsgi2.1": "Waiting for connections to close",
        }
    )
    for name, request in slow.items():
        site.release(name)
        assert request.answer() == f"{name} held"

    assert run.end() == 0
    for name in kinds:
        assert any(line.startswith(f"{name}.1 stopped after") for line in run.said("system"))


def test_an_endless_request_is_cancelled_within_the_stop_timeout(
    site: Site,
) -> None:
    port = free_port()
    run = site({"web": {"BACKEND": UVICORN, "ARGS": {"port": port}, "STOP_TIMEOUT": 3}})
    run.wait_for("system", "all 1 ready")
    with Request(port, "/forever"):
        run.wait_for("web.1", "forever")

        assert run.end(signal.SIGTERM) == 0

    assert any("timeout graceful shutdown exceeded" in line for line in run.said("web.1"))


@pytest.mark.parametrize("backend", [UVICORN, UVICORN_WSGI])
@pytest.mark.parametrize(("workers", "status"), [(1, -signal.SIGTERM), (2, 0)])
def test_an_unsupervised_uvicorn_exits_as_from_its_own_command_line(
    site: Site,
    backend: str,
    workers: int,
    status: int,
    tmp_path: Path,
) -> None:
    """If systemd started it, it reports that it is ready."""
    port = free_port()
    with systemd(tmp_path) as listener:
        run = site(
            {"web": {"BACKEND": backend, "ARGS": {"port": port, "workers": workers}}},
            "web",
            env=listener.environ,
        )
        listener.wait_for_ready()

    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == status


@pytest.mark.parametrize("backend", [UVICORN, UVICORN_WSGI])
def test_uvicorn_exits_with_0_after_limit_max_requests(
    site: Site, backend: str, tmp_path: Path
) -> None:
    port = free_port()
    with systemd(tmp_path) as listener:
        run = site(
            {"web": {"BACKEND": backend, "ARGS": {"port": port, "limit-max-requests": 2}}},
            "web",
            env=listener.environ,
        )
        listener.wait_for_ready()

    for _ in range(2):
        assert get(port).startswith("served by ")

    assert run.end() == 0


@pytest.mark.parametrize(
    ("args", "environ", "recycles"),
    [
        ({}, {}, False),
        ({"limit-max-requests": 2}, {}, True),
        ({"limit-max-requests": 2, "workers": 1}, {"WEB_CONCURRENCY": "2"}, True),
        ({"limit-max-requests": 2, "workers": 2}, {}, False),
        ({"limit-max-requests": 2}, {"WEB_CONCURRENCY": "2"}, False),
        ({"limit-max-requests": 2, "reload": True}, {}, False),
        ({}, {"UVICORN_LIMIT_MAX_REQUESTS": "2"}, True),
        ({}, {"UVICORN_LIMIT_MAX_REQUESTS": "2", "UVICORN_WORKERS": "2"}, False),
        ({"limit-max-requests": "many"}, {}, False),
        ({"limit-max-requests": 2, "version": True}, {}, False),
    ],
)
def test_uvicorn_recycles_only_with_one_worker_and_a_request_limit(
    args: dict[str, Any],
    environ: dict[str, str],
    recycles: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables may come from the supervisor's environment or from the ENV of the process."""
    by_env = UvicornServer(ARGS=args, ENV=environ, STOP_TIMEOUT=25.0, REPLICAS=1)
    assert by_env.recycles() is recycles
    assert not set(environ) & set(os.environ)

    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    inherited = UvicornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1)
    assert inherited.recycles() is recycles


def test_the_port_of_uvicorn_may_come_from_its_env() -> None:
    server = UvicornServer(ARGS={}, ENV={"UVICORN_PORT": "81"}, STOP_TIMEOUT=25.0, REPLICAS=1)

    assert [where.at for where in server.addresses()] == [("127.0.0.1", 81)]
