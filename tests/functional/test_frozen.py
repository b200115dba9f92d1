"""Frozen processes are no failure: all of them, as by `docker pause`, or one, as by SIGSTOP."""

from __future__ import annotations

import os
import time
from signal import SIGALRM, SIGCONT, SIGSTOP, SIGTERM, SIGUSR1
from typing import Any

import psutil

from tests.functional.helpers import Run, Runs, code

# Longer than any deadline in this file, in seconds.
FROZEN = 4.0
PINGS = """
    notify(b"READY=1")
    for number in range(1000):
        notify(b"WATCHDOG=1")
        if number % 10 == 0:
            print("ping", number)
        time.sleep(0.1)
"""
STOPS = """
    def stop(number, frame):
        held()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    print("here")
    forever()
"""


def freeze(run: Run) -> None:
    """Freeze everything for a while; the supervisor continues before all others."""
    everything = [run.pid, *run.descendants()]
    for pid in everything:
        os.kill(pid, SIGSTOP)
    time.sleep(FROZEN)
    for pid in everything:
        os.kill(pid, SIGCONT)


def notifying(source: str, **entry: Any) -> dict[str, Any]:
    return code(source, backend="NotifyingCode", **entry)


def system(run: Run, *words: str) -> list[str]:
    return [text for text in run.said("system") if any(word in text for word in words)]


def test_a_watchdog_does_not_count_the_time_in_which_everything_was_frozen(start: Runs) -> None:
    run = start({"web": notifying(PINGS, WATCHDOG=2)})
    run.wait_for("web.1", "ping 20")

    freeze(run)

    run.wait_for("web.1", "ping 50")
    assert run.end(SIGTERM) == 0
    assert system(run, "unhealthy") == []


def test_a_ready_timeout_does_not_count_frozen_time(start: Runs) -> None:
    source = "held(); notify(b'READY=1'); forever()"
    run = start({"web": notifying(source, READY_TIMEOUT=3)})
    pid = run.held("web.1")

    freeze(run)
    run.kill(pid, SIGALRM)

    run.wait_for("system", "all 1 ready")
    assert run.end(SIGTERM) == 0


def test_a_stop_timeout_does_not_count_frozen_time(start: Runs) -> None:
    run = start({"web": code(STOPS, STOP_TIMEOUT=3)})
    run.wait_for("web.1", "here")
    run.signal(SIGTERM)
    pid = run.held("web.1")

    freeze(run)
    run.kill(pid, SIGALRM)

    assert run.end() == 0
    assert system(run, "killing") == []


def test_a_silent_process_is_still_unhealthy_after_a_freeze(start: Runs) -> None:
    source = "notify(b'READY=1'); print('here'); forever()"
    run = start({"web": notifying(source, WATCHDOG=2)})
    run.wait_for("web.1", "here")

    freeze(run)

    assert run.end() == 128 + SIGTERM
    assert system(run, "unhealthy") == [
        "web.1 is unhealthy: no WATCHDOG=1 for 2 s; stopping it",
    ]


# ---- one process ----


def stopped(pid: int) -> None:
    """Stop a process by SIGSTOP, and wait until it is stopped."""
    os.kill(pid, SIGSTOP)
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        os.sched_yield()


def pid_of(run: Run) -> int:
    """The pid of `web.1`, once it has its signal handlers."""
    return int(run.wait_for("web.1", r"^here: (\d+)")[1])


def test_a_process_suspended_by_sigstop_still_stops_on_sigterm(start: Runs) -> None:
    source = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        say(f"here: {os.getpid()}")
        forever()
    """
    run = start({"web": code(source, STOP_TIMEOUT=600)})
    stopped(pid_of(run))

    assert run.end(SIGTERM) == 0
    assert len(system(run, "web.1 stopped after")) == 1


def test_a_worker_suspended_by_sigstop_does_not_delay_its_leaders_stop(start: Runs) -> None:
    source = """
        worker = beget(forever)

        def stop(number, frame):
            os.kill(worker, signal.SIGTERM)
            os.waitpid(worker, 0)
            sys.exit(0)

        signal.signal(signal.SIGTERM, stop)
        print("worker", worker)
        forever()
    """
    run = start({"web": code(source, STOP_TIMEOUT=600)})
    stopped(int(run.wait_for("web.1", r"worker (\d+)")[1]))

    assert run.end(SIGTERM) == 0
    assert system(run, "killing", "left behind") == []


def test_the_escalation_signal_reaches_a_process_suspended_meanwhile(start: Runs) -> None:
    source = """
        signal.signal(signal.SIGTERM, lambda *_: say("SIGTERM"))
        signal.signal(signal.SIGQUIT, lambda *_: sys.exit(0))
        say(f"here: {os.getpid()}")
        forever()
    """
    run = start({"web": code(source, backend="CodeWithEscalationSignal", STOP_TIMEOUT=5)})
    pid = pid_of(run)
    run.signal(SIGTERM)
    run.wait_for("web.1", "SIGTERM")
    stopped(pid)

    assert run.end() == 0
    assert system(run, "killing") == []


def test_a_forwarded_signal_does_not_resume_a_suspended_process(start: Runs) -> None:
    """A process that was stopped on purpose stays stopped."""
    source = """
        signal.signal(signal.SIGUSR1, lambda *_: say("SIGUSR1"))
        say(f"here: {os.getpid()}")
        forever()
    """
    run = start({"web": code(source, backend="CodeWithSIGUSR1")})
    pid = pid_of(run)
    stopped(pid)

    run.signal(SIGUSR1)
    run.wait_for("system", "SIGUSR1 received; passed on")
    run.handshake()
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    assert run.end(SIGTERM) == 0
