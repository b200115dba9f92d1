"""Behaviour that only the real granian has. The rest is in test_web_servers.py."""

from __future__ import annotations

import re
import signal

import psutil
import pytest

from django_prodserver.backends.granian import GranianASGIServer, GranianWSGIServer
from tests.inside import free_port, refused
from tests.peers import Request, get
from tests.running import Site


def test_an_endless_request_is_killed_within_the_stop_timeout(site: Site) -> None:
    port = free_port()
    run = site({"web": {"BACKEND": "granian", "ARGS": {"port": port}, "STOP_TIMEOUT": 3}})
    run.wait_for("system", "all 1 ready")
    with Request(port, "/forever"):
        run.wait_for("web.1", "forever")

        assert run.end(signal.SIGTERM) == 0

    assert any("after it refused to gracefully stop" in line for line in run.said("web.1"))


def test_a_worker_that_is_still_loading_the_application_stops_at_once(site: Site) -> None:
    """Without our hook it still has its leader's handlers then, which swallow the signal."""
    source = """
        import os, signal

        def __getattr__(name):
            if name == "application" and "PRODSERVER_PROCESS" in os.environ:
                os.write(1, b"loading\\n")
                while True:
                    signal.pause()
            return object()
    """
    run = site(
        {"web": {"BACKEND": "granian-wsgi", "ARGS": {"port": free_port()}}},
        files={"endless.py": source},
        supervisor={"WSGI_APPLICATION": "endless.application"},
    )
    run.wait_for("web.1", "loading")

    assert run.end(signal.SIGTERM) == 0
    # A worker that missed the signal would be killed after 22 s. granian may also say at once that
    # it killed one, because it does not see every exit that its other threads see.
    stopped = re.findall(r"web\.1 stopped after ([\d.]+) s", "\n".join(run.said("system")))
    assert [float(seconds) < 20 for seconds in stopped] == [True]


def test_granian_is_not_ready_and_exits_with_1_if_the_app_fails_to_load(
    site: Site,
) -> None:
    entry = {"BACKEND": "granian-wsgi", "ARGS": {"port": free_port()}}
    run = site({"web": entry}, supervisor={"WSGI_APPLICATION": "late.application"})

    assert run.end() == 1

    said = run.said("system")
    assert not any("web.1 ready" in line for line in said)
    assert any("web.1 exited with status 1" in line for line in said)
    assert any("no licence" in line for line in run.said("web.1"))


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere its instances cannot share an address")
def test_two_instances_share_an_address(site: Site) -> None:
    port = free_port()
    entry = {"BACKEND": "granian", "ARGS": {"port": port}, "REPLICAS": 2, "STOP_TIMEOUT": 10}
    run = site({"web": entry})
    run.wait_for("system", "all 2 ready")

    assert get(port).startswith("served by ")
    assert run.end(signal.SIGTERM) == 0


def test_granian_takes_its_listen_address_from_its_env() -> None:
    env = {"GRANIAN_PORT": "81", "GRANIAN_UDS": "/run/granian"}
    config = {"ARGS": {}, "STOP_TIMEOUT": 25.0, "REPLICAS": 1}

    by_port = GranianASGIServer(ENV={"GRANIAN_PORT": "81"}, **config)
    by_path = GranianWSGIServer(ENV=env, **config)

    assert [where.at for where in by_port.addresses()] == [("127.0.0.1", 81)]
    assert [where.at for where in by_path.addresses()] == ["/run/granian"]


def test_two_processes_cannot_share_the_port_of_the_metrics() -> None:
    one, other = (
        {"BACKEND": "granian", "ARGS": {"port": port, "metrics": True}} for port in (8001, 8002)
    )

    if "metrics_enabled" not in GranianASGIServer(ARGS={}, STOP_TIMEOUT=25.0, REPLICAS=1).parse():
        pytest.skip("this granian has no metrics yet")
    (line,) = refused({"one": one, "other": other})

    assert "cannot both listen at 127.0.0.1:9090" in line
