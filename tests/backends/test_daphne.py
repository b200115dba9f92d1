"""Behaviour that only the real daphne has. The rest is in test_web_servers.py."""

from __future__ import annotations

import http.client
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from django_prodserver.backends.daphne import DaphneServer
from tests.inside import free_port, refused
from tests.peers import Request, get
from tests.running import Site


def daphne(port: int, **entry: Any) -> dict[str, Any]:
    return {"BACKEND": "daphne", "ARGS": {"port": port}, **entry}


def asked(*args: str) -> list[Any]:
    server = DaphneServer(ARGS=list(args), STOP_TIMEOUT=25.0, REPLICAS=1)
    return [where.at for where in server.addresses()]


def test_an_endless_request_is_cancelled_within_the_stop_timeout(site: Site) -> None:
    port = free_port()
    run = site({"web": daphne(port, STOP_TIMEOUT=3)})
    run.wait_for("system", "all 1 ready")
    with Request(port, "/forever"):
        run.wait_for("web.1", "forever")

        assert run.end(signal.SIGTERM) == 0

    stopped = [re.fullmatch(r"web\.1 stopped after [12]\.\d+ s", x) for x in run.said("system")]
    assert any(stopped)


def test_daphne_sends_a_large_response_completely_before_it_exits(site: Site) -> None:
    """The application finishes a response long before a slow client has received it."""
    port = free_port()
    run = site({"web": daphne(port)})
    run.wait_for("system", "all 1 ready")
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", "/large")
    response = client.getresponse()

    run.signal(signal.SIGTERM)
    run.wait_for("system", "waiting for web.1")

    assert len(response.read()) == 50_000_000
    assert run.end() == 0
    client.close()


def test_a_keep_alive_connection_is_closed_after_the_request_in_flight(site: Site) -> None:
    port = free_port()
    site.hold("slow")
    run = site({"web": daphne(port)})
    run.wait_for("system", "all 1 ready")
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", "/")
    assert client.getresponse().read().startswith(b"served by ")
    client.request("GET", "/hold/slow")
    run.wait_for("web.1", "slow in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    site.release("slow")

    assert client.getresponse().read() == b"slow held"
    assert client.sock is None or client.sock.recv(1) == b""
    assert run.end() == 0
    client.close()


@pytest.mark.skipif(not psutil.LINUX, reason="epoll is of Linux")
def test_each_process_gets_its_own_reactor_if_the_project_installs_one(site: Site) -> None:
    """With "daphne" in INSTALLED_APPS a reactor, and its epoll object, exist before the fork."""
    ports = {name: free_port() for name in ("one", "other")}
    site.hold(*ports)
    run = site(
        {name: daphne(port) for name, port in ports.items()},
        supervisor={"SETTINGS": {"INSTALLED_APPS": ["daphne"]}},
    )
    run.wait_for("system", "all 2 ready")
    pids = [get(port).split()[-1] for port in ports.values()]
    slow = {name: Request(port, f"/hold/{name}") for name, port in ports.items()}
    run.wait_for_each({f"{name}.1": f"{name} in progress" for name in ports})
    listens = [listening(port) for port in ports.values()]
    polled = [polled_by(pid) for pid in pids]

    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    for name, request in slow.items():
        site.release(name)
        assert request.answer() == f"{name} held"

    assert run.end() == 0
    assert [listens[0] in by for by in polled] == [True, False]
    assert [listens[1] in by for by in polled] == [False, True]


def listening(port: int) -> int:
    """The inode of the socket that listens on this port (proc_net(5), state 0A)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, *_, inode = line.split()[:10]
        if address.endswith(f":{port:04X}") and state == "0A":
            return int(inode)
    raise AssertionError(f"nobody listens at {port}")


def polled_by(pid: str) -> set[int]:
    """The inodes that a process's epoll objects watch (proc(5), /proc/pid/fdinfo)."""
    described = [file.read_text() for file in Path(f"/proc/{pid}/fdinfo").iterdir()]
    return {int(inode, 16) for text in described for inode in re.findall(r"ino:(\w+)", text)}


def test_daphne_exits_with_its_own_status_if_its_address_is_in_use(site: Site) -> None:
    port = free_port()
    run = site({"web": daphne(port)})
    run.wait_for("system", "all 1 ready")

    second = site({"web": {"BACKEND": "daphne", "ARGS": {"e": f"tcp:port={port}"}}}, "web")

    assert second.end() == 1
    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0


def test_the_listen_addresses_are_read_from_the_arguments() -> None:
    assert asked() == [("127.0.0.1", 8000)]
    assert asked("-p", "0") == [("127.0.0.1", 0)]
    assert asked("-b", "[::1]") == [("::1", 8000)]
    assert asked("--fd", "3") == []
    assert asked("-u", "/run/web", "-p", "81") == ["/run/web", ("127.0.0.1", 81)]
    assert asked("-e", "tcp:82") == [("", 82)]
    assert asked("-e", r"tcp:port=83:interface=\:\:1") == [("::1", 83)]
    assert asked("-e", "ssl:443:privateKey=key.pem", "-e", "unix:/run/web:mode=660") == [
        ("", 443),
        "/run/web",
    ]
    assert asked("-e", "systemd:domain=INET:index=0") == []


def test_an_unknown_option_is_refused_with_a_suggestion() -> None:
    (line,) = refused({"web": daphne(8000, ARGS={"http-timeouts": 3})})

    assert line.endswith(
        "daphne: error: unrecognized arguments: --http-timeouts=3. Did you mean '--http-timeout'?"
    )
