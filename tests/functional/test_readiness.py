"""When an instance counts as ready, and what happens if it never does."""

from __future__ import annotations

import re
from signal import SIGTERM
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.inside import free_port
from tests.running import gone

# A READY_TIMEOUT of 3 s, as reported when it is noticed.
THREE = r"3(\.\d+)? s"
# Listens once it is released.
LISTENS_LATE = """
    held()
    with socket.create_server(("127.0.0.1", int(args[0]))):
        print("listening")
        forever()
"""


def serving(source: str, port: int, **entry: Any) -> dict[str, Any]:
    made = code(source, "ServingCode", **entry)
    return {**made, "ARGS": [*made["ARGS"], str(port)]}


def notifying(source: str, **entry: Any) -> dict[str, Any]:
    return code(source, "NotifyingCode", **entry)


def ready(run: Run, name: str) -> list[str]:
    return [text for text in run.said("system") if text.startswith(f"{name} ready")]


# ---- by a connection ----


def test_a_server_is_ready_once_it_accepts_connections(start: Runs) -> None:
    run = start({"web": serving(LISTENS_LATE, free_port())})
    run.held("web.1")
    run.handshake()
    assert not ready(run, "web.1")

    run.release("web.1")
    run.wait_for("system", "all 1 ready")

    assert run.said("web.1")[-1] == "listening"
    assert len(ready(run, "web.1")) == 1
    assert run.end(SIGTERM) == 0


def test_a_dependent_can_connect_to_a_server_at_once(start: Runs) -> None:
    port = free_port()
    client = code(f"socket.create_connection(('127.0.0.1', {port})); print('connected'); forever()")
    run = start({"client": {**client, "AFTER": ["web"]}, "web": serving(LISTENS_LATE, port)})
    run.release("web.1")

    run.wait_for("client.1", "connected")

    assert run.end(SIGTERM) == 0


def test_a_server_that_exits_before_it_listens_stops_everything(start: Runs) -> None:
    run = start({"web": serving("sys.exit(3)", free_port()), "worker": FOREVER})

    assert run.end() == 3
    (ended,) = [text for text in run.said("system") if text.startswith("web.1")]
    assert ended.endswith(", before it was ready; stopping everything")


def test_a_server_can_be_stopped_before_it_listens(start: Runs) -> None:
    run = start({"web": serving(LISTENS_LATE, free_port())})
    run.held("web.1")

    assert run.end(SIGTERM) == 0
    assert not ready(run, "web.1")


# ---- too late ----


@pytest.mark.parametrize("waits_for", ["a connection", "READY=1"])
def test_a_process_that_is_not_ready_in_time_stops_everything(start: Runs, waits_for: str) -> None:
    source = "signal.signal(signal.SIGTERM, lambda *_: os._exit(5)); print('here'); forever()"
    entry = notifying(source) if waits_for == "READY=1" else serving(source, free_port())
    run = start({"web": {**entry, "READY_TIMEOUT": 3}, "worker": FOREVER})

    assert run.end() == 5
    late, ended = [text for text in run.said("system") if text.startswith("web.1")]
    assert re.fullmatch(rf"web\.1 was not ready within {THREE}; stopping it", late)
    assert ended.startswith("web.1 exited with status 5 while stopping, after ")
    assert ended.endswith("; stopping everything")
    assert not ready(run, "web.1")


def test_the_exit_status_is_1_if_a_process_that_is_not_ready_exits_with_0(start: Runs) -> None:
    source = "signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); print('here'); forever()"
    run = start({"web": notifying(source, READY_TIMEOUT=3), "worker": FOREVER})

    assert run.end() == 1
    (ended,) = [text for text in run.said("system") if text.startswith("web.1 stopped")]
    assert ended.startswith("web.1 stopped after ")
    assert ended.endswith("; stopping everything")


def test_a_process_that_is_not_ready_and_does_not_stop_is_killed(start: Runs) -> None:
    source = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("grandchild", beget(forever))
        forever()
    """
    run = start({"web": notifying(source, READY_TIMEOUT=2, STOP_TIMEOUT=0.2)})

    assert run.end() == 1
    assert gone(int(run.said("web.1")[0].split()[1]))
    system = "\n".join(run.said("system"))
    assert "web.1 did not stop within 0.2 s; killing it and its process group" in system
    assert "web.1 killed; stopping everything" in system


def test_a_process_that_is_not_ready_in_time_is_restarted_under_on_failure(start: Runs) -> None:
    source = """
        if life() == 2:
            notify()
        forever()
    """
    entry = notifying(source, READY_TIMEOUT=3, RESTART="on-failure", BACKOFF={"INITIAL": 0})
    run = start({"worker": {**FOREVER, "AFTER": ["web"]}, "web": entry})

    run.wait_for("system", rf"web\.1 was not ready within {THREE}; stopping it")
    run.wait_for("system", r"web\.1 stopped after .*; restarting")
    run.wait_for("system", r"web\.1 ready")
    run.wait_for("system", r"worker\.1 started")
    assert run.end(SIGTERM) == 0


def test_a_process_can_extend_its_ready_timeout(start: Runs) -> None:
    extending = """
        notify(b"EXTEND_TIMEOUT_USEC=3600000000")
        held()
        notify()
        forever()
    """
    # Its READY_TIMEOUT is as long as that of `web`, and begins later.
    clock = notifying("forever()", READY_TIMEOUT=3, RESTART="on-failure")
    run = start({"web": notifying(extending, READY_TIMEOUT=3), "clock": clock})

    run.wait_for("system", rf"clock\.1 was not ready within {THREE}")
    run.handshake()
    run.release("web.1")

    run.wait_for("system", r"web\.1 ready")
    assert run.end(SIGTERM) == 0


def test_a_second_ready_notification_is_ignored(start: Runs) -> None:
    run = start({"web": notifying("notify(); held(); notify(); print('again'); forever()")})
    run.wait_for("system", "all 1 ready")

    run.release("web.1")
    run.wait_for("web.1", "again")
    run.handshake()

    assert len(ready(run, "web.1")) == 1
    assert run.end(SIGTERM) == 0
