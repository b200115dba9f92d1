"""A platform stops everything: it signals every process, and the supervisor is one of them."""

from __future__ import annotations

import os
import re
from signal import SIGINT, SIGTERM, Signals
from typing import Any

import psutil
import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code

# Exits with 0 on SIGTERM, like a server that has finished its requests.
OBEDIENT = code(
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("here")
    forever()
    """
)
# Exits with 0 once it is released, however often it is asked to stop.
SLOW = code(
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("here")
    signal.sigwait({signal.SIGTERM})
    held()
    """
)


def pid_of(run: Run, instance: str) -> int:
    lines = "\n".join(run.said("system"))
    match = re.search(rf"^{instance} started \(pid (\d+)\)$", lines, re.MULTILINE)
    assert match is not None, lines
    return int(match[1])


@pytest.mark.parametrize("web", [FOREVER, OBEDIENT], ids=["killed", "exits with 0"])
@pytest.mark.parametrize(("asked", "status"), [(SIGTERM, 0), (SIGINT, 130)])
def test_a_process_that_exits_just_before_the_stop_signal_is_not_a_failure(
    start: Runs, web: Any, asked: Signals, status: int
) -> None:
    run = start({"web": web, "worker": SLOW})
    run.wait_for_each({"system": "all 2 ready", "worker.1": "here"})
    if web is OBEDIENT and "here" not in run.said("web.1"):
        run.wait_for("web.1", "here")

    run.kill(pid_of(run, "web.1"), SIGTERM)
    run.wait_for("system", "^web.1 .*; stopping everything")
    run.signal(asked)
    run.wait_for("system", f"^{asked.name} received; stopping everything")
    run.release("worker.1")

    assert run.end() == status
    assert run.said("system")[-1].endswith(f"exit status {status}")


@pytest.mark.parametrize(("asked", "status"), [(SIGTERM, 0), (SIGINT, 130)])
def test_a_stop_signal_after_the_last_exit_still_decides_the_exit_status(
    start: Runs, asked: Signals, status: int
) -> None:
    """The supervisor gets its signal right after the last process has stopped."""
    run = start({"web": FOREVER, "worker": FOREVER})
    run.wait_for("system", "all 2 ready")

    run.kill(pid_of(run, "web.1"), SIGTERM)
    run.wait_for("system", "^worker.1 stopped after")
    run.signal(asked)

    assert run.end() == status


def test_without_a_stop_signal_the_first_process_to_exit_decides_the_exit_status(
    start: Runs,
) -> None:
    run = start({"web": FOREVER, "worker": FOREVER})
    run.wait_for("system", "all 2 ready")

    run.kill(pid_of(run, "web.1"), SIGTERM)

    assert run.end() == 143


@pytest.mark.parametrize("supervisor", ["first", "last"])
def test_sigterm_to_every_session_stops_everything_with_exit_status_0(
    start: Runs, supervisor: str
) -> None:
    """Nothing is killed, and no process that has already exited is asked to stop."""
    run = start({"web": FOREVER, "api": OBEDIENT, "worker": SLOW})
    run.wait_for_each({"system": "all 3 ready", "api.1": "here", "worker.1": "here"})
    groups = [pid_of(run, name) for name in ("web.1", "api.1", "worker.1")]
    assert all(os.getpgid(pid) == pid == os.getsid(pid) for pid in groups)
    everybody = [psutil.Process(pid) for pid in groups]

    if supervisor == "first":
        run.signal(SIGTERM)
    for pid in groups:
        os.killpg(pid, SIGTERM)
    if supervisor == "last":
        run.signal(SIGTERM)
    run.wait_for("system", "^SIGTERM received; stopping everything")
    run.release("worker.1")

    assert run.end() == 0
    assert not any("killing" in text for text in run.said("system"))
    assert psutil.wait_procs(everybody, timeout=60)[1] == []
