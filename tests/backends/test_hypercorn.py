"""Behaviour that only the real hypercorn has. The rest is in test_web_servers.py."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from django_prodserver.backends.hypercorn import HypercornServer
from tests.inside import free_port, refused
from tests.peers import Request, get, systemd
from tests.running import Site, gone


def hypercorn(port: int, **entry: Any) -> dict[str, Any]:
    arguments = {"bind": f"127.0.0.1:{port}", **entry.pop("ARGS", {})}
    return {"BACKEND": "hypercorn", "ARGS": arguments, **entry}


def asked(**args: Any) -> HypercornServer:
    return HypercornServer(ARGS=args, ENV={}, STOP_TIMEOUT=25.0, REPLICAS=1)


def test_a_worker_finishes_its_request_after_another_worker_has_exited(site: Site) -> None:
    """hypercorn then sends SIGTERM to the others, and its default action would kill them."""
    port = free_port()
    site.hold("slow")
    run = site({"web": hypercorn(port, ARGS={"workers": 2})})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in progress")
    (leader,) = run.children()
    workers = [child for child in leader.children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2

    run.signal(signal.SIGTERM)
    while not any(gone(worker.pid) for worker in workers):
        psutil.wait_procs(workers, timeout=0.1)
    run.wait_for("system", "waiting for web.1")
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0


def test_hypercorn_without_workers_serves_in_the_forked_process(site: Site, tmp_path: Path) -> None:
    """It also exits with 0 after its limit of requests: nothing would replace it."""
    port = free_port()
    site.hold("slow")
    run = site({"web": hypercorn(port, ARGS={"workers": 0})})
    pid = run.wait_for("system", r"web\.1 ready after .* \(pid (\d+)\)")[1]
    assert get(port) == f"served by {pid}"
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in progress")
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    site.release("slow")
    assert slow.answer() == "slow held"
    assert run.end() == 0

    with systemd(tmp_path) as listener:
        run = site(
            {"web": hypercorn(port, ARGS={"workers": 0, "max-requests": 1})},
            "web",
            env=listener.environ,
        )
        listener.wait_for_ready()
    for _ in range(2):
        assert get(port).startswith("served by ")
    assert run.end() == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_an_endless_request_is_cancelled_within_the_stop_timeout(site: Site, workers: int) -> None:
    port = free_port()
    run = site({"web": hypercorn(port, ARGS={"workers": workers}, STOP_TIMEOUT=3)})
    run.wait_for("system", "all 1 ready")
    with Request(port, "/forever"):
        run.wait_for("web.1", "forever")

        assert run.end(signal.SIGTERM) == 0

    assert any(line.startswith("web.1 stopped after") for line in run.said("system"))


def test_hypercorn_that_fails_to_load_the_application_fails_despite_status_0(
    site: Site,
) -> None:
    """hypercorn exits with 0 if its worker cannot load the application."""
    entry = {**hypercorn(free_port()), "BACKEND": "hypercorn-wsgi"}
    run = site({"web": entry}, supervisor={"WSGI_APPLICATION": "late.application"})

    assert run.end() == 1

    said = run.said("system")
    assert not any("web.1 ready" in line for line in said)
    assert any("web.1 exited with status 0" in line for line in said)


def test_address_and_graceful_timeout_are_read_from_the_configuration_file(site: Site) -> None:
    """Both its limit for in-flight requests and its address."""
    port = free_port()
    source = f"bind = 'localhost:{port}'\ngraceful_timeout = 1\nworkers = 0\n"
    entry = {"BACKEND": "hypercorn", "ARGS": {"config": "file:limits.py"}}
    check = {"HTTP": "/healthy", "INTERVAL": 0.2}
    run = site({"web": {**entry, "HEALTHCHECK": check}}, files={"limits.py": source})
    run.wait_for("web.1", "asked how it is")
    with Request(port, "/forever"):
        run.wait_for("web.1", "forever")

        assert run.end(signal.SIGTERM) == 0

    stopped = run.said("system")[-2]
    assert re.fullmatch(r"web\.1 stopped after [1-9]\.\d+ s", stopped)


def test_the_listen_addresses_are_read_from_the_arguments() -> None:
    binds = ["[::1]:8001", "localhost", "example.org:8002", "unix:/run/web", "fd://3"]

    some = asked(bind=binds, workers=2).addresses()

    assert [one[:2] for one in asked().addresses()] == [(("127.0.0.1", 8000), False)]
    assert [one[:2] for one in some] == [
        (("::1", 8001), True),
        (("localhost", 8000), True),
        (("example.org", 8002), True),
        ("/run/web", False),
    ]


@pytest.mark.parametrize(
    ("args", "recycles"),
    [
        ({}, False),
        ({"max-requests": 5}, False),
        ({"workers": 0}, False),
        ({"workers": 0, "max-requests": 5}, True),
        ({"workers": 0, "max-requests": "many"}, False),
        ({"workers": 0, "max-requests": 5, "help": True}, False),
    ],
)
def test_hypercorn_recycles_only_without_workers_and_with_max_requests(
    args: dict[str, Any], recycles: bool
) -> None:
    assert asked(**args).recycles() is recycles


def test_an_unknown_option_or_worker_class_is_refused_with_suggestions() -> None:
    (option,) = refused({"web": hypercorn(8000, ARGS={"grateful-timeout": 3})})
    (worker_class,) = refused({"web": hypercorn(8000, ARGS={"worker-class": "gevent"})})

    assert option.endswith(
        "hypercorn: error: unrecognized arguments: --grateful-timeout=3. "
        "Did you mean '--graceful-timeout'?"
    )
    assert worker_class.endswith(
        "hypercorn: there is no worker class 'gevent'. Known: asyncio, uvloop, trio"
    )
