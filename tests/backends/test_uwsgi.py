"""Behaviour that only the real uWSGI has. The rest is in test_web_servers.py."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from subprocess import STDOUT
from textwrap import dedent
from typing import Any

import psutil
import pytest

from django_prodserver.backends.base import Address, PrintsOnly
from django_prodserver.backends.uwsgi import DEFAULT_ADDRESS, UwsgiServer, addresses_of
from tests.inside import free_port, refused
from tests.peers import Request, get
from tests.rewriting import rewrite
from tests.running import Site, skip_without

VERSION = """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"version %d"]
"""
ACCEPTS = r"\(accepting\)"


def entry(port: int, **args: Any) -> dict[str, Any]:
    return {"BACKEND": "uwsgi", "ARGS": {"http-socket": f"127.0.0.1:{port}", **args}}


def server(args: Any) -> UwsgiServer:
    return UwsgiServer(ARGS=args, STOP_TIMEOUT=25.0, REPLICAS=1)


@pytest.mark.parametrize("args", [{}, {"lazy-apps": True}], ids=["forked", "lazy"])
@pytest.mark.parametrize("alone", [False, True], ids=["supervised", "alone"])
def test_hup_loads_new_code(site: Site, alone: bool, args: dict[str, Any]) -> None:
    """By default pyuwsgi executes a Python outside the virtual environment, and fails."""
    port, files = free_port(), {"wsgi.py": VERSION % 1}
    names = ["web"] if alone else []
    run = site({"web": entry(port, **args)}, *names, files=files, stderr=STDOUT)
    name, pid = ("", run.pid) if alone else ("web.1", 0)
    run.wait_for(name, ACCEPTS)
    pid = pid or run.children()[0].pid
    assert get(port) == "version 1"

    rewrite(site.project / "wsgi.py", dedent(VERSION % 2))
    os.kill(pid, signal.SIGHUP)
    run.wait_for(name, "gracefully .RE.spawned")

    assert get(port) == "version 2"
    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    "args", [{}, {"threads": 2}, {"router": True}], ids=["process", "threads", "router"]
)
def test_a_platform_that_signals_every_process_drops_no_request(
    site: Site, args: dict[str, Any]
) -> None:
    port = free_port()
    site.hold("task")
    web = entry(port, processes=2, **args)
    if web["ARGS"].pop("router", False):
        web["ARGS"]["http"] = web["ARGS"].pop("http-socket")
    run = site({"web": web})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/task")
    run.wait_for("web.1", "task in progress")
    leader = run.children()[0].pid

    for _ in range(2):
        os.killpg(leader, signal.SIGTERM)
    run.wait_for("web.1", "graceful shutdown triggered")
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    os.killpg(leader, signal.SIGTERM)
    site.release("task")

    assert slow.answer() == "task held"
    assert run.end() == 0


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets processes die with their parent")
def test_an_endless_request_is_ended_by_sigquit_within_the_stop_timeout(site: Site) -> None:
    port = free_port()
    site.hold("never")
    run = site({"web": {**entry(port, processes=2), "STOP_TIMEOUT": 6}})
    run.wait_for("system", "all 1 ready")
    with Request(port, "/hold/never"):
        run.wait_for("web.1", "never in progress")

        assert run.end(signal.SIGTERM) == 0

    assert any("sending it SIGQUIT" in line for line in run.said("system"))


@pytest.mark.parametrize("args", [{}, {"lazy-apps": True}], ids=["forked", "lazy"])
def test_uwsgi_exits_with_22_if_the_application_cannot_be_loaded(
    site: Site, args: dict[str, Any]
) -> None:
    source = """
        import os

        if os.environ.get("PRODSERVER_PROCESS") == "web":
            raise RuntimeError("there is no licence for this process")
    """
    processes = {"web": entry(free_port(), processes=2, **args)}
    run = site(processes, files={"wsgi.py": source})

    assert run.end() == 22

    assert not any("web.1 ready" in line for line in run.said("system"))
    meaning = "(the application could not be loaded)"
    assert any(f"web.1 exited with status 22 {meaning}" in line for line in run.said("system"))
    assert any("no licence" in line for line in run.said("web.1"))


@pytest.mark.parametrize("args", [{}, {"lazy-apps": True}], ids=["forked", "lazy"])
def test_uwsgi_is_ready_once_the_application_is_loaded(site: Site, args: dict[str, Any]) -> None:
    port = free_port()
    site.hold("loading")
    source = """
        from jobs.hold import hold
        hold("loading")
        from wsgi import application
    """
    run = site(
        {"web": entry(port, **args)},
        files={"slow.py": source},
        supervisor={"WSGI_APPLICATION": "slow.application"},
    )
    run.wait_for("web.1", "loading in progress")
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        """It listens, and is not ready."""
    site.release("loading")

    run.wait_for_all(("web.1", "loading done"), ("system", "web.1 ready"))
    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0
    ready = next(i for i, line in enumerate(run.lines) if "web.1 ready" in line.text)
    assert any("loading done" in line.text for line in run.lines[:ready])
    said = "\n".join(run.said("web.1"))
    assert said.index("gracefully_kill_them_all") < said.index("notify_ready")


@pytest.mark.parametrize("args", [{}, {"lazy-apps": True}], ids=["forked", "lazy"])
def test_uwsgi_stops_at_once_while_it_loads_the_application(
    site: Site, args: dict[str, Any]
) -> None:
    source = """
        import os
        import signal

        if os.environ.get("PRODSERVER_PROCESS") == "web":
            os.write(1, b"loading\\n")
            while True:
                signal.pause()
    """
    run = site({"web": entry(free_port(), **args)}, files={"wsgi.py": source})
    run.wait_for("web.1", "loading")

    assert run.end(signal.SIGTERM) == 0
    assert not any("sending it SIGQUIT" in line for line in run.said("system"))


def test_a_respawned_worker_gets_its_own_random_numbers(site: Site) -> None:
    skip_without("numpy")
    source = """
        import random

        import numpy

        numpy.random.random()

        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{numpy.random.random()} {random.random()}".encode()]
    """
    port = free_port()
    run = site({"web": entry(port, processes=4, cheaper=1)}, files={"wsgi.py": source})
    run.wait_for("system", "all 1 ready")
    first = get(port).split()
    (leader,) = run.children()
    leader.children()[0].kill()
    run.wait_for("web.1", "Respawned uWSGI worker")

    assert not set(first) & set(get(port).split())
    assert run.end(signal.SIGTERM) == 0


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere its instances cannot share an address")
def test_two_instances_share_an_address(site: Site) -> None:
    port = free_port()
    run = site({"web": {**entry(port, **{"reuse-port": True}), "REPLICAS": 2}})
    run.wait_for("system", "all 2 ready")

    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0


def test_gevent_patches_before_the_project_is_imported(site: Site) -> None:
    skip_without("gevent")
    source = """
        import socket
        print("the sockets:", socket.socket.__module__, flush=True)

        from django.core.wsgi import get_wsgi_application
        application = get_wsgi_application()
    """
    port = free_port()
    args = {"gevent": 10, "gevent-early-monkey-patch": True}
    run = site({"web": entry(port, **args)}, files={"wsgi.py": source})
    run.wait_for_each_of("the sockets: gevent", "all 1 ready")

    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0


# ---- its options ----


def test_an_ini_file_is_read_and_not_overridden_by_our_defaults(tmp_path: Path) -> None:
    ini = tmp_path / "uwsgi.ini"
    ini.write_text(
        "[uwsgi]\nbase = /srv\nhttp = :9000\nsocket = %(base)/x.sock\nstats = 127.0.0.1:9191\n"
        "wsgi-file = other.py\nlazy-apps = true\ndaemonize = false\n"
    )

    backend = server({"ini": str(ini)})

    assert [str(one) for one in backend.addresses()] == [
        *("0.0.0.0:9000", "/srv/x.sock", "127.0.0.1:9191")
    ]
    args = backend.prep_server_args()
    assert not [word for word in args if "--http-socket" in word or "--module" in word]
    assert not [word for word in args if "close_connections" in word]
    assert "daemonize" not in backend.parse()


def test_options_that_are_not_configured_have_our_defaults() -> None:
    backend = server({})

    args = backend.prep_server_args()

    assert {f"--http-socket={DEFAULT_ADDRESS}", f"--module={backend.application}"} <= set(args)
    assert {"--master", "--die-on-term", "--need-app", "--no-orphans"} <= set(args)
    assert [str(one) for one in backend.addresses()] == [DEFAULT_ADDRESS]


def test_addresses_are_parsed_as_uwsgi_parses_them() -> None:
    options = {
        "reuse-port": [""],
        "socket": ["@abstract", "=0"],
        "http-socket": ["*:80", "[::1]:81"],
        # pyuwsgi is built without TLS.
        "https": [":443,a.crt,a.key,HIGH,!ca.crt"],
    }

    assert addresses_of(options) == [
        Address(("", 80), shared=True),
        Address(("::1", 81), shared=True),
        Address(("", 443), shared=True, tls=True, client_certificate=True),
        Address("@abstract", shared=True),
    ]


def test_chdir_uid_gid_and_umask_options_of_uwsgi_are_recognised() -> None:
    backend = server({"chdir": "/srv", "uid": "www", "gid": 33, "umask": "022"})

    options = backend.parse()

    assert backend.own_context(options) == {
        "CWD": "/srv",
        "USER": "www",
        "GROUP": "33",
        "UMASK": "022",
    }


def test_daemonize_in_an_ini_file_is_refused(tmp_path: Path) -> None:
    ini = tmp_path / "uwsgi.ini"
    ini.write_text("[uwsgi]\ndaemonize = /tmp/log\n")

    (line,) = refused({"web": {"BACKEND": "uwsgi", "ARGS": {"ini": str(ini)}}})

    assert "has 'daemonize' set, which detaches it" in line


def test_an_option_that_only_prints_is_recognised() -> None:
    with pytest.raises(PrintsOnly):
        server({"version": True}).parse()
