"""The real waitress, alone and supervised."""

from __future__ import annotations

import signal

import pytest

from tests.inside import WAITRESS, free_port
from tests.peers import Request, get
from tests.running import Site


def test_stopping_a_supervised_waitress_finishes_in_flight_requests(
    site: Site,
) -> None:
    port = free_port()
    site.hold("slow")
    run = site({"web": {"BACKEND": WAITRESS, "ARGS": {"listen": f"127.0.0.1:{port}"}}})
    run.wait_for("system", "all 1 ready")
    assert get(port).startswith("served by ")
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0
    assert any(line.startswith("web.1 stopped after") for line in run.said("system"))


def test_sigterm_to_every_process_finishes_in_flight_requests_too(site: Site) -> None:
    """The process gets SIGTERM, then the supervisor does, which stops the process with SIGINT."""
    port = free_port()
    site.hold("slow")
    run = site({"web": {"BACKEND": WAITRESS, "ARGS": {"listen": f"127.0.0.1:{port}"}}})
    run.wait_for("system", "all 1 ready")
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in progress")
    (leader,) = run.children()

    leader.send_signal(signal.SIGTERM)
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_an_unsupervised_waitress_finishes_requests_on_sigint_and_sigterm(
    site: Site, asked: signal.Signals
) -> None:
    port = free_port()
    site.hold("slow")
    # An existing handler is kept, and where coverage is measured there is one.
    site.measured = False
    run = site({"web": {"BACKEND": WAITRESS, "ARGS": {"port": port, "host": "127.0.0.1"}}}, "web")
    run.wait_for("", "Serving on")
    slow = Request(port, "/hold/slow")
    run.wait_for("", "slow in progress")

    run.signal(asked)
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0
