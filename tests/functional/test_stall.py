"""If the reader of stdout stops, the supervisor still reacts to signals, and no memory grows."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
from contextlib import suppress
from signal import SIGHUP, SIGTERM, SIGUSR1

import psutil
import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.running import CHANNEL, Reader, without_access_to_all

# Writes until nothing more is accepted, and reports it.
FLOOD = """
    os.set_blocking(1, False)
    number = 0
    while True:
        try:
            number += bool(os.write(1, b"%d %s\\n" % (number, b"x" * 80)))
        except BlockingIOError:
            if not select.select([], [1], [], 0.5)[1]:
                break
    os.set_blocking(1, True)
    tell(f"stalled at {number}")
"""
FLOOD_AND_STAY = FLOOD + "    forever()"

# In bytes: more than the buffer and a single read take; a flood exceeds it at once.
BOUND = 12 << 20

LOST = " bytes of output were lost: stdout did not accept more\n"


def stalled_at(run: Run) -> int:
    """Wait until one of the children can write no more; return the number of its lines."""
    told = run.hear()
    assert told is not None
    return int(told.replace("stalled at ", ""))


def test_sigterm_ends_everything_though_stdout_is_not_read(start: Runs) -> None:
    kinds = {
        "a pipe": os.pipe(),
        "a socket": tuple(end.detach() for end in socket.socketpair()),
        "a terminal": pty.openpty(),
        "a pipe that cannot be reopened": os.pipe(),
    }
    os.fchmod(kinds["a pipe that cannot be reopened"][1], 0)
    flood = code(FLOOD_AND_STAY)
    runs = {}
    for kind, (_, write) in kinds.items():
        runs[kind] = start(
            {"web": flood, "worker": flood},
            stdout=write,
            env={"PRODSERVER_CONTROL": "off"},  # A project has only one control socket.
            prefix=without_access_to_all(),
            channel=True,
        )
        os.close(write)
    for run in runs.values():
        stalled_at(run), stalled_at(run)
        run.signal(SIGTERM)

    found = {kind: (run.popen.wait(), run.stderr[-len(LOST) :]) for kind, run in runs.items()}

    for read, _ in kinds.values():
        os.close(read)
    assert found == dict.fromkeys(kinds, (0, LOST))


def test_a_stalled_stderr_does_not_hold_up_stdout(start: Runs) -> None:
    read, write = os.pipe()
    flood = FLOOD.replace("os.write(1", "os.write(2").replace("[1]", "[2]").replace("(1,", "(2,")
    processes = {
        "flood": code(flood + "    forever()"),
        "web": code("for number in range(50_000): print(number)\nforever()"),
    }
    run = start(processes, stderr=write, supervisor={"STDERR": "separate"}, channel=True)
    os.close(write)
    stalled_at(run)

    run.wait_for("web.1", "^49999$")

    assert run.end(SIGTERM) == 0
    os.close(read)


def test_memory_stays_flat_while_stdout_is_not_read_and_no_line_is_lost(start: Runs) -> None:
    block = "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
    end = """
    signal.sigwait({signal.SIGUSR1})
    print("the end")
    forever()
    """
    run = start({"web": code(block + FLOOD + end, "CodeWithSIGUSR1", REPLICAS=2)}, channel=True)
    run.wait_for("system", "all 2 ready")
    before = psutil.Process(run.pid).memory_full_info().uss
    written = [stalled_at(run), stalled_at(run)]
    after = psutil.Process(run.pid).memory_full_info().uss

    run.signal(SIGUSR1)
    run.wait_for_each({"web.1": "the end", "web.2": "the end"})

    assert after - before < BOUND
    said = [[text.split()[0] for text in run.said(name)[:-1]] for name in ("web.1", "web.2")]
    assert sorted(map(len, said)) == sorted(written)
    for numbers in said:
        assert numbers == [str(number) for number in range(len(numbers))]
    assert run.end(SIGTERM) == 0
    assert run.stderr == ""


CRASHES = """
    if os.path.exists("calm"):
        print("calm")
        forever()
    tell(f"life {life()}")
    for number in range(2000):
        print(str(number).ljust(99))
    sys.exit(3)
"""
TICKS = {"COMMAND": ["sh", "-c", f"echo tick > /dev/fd/${CHANNEL}"], "INTERVAL": 0.1}
CALM = 10


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_restarts_pause_while_stdout_is_not_read_and_resume_afterwards(
    start: Runs, log_format: str
) -> None:
    start_at_once = {"RESTART": "always", "BACKOFF": {"INITIAL": 0.01, "MAX": 0.01}}
    limit = {"BURST": 10**6, "INTERVAL": 1}
    processes = {
        "web": code(CRASHES, REPLICAS=4, START_LIMIT=limit, **start_at_once),
        "clock": code("forever()", HEALTHCHECK=TICKS),
    }
    run = start(processes, channel=True, supervisor={"LOG_FORMAT": log_format, "MAX_LINE": 1000})
    lives = ticks = 0
    # Wait until the clock ticks while no new life starts.
    while ticks < CALM:
        told = run.hear()
        assert told is not None
        lives, ticks = (lives, ticks + 1) if told == "tick" else (lives + 1, 0)
        assert lives < 100
    before = psutil.Process(run.pid).memory_full_info().uss
    while ticks < 2 * CALM:
        assert run.hear() == "tick"
        ticks += 1
    assert psutil.Process(run.pid).memory_full_info().uss - before < 1 << 20

    (start.project / "calm").touch()
    calm = [0, 0]
    while calm[0] < 4:
        assert run.read() is not None
        calm[0] += "calm" in run.raw[-1]
        # A digest repeats lines.
        calm[1] += " " * 80 in run.raw[-1] and "digest" not in run.raw[-1]

    assert calm[1] == lives * 2000
    assert run.end(SIGTERM) == 0
    assert run.stderr == ""


def test_a_late_reader_of_stdout_receives_the_log_lines_about_the_stop(start: Runs) -> None:
    run = start({"web": code(FLOOD_AND_STAY), "worker": FOREVER}, channel=True)
    number = stalled_at(run)

    assert run.end(SIGTERM) == 0
    assert len(run.said("web.1")) == number
    assert run.said("system")[-4] == "SIGTERM received; stopping everything"
    assert run.said("system")[-1].startswith("all stopped after ")
    assert run.stderr == ""


def test_a_stubborn_process_is_killed_though_stdout_and_stderr_are_not_read(start: Runs) -> None:
    deaf = "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    read, write = os.pipe()
    processes = {"web": code(deaf + FLOOD_AND_STAY, STOP_TIMEOUT=0.3)}
    run = start(processes, stdout=write, stderr=write, channel=True)
    os.close(write)
    run.output = Reader(read)
    stalled_at(run)

    run.signal(SIGTERM)

    assert run.popen.wait() == 1


def test_a_further_signal_ends_the_wait_for_a_reader(start: Runs) -> None:
    # SIGHUP is ignored before and after the wait, so one that comes too late does no harm.
    run = start(
        {"web": code(FLOOD_AND_STAY)},
        prefix=["sh", "-c", 'trap "" HUP; exec "$@"', "sh"],
        files={"patience.py": "from django_prodserver.posix import log\nlog.LAST_FLUSH = 1000.0\n"},
        supervisor={"PRELOAD": ["patience"]},
        channel=True,
    )
    stalled_at(run)
    run.signal(SIGTERM)
    status = None
    while status is None:
        run.signal(SIGHUP)
        with suppress(subprocess.TimeoutExpired):
            status = run.popen.wait(0.1)

    assert status == 0
    assert run.stderr.endswith(LOST)
