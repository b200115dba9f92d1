"""The exit status tells what happened: every row of the table."""

from __future__ import annotations

import os
import subprocess
from signal import SIGALRM, SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM, Signals

import pytest

from tests.functional.helpers import FOREVER, STUBBORN, Runs, code
from tests.running import gone

# Prints a line, and exits with status 5 on SIGTERM.
LEAVES_WITH_5 = code(
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    print("here")
    forever()
    """
)


@pytest.mark.parametrize(("asked", "status"), [(SIGTERM, 0), (SIGQUIT, 0), (SIGINT, 130)])
def test_the_stop_signal_decides_the_status_if_all_processes_stop_in_time(
    start: Runs, asked: Signals, status: int
) -> None:
    run = start({"web": FOREVER, "worker": FOREVER})
    run.wait_for("system", "all 2 ready")

    assert run.end(asked) == status
    assert f"{asked.name} received; stopping everything" in run.said("system")
    assert run.said("system")[-1].endswith(f"exit status {status}")
    assert run.stderr == ""


def test_the_supervisor_exits_with_the_status_of_a_failed_process(start: Runs) -> None:
    run = start({"web": code("sys.exit(3)"), "worker": FOREVER})

    assert run.end() == 3
    (ended,) = [text for text in run.said("system") if text.startswith("web.1 exited")]
    assert ended.startswith("web.1 exited with status 3 after ")
    assert ended.endswith("; stopping everything")


@pytest.mark.parametrize("number", [SIGALRM, SIGKILL])
def test_death_by_a_signal_becomes_128_plus_its_number(start: Runs, number: Signals) -> None:
    run = start({"web": code(f"os.kill(os.getpid(), {number:d})"), "worker": FOREVER})

    assert run.end() == 128 + number
    assert any(f"web.1 was killed by {number.name}" in text for text in run.said("system"))


def test_a_service_that_exits_with_0_on_its_own_is_a_failure(start: Runs) -> None:
    run = start({"web": code("pass"), "worker": FOREVER})

    assert run.end() == 1


def test_the_first_process_to_exit_decides_the_status(start: Runs) -> None:
    first = code("signal.signal(signal.SIGALRM, lambda *_: sys.exit(3)); print('go'); forever()")
    run = start({"web": first, "worker": LEAVES_WITH_5})
    pid = int(run.wait_for("system", r"web.1 started \(pid (\d+)\)")[1])
    run.wait_for_each({"web.1": "go", "worker.1": "here"})

    os.kill(pid, SIGALRM)

    assert run.end() == 3
    assert any("worker.1 exited with status 5 while stopping" in t for t in run.said("system"))


@pytest.mark.parametrize("asked", [SIGTERM, SIGINT])
def test_a_process_that_does_not_stop_in_time_is_killed_and_the_status_is_1(
    start: Runs, asked: Signals
) -> None:
    run = start({"web": STUBBORN}, "--all", "--no-timestamps", "--stop-timeout", "0.3")
    run.wait_for("web.1", "deaf")

    assert run.end(asked) == 1
    assert "web.1 did not stop within 0.3 s; killing it and its process group" in run.said("system")
    assert "web.1 killed" in run.said("system")


def test_the_kill_after_the_stop_timeout_reaches_the_whole_group(start: Runs) -> None:
    source = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("grandchild", beget(forever))
        forever()
    """
    run = start({"web": code(source, STOP_TIMEOUT=0.3)})
    grandchild = int(run.wait_for("web.1", r"grandchild (\d+)")[1])

    assert run.end(SIGTERM) == 1
    assert gone(grandchild)
    assert not any("left behind" in text for text in run.said("system"))


def test_a_kill_after_the_stop_timeout_overrides_the_status_of_the_first_to_exit(
    start: Runs,
) -> None:
    ends = code("signal.signal(signal.SIGALRM, lambda *_: sys.exit(3)); print('go'); forever()")
    run = start({"web": ends, "worker": {**STUBBORN, "STOP_TIMEOUT": 0.3}})
    pid = int(run.wait_for("system", r"web.1 started \(pid (\d+)\)")[1])
    run.wait_for_each({"web.1": "go", "worker.1": "deaf"})

    os.kill(pid, SIGALRM)

    assert run.end() == 1
    assert any("web.1 exited with status 3" in text for text in run.said("system"))


@pytest.mark.parametrize(
    ("first", "second"), [(SIGTERM, SIGTERM), (SIGTERM, SIGINT), (SIGINT,) * 2]
)
def test_a_second_signal_kills_at_once(start: Runs, first: Signals, second: Signals) -> None:
    run = start({"web": {**STUBBORN, "STOP_TIMEOUT": 3600}, "worker": STUBBORN})
    run.wait_for_each({"web.1": "deaf", "worker.1": "deaf"})
    run.signal(first)
    run.wait_for("system", f"{first.name} received; stopping everything")

    assert run.end(second) == 128 + second
    assert f"{second.name} received; killing everything" in run.said("system")
    assert {"web.1 killed", "worker.1 killed"} <= set(run.said("system"))


def test_a_reader_that_closes_stdout_stops_everything(start: Runs) -> None:
    run = start({"web": code("while True: print('tick')"), "worker": FOREVER})
    run.wait_for("web.1", "tick")
    assert run.output is not None
    run.output.close()
    run.output = None

    assert run.end() == 141
    assert run.stderr == ""


def test_prodserver_all_piped_into_head_1_exits_with_141(start: Runs) -> None:
    run = start({"web": code("while True: print('tick')"), "worker": FOREVER})
    assert run.output is not None
    head = subprocess.run(["head", "-n", "1"], stdin=run.output.fd, stdout=subprocess.PIPE)
    run.output.close()
    run.output = None

    assert run.end() == 141
    assert head.stdout.startswith(b"system   | supervising web.1, worker.1 (python ")


def test_a_name_that_is_not_configured_starts_nothing(start: Runs) -> None:
    run = start({"web": FOREVER, "worker": FOREVER}, "wbe", "worker")

    assert run.end() == 1
    assert run.raw == []
    assert run.stderr == (
        "CommandError: No process named 'wbe' in PRODUCTION_PROCESSES. Did you mean 'web'? "
        "Configured: web, worker.\n"
    )


def test_a_wrong_setting_starts_nothing(start: Runs) -> None:
    run = start({"web": FOREVER, "worker": {**FOREVER, "REPLICAS": 0}})

    assert run.end() == 1
    assert run.raw == []
    assert run.stderr.startswith("CommandError: PRODUCTION_PROCESSES['worker']['REPLICAS']")


def test_a_process_that_cannot_be_forked_stops_everything_with_1(start: Runs) -> None:
    # Each instance costs the supervisor a descriptor.
    limit = ["sh", "-c", 'ulimit -n 32 && exec "$@"', "sh"]
    run = start({"web": {**FOREVER, "REPLICAS": 40}}, prefix=limit)

    assert run.end() == 1
    (failed,) = [text for text in run.said("system") if "could not be started" in text]
    assert failed.endswith(
        "could not be started: [Errno 24] Too many open files; stopping everything"
    )


def test_two_processes_killed_at_the_same_moment_give_one_exit_status(start: Runs) -> None:
    run = start({"web": {**FOREVER, "REPLICAS": 2}})
    pids = [
        int(run.wait_for("system", rf"web.{number} started \(pid (\d+)\)")[1]) for number in (1, 2)
    ]

    run.signal(SIGSTOP)  # As if the machine were busy: both are dead when it looks.
    for pid in pids:
        run.kill(pid, SIGKILL)
        while not gone(pid):
            os.sched_yield()
    run.signal(SIGCONT)

    assert run.end() == 128 + SIGKILL
    assert run.stderr == ""
