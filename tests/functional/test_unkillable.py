"""A process that survives SIGKILL is waited for no longer than five seconds, and reported.

A tracer that never waits makes a process unkillable: signals do not reach it, and after SIGKILL its
parent cannot reap it (ptrace(2)). Processes that wait for a disk or a file server, or belong to
another user, survive SIGKILL as well.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from signal import SIGKILL, SIGTERM
from typing import Callable

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code, shell
from tests.running import gone, skip_unless_it_works

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ptrace(2) is not in POSIX")

UNSHARE = ["unshare", "--pid", "--fork"]
# 0x4206 is PTRACE_SEIZE of <linux/ptrace.h>.
TRACER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
if libc.ptrace(0x4206, int(sys.argv[1]), None, None):
    sys.exit(os.strerror(ctypes.get_errno()))
print("held", flush=True)
sys.stdin.read()
"""
# How long the supervisor waits after SIGKILL, in seconds.
PATIENCE = 5.0
# Its output shows that exec is done: if it were held earlier, it would never get there.
TAIL = ["tail", "-n", "1", "-f", "manage.py"]
LAST_LINE = "execute_from_command_line"

Hold = Callable[[int], None]


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Make a process unkillable."""
    command = [sys.executable, "-S", "-c", TRACER, str(pid)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as tracer:
        assert tracer.stdout is not None
        if tracer.stdout.readline() != "held\n":
            pytest.skip(f"ptrace(2) is not permitted here: {tracer.communicate()[1].strip()}")
        try:
            yield
        finally:
            tracer.communicate()


@pytest.fixture
def hold() -> Iterator[Callable[[int], None]]:
    """Make a process unkillable until the end of the test."""
    with ExitStack() as stack:
        yield lambda pid: stack.enter_context(held(pid))


def ended(run: Run, *, within: float) -> int:
    """Send SIGTERM; return the exit status, which takes `within` seconds: no wait happens twice."""
    begun = time.monotonic()
    status = run.end(SIGTERM)
    assert within <= time.monotonic() - begun < within + PATIENCE
    return status


def tail(**settings: object) -> dict[str, object]:
    return shell("exec " + " ".join(TAIL), **settings)


def pid_of_tail(run: Run) -> int:
    """The pid of the leader of `web.1`, once it runs `tail`."""
    run.wait_for_each({"system": r"all \d ready", "web.1": LAST_LINE})
    (started,) = lines(run, "web.1 started")
    return int(re.findall(r"\(pid (\d+)\)", started)[0])


def lines(run: Run, word: str) -> list[str]:
    return [text for text in run.said("system") if word in text]


def test_the_supervisor_stops_waiting_for_a_leader_that_survives_sigkill(
    start: Runs, hold: Hold
) -> None:
    run = start({"web": tail(STOP_TIMEOUT=0.5), "worker": FOREVER})
    pid = pid_of_tail(run)
    hold(pid)

    assert ended(run, within=0.5 + PATIENCE) == 1
    assert lines(run, "survived SIGKILL") == [
        f"web.1 survived SIGKILL for 5 s: tail (pid {pid}); no longer waiting for it"
    ]
    assert run.said("system")[-1].endswith("; exit status 1")
    assert lines(run, "left behind") == []


def test_a_second_signal_does_not_wait_forever_for_an_unkillable_process(
    start: Runs, hold: Hold
) -> None:
    run = start({"web": tail(STOP_TIMEOUT=1000)})
    pid = pid_of_tail(run)
    hold(pid)
    run.signal(SIGTERM)
    run.wait_for("system", "SIGTERM received; stopping everything")

    assert ended(run, within=PATIENCE) == 1
    assert len(lines(run, f"SIGKILL for 5 s: tail (pid {pid})")) == 1


def test_a_restart_proceeds_although_a_grandchild_survives_sigkill(start: Runs, hold: Hold) -> None:
    source = """
        lives = life()
        print("life", lives)
        if lives == 1:
            print("grandchild", beget(forever))
            held()
            sys.exit(3)
        forever()
    """
    policy = {"RESTART": "always", "BACKOFF": {"INITIAL": 0}}
    run = start({"web": code(source, **policy)})
    grandchild = int(run.wait_for("web.1", r"grandchild (\d+)")[1])
    hold(grandchild)

    run.release("web.1")

    run.wait_for("system", r"web\.1 exited with status 3 .*; restarting$")
    lost = run.wait_for("system", r"web\.1 survived SIGKILL for 5 s: (.*)")[1]
    assert f" (pid {grandchild}); " in lost
    run.wait_for("web.1", "life 2")
    # The shutdown does not wait for it again, and it is still alive at the end.
    assert run.end(SIGTERM) == 1
    assert len(lines(run, "SIGKILL")) == 1


def test_a_stray_that_survives_sigkill_is_reported_with_exit_status_1(
    start: Runs, hold: Hold
) -> None:
    source = f"""
        def daemon():
            os.setsid()
            os.execvp("tail", {TAIL})

        print("daemon", beget(daemon))
        forever()
    """
    run = start({"web": code(source)})
    # The daemon's output may come before the line with its pid.
    run.wait_for_all(("web.1", r"daemon \d+"), ("web.1", LAST_LINE))
    (daemon,) = (int(text.split()[1]) for text in run.said("web.1") if "daemon" in text)
    hold(daemon)

    assert ended(run, within=PATIENCE) == 1
    assert run.said("system")[-1] == (
        f"SIGKILL did not end tail (pid {daemon}) within 5 s; exit status 1"
    )
    assert lines(run, "left behind") == []


def test_many_strays_are_killed_and_listed_in_one_log_line(start: Runs) -> None:
    source = """
        def daemon():
            os.setsid()
            forever()

        for _ in range(200):
            beget(daemon)
        print("here")
        forever()
    """
    run = start({"web": code(source)})
    run.wait_for("web.1", "here")

    assert run.end(SIGTERM) == 0
    (said,) = lines(run, "left behind")
    assert said.count("(pid ") == 200


def test_strays_that_proc_does_not_show_are_reported_as_left_behind(start: Runs) -> None:
    """The mounted /proc shows the pids of another namespace."""
    skip_unless_it_works(*UNSHARE)
    source = """
        def daemon():
            os.setsid()
            forever()

        beget(daemon)
        print("here")
        forever()
    """
    run = start({"web": code(source)}, prefix=UNSHARE)
    run.wait_for("web.1", "here")
    run.enter()

    assert run.end(SIGTERM) == 0
    assert run.said("system")[-1] == (
        "some processes are left behind: /proc does not show them, so they cannot be killed"
    )


def test_strays_survive_without_proc_if_the_supervisor_is_not_pid_1(start: Runs) -> None:
    """No other process ends them; this is logged once, and the exit status is unchanged."""
    prefix = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    skip_unless_it_works(*prefix)
    source = """
        def daemon():
            os.setsid()
            forever()

        print("stray", beget(daemon))
        held()
        sys.exit(3)
    """
    run = start({"web": code(source), "worker": FOREVER}, prefix=prefix)
    stray = int(run.wait_for("web.1", r"stray (\d+)")[1])
    run.release("web.1")

    assert run.end() == 3
    assert run.said("system")[-1] == (
        "some processes are left behind: /proc does not show them, so they cannot be killed"
    )
    assert run.stderr == ""
    os.kill(stray, SIGKILL)
    while not gone(stray):
        os.sched_yield()


def test_a_process_that_ends_late_is_not_reported_as_surviving_sigkill(start: Runs) -> None:
    run = start({"web": tail(STOP_TIMEOUT=0.5)})
    pid = pid_of_tail(run)
    with held(pid):
        run.signal(SIGTERM)
        run.wait_for("system", "killing it and its process group")

    assert run.end() == 1
    assert lines(run, "survived SIGKILL") == []
