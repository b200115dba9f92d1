"""The real waitress, alone and supervised."""

from __future__ import annotations

import signal

from tests.inside import WAITRESS, free_port
from tests.running import Request, Site, get


def test_it_is_stopped_by_sigint_which_finishes_the_request_in_hand(
    site: Site,
) -> None:
    """SIGTERM, which the supervisor gets, would kill it in the middle of the response."""
    port = free_port()
    site.hold("slow")
    run = site({"web": {"BACKEND": WAITRESS, "ARGS": {"listen": f"127.0.0.1:{port}"}}})
    run.wait_for("system", "all 1 ready")
    assert get(port).startswith("served by ")
    slow = Request(port, "/hold/slow")
    run.wait_for("web.1", "slow in hand")

    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0
    assert any(line.startswith("web.1 stopped after") for line in run.said("system"))


def test_alone_sigint_finishes_the_request_in_hand(site: Site) -> None:
    port = free_port()
    site.hold("slow")
    run = site({"web": {"BACKEND": WAITRESS, "ARGS": {"port": port, "host": "127.0.0.1"}}}, "web")
    run.wait_for("", "Serving on")
    slow = Request(port, "/hold/slow")
    run.wait_for("", "slow in hand")

    run.signal(signal.SIGINT)
    site.release("slow")

    assert slow.answer() == "slow held"
    assert run.end() == 0
