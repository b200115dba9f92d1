"""Signals to the supervisor that do not stop it, and a supervisor that is idle."""

from __future__ import annotations

import time
from signal import SIGHUP, SIGTERM, SIGUSR1, SIGUSR2

import psutil
import pytest

from tests.functional.conftest import LOCAL_FORK
from tests.functional.helpers import Runs, code
from tests.operating import socket_of

LISTENS = """
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: print("got", signal.Signals(number).name))
    print("listening")
    forever()
"""


def test_sighup_is_ignored_with_one_line_where_a_reload_is_impossible(start: Runs) -> None:
    # As on a system without templates.
    env = {LOCAL_FORK: "1"}
    run = start({"web": code(LISTENS)}, start_new_session=True, env=env)
    run.wait_for("web.1", "listening")

    run.signal(SIGHUP)
    run.handshake()

    assert run.end(SIGTERM) == 0
    assert run.said("system").count("SIGHUP received; ignored") == 1
    assert run.said("web.1") == ["listening"]


def test_sigusr1_is_passed_only_to_processes_that_declare_it(start: Runs) -> None:
    run = start({"web": code(LISTENS, "CodeWithSIGUSR1"), "worker": code(LISTENS)})
    run.wait_for_each({"web.1": "listening", "worker.1": "listening"})

    run.signal(SIGUSR1)
    run.wait_for("web.1", "got SIGUSR1")
    run.signal(SIGUSR2)
    run.wait_for("system", "SIGUSR2 received; ignored")

    assert run.end(SIGTERM) == 0
    assert "SIGUSR1 received; passed on" in run.said("system")
    assert run.said("web.1") == ["listening", "got SIGUSR1"]
    assert run.said("worker.1") == ["listening"]


@pytest.mark.skipif(not hasattr(psutil.Process, "num_ctx_switches"), reason="cannot be counted")
def test_an_idle_supervisor_does_not_wake_up(start: Runs) -> None:
    run = start({"web": code("print('idle'); forever()", REPLICAS=10)})
    run.wait_for("system", "all 10 ready")
    waiting = {f"web.{number + 1}" for number in range(10)} - {line.name for line in run.lines}
    run.wait_for_each(dict.fromkeys(waiting, "idle"))
    process = psutil.Process(run.pid)
    assert socket_of(start).get("/v1/status").status == 200  # After a request it waits again.
    run.handshake()
    while process.status() != psutil.STATUS_SLEEPING:
        pass

    before = process.num_ctx_switches()
    # Not to wait for something, but to see that nothing happens meanwhile.
    time.sleep(3)

    assert process.num_ctx_switches() == before
    assert run.end(SIGTERM) == 0
