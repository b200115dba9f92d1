"""Behaviour of all web servers that were added after gunicorn, uvicorn and waitress."""

from __future__ import annotations

import signal
import socket
from subprocess import STDOUT
from typing import Any

import psutil
import pytest

from tests.inside import free_port, listener, refused
from tests.peers import Request, get
from tests.running import Site

INTERFACES = {
    "granian": "ASGIRequest",
    "granian-wsgi": "WSGIRequest",
    "hypercorn": "ASGIRequest",
    "hypercorn-wsgi": "WSGIRequest",
    "daphne": "ASGIRequest",
    "uwsgi": "WSGIRequest",
}
# These have worker processes.
LEADERS = ["granian", "granian-wsgi", "hypercorn", "hypercorn-wsgi", "uwsgi"]
# The last line before each listens, or the first after that.
STARTED = {"granian": "Started worker", "hypercorn": "Running on", "daphne": "Listening on TCP"}
STARTED["uwsgi"] = r"\(accepting\)"
HEALTHCHECK = {"HTTP": "/healthy", "INTERVAL": 0.2}


def server(name: str, port: int, **entry: Any) -> dict[str, Any]:
    address = f"127.0.0.1:{port}"
    own = {"hypercorn": {"bind": address}, "uwsgi": {"http-socket": address}}
    where = own.get(name.partition("-")[0], {"port": port})
    arguments = {**where, **entry.pop("ARGS", {})}
    return {"BACKEND": name, "ARGS": arguments, "STOP_TIMEOUT": 10, **entry}


def wait_until_it_listens(port: int) -> None:
    """A matter of microseconds once the server has printed its last line."""
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return


def test_each_server_answers_passes_its_health_check_and_finishes_requests(site: Site) -> None:
    """A health check needs only a path: the server's address is known."""
    ports = {name: free_port() for name in INTERFACES}
    site.hold(*ports)
    run = site({name: server(name, port, HEALTHCHECK=HEALTHCHECK) for name, port in ports.items()})
    run.wait_for("system", f"all {len(ports)} ready")
    served = {name: get(port, "/interface") for name, port in ports.items()}
    run.wait_for_each({f"{name}.1": "asked how it is" for name in ports})
    slow = {name: Request(port, f"/hold/{name}") for name, port in ports.items()}
    run.wait_for_each({f"{name}.1": f"{name} in progress" for name in ports})

    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    for name, request in slow.items():
        site.release(name)
        assert request.answer() == f"{name} held"

    assert run.end() == 0
    assert served == INTERFACES
    for name in ports:
        assert any(line.startswith(f"{name}.1 stopped after") for line in run.said("system"))


@pytest.mark.parametrize("name", INTERFACES)
def test_an_unsupervised_server_exits_with_0_on_sigterm(site: Site, name: str) -> None:
    port = free_port()
    run = site({"web": server(name, port)}, "web", stderr=STDOUT)
    run.wait_for("", STARTED[name.partition("-")[0]])
    wait_until_it_listens(port)

    assert get(port, "/interface") == INTERFACES[name]
    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("name", INTERFACES)
def test_a_wrong_option_and_a_taken_address_are_refused_before_anything_starts(name: str) -> None:
    """Its own parser refuses an option; prodserver refuses an address taken or used twice."""
    (line,) = refused({"web": server(name, 0, ARGS={"unknown-option": True})})
    assert line.startswith("PRODUCTION_PROCESSES['web']['ARGS']: ")
    assert "--unknown-option" in line

    port = free_port()
    (line,) = refused({"one": server(name, port), "other": server(name, port)})
    assert f"cannot both listen at 127.0.0.1:{port}" in line

    with listener() as address:
        (line,) = refused({"web": server(name, int(address.rpartition(":")[2]))})
    assert f"cannot listen at {address}: Address already in use" in line


@pytest.mark.parametrize("name", INTERFACES)
def test_the_preload_of_a_server_leaves_no_thread_and_no_file_descriptor(
    site: Site, name: str
) -> None:
    """Forked processes would share them."""
    source = f"""
        import threading

        import django
        import psutil

        django.setup()

        from django.utils.module_loading import import_string

        from django_prodserver.backends import BUILT_IN

        def opened():
            me = psutil.Process()
            return me.num_fds(), me.num_threads(), threading.active_count()

        before = opened()
        server = import_string(BUILT_IN[{name!r}])(ARGS={{}}, STOP_TIMEOUT=25.0, REPLICAS=1)
        server.parse()
        server.addresses()
        server.preload()
        print(opened() == before, before, opened())
    """
    run = site(
        {"web": server(name, 0)},
        "any",
        program=("-W", "ignore", "ask.py"),
        files={"ask.py": source},
        env={"DJANGO_SETTINGS_MODULE": "settings"},
        stderr=STDOUT,
    )

    run.wait_for("", r"^True")
    assert run.end() == 0


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets processes die with their parent")
def test_workers_of_servers_die_with_the_supervisor(site: Site) -> None:
    run = site({name: server(name, free_port(), ARGS={"workers": 2}) for name in LEADERS})
    run.wait_for("system", f"all {len(LEADERS)} ready")
    descendants = psutil.Process(run.pid).children(recursive=True)

    assert run.end(signal.SIGKILL) == -signal.SIGKILL

    assert len(descendants) >= 3 * len(LEADERS)
    assert psutil.wait_procs(descendants, timeout=60)[1] == []
