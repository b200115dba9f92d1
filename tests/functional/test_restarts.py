"""Restarts of a process that has exited: when, how often, from what, and when not."""

from __future__ import annotations

import os
import re
import sys
from signal import SIGALRM, SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code
from tests.running import gone

linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

AT_ONCE = {"INITIAL": 0}
# A pause that outlasts every test.
FOR_EVER = {"INITIAL": 3600, "MAX": 3600}


def ends(run: Run, name: str = "web.1") -> list[str]:
    """What the supervisor logged about its exits."""
    pattern = rf"(giving up on )?{re.escape(name)}(:| exited| was killed| killed)"
    return [text for text in run.said("system") if re.match(pattern, text)]


def first_life(source: str, **entry: Any) -> dict[str, Any]:
    """Runs `source` in its first life, and prints `here again` in later ones."""
    source = f"if life() == 1:\n    {source}\nprint('here again')\nforever()"
    return code(source, **{"RESTART": "on-failure", "BACKOFF": AT_ONCE, **entry})


# ---- policies ----


def test_a_failed_process_is_restarted_under_on_failure(start: Runs) -> None:
    run = start({"web": first_life("sys.exit(1)", BACKOFF={"INITIAL": 0.01})})
    run.wait_for("web.1", "here again")

    (ended,) = ends(run)
    assert re.fullmatch(
        r"web\.1 exited with status 1 after \d\.\d\d s; restarting in 0\.01 s", ended
    )
    assert run.end(SIGTERM) == 0


def test_a_process_killed_from_outside_is_restarted_under_on_failure(start: Runs) -> None:
    run = start({"web": first_life("held()")})

    run.kill(run.held("web.1"), SIGKILL)

    run.wait_for("web.1", "here again")
    (ended,) = ends(run)
    assert ended.startswith("web.1 was killed by SIGKILL (not sent by prodserver) after ")
    assert ended.endswith("; restarting")
    assert run.end(SIGTERM) == 0


def test_a_process_that_exits_with_0_is_restarted_under_always(start: Runs) -> None:
    run = start({"web": first_life("sys.exit(0)", RESTART="always")})
    run.wait_for("web.1", "here again")

    (ended,) = ends(run)
    assert ended.startswith("web.1 exited with status 0 after ")
    assert run.end(SIGTERM) == 0


def test_status_0_under_on_failure_stops_everything(start: Runs) -> None:
    run = start({"web": code("sys.exit(0)", RESTART="on-failure"), "worker": FOREVER})

    assert run.end() == 1
    (ended,) = ends(run)
    assert ended.startswith("web.1 exited with status 0 after ")
    assert ended.endswith("; stopping everything")


def test_the_restart_policy_of_the_supervisor_applies_to_all_processes(start: Runs) -> None:
    entry = first_life("sys.exit(1)")
    del entry["RESTART"], entry["BACKOFF"]
    run = start({"web": entry}, supervisor={"RESTART": "always", "BACKOFF": AT_ONCE})
    run.wait_for("web.1", "here again")

    assert run.end(SIGTERM) == 0


def test_a_restart_leaves_other_processes_alone(start: Runs) -> None:
    web = code("held(); sys.exit(1)", RESTART="on-failure", BACKOFF=AT_ONCE)
    run = start({"worker": {**FOREVER, "AFTER": ["web"]}, "web": web, "beside": FOREVER})
    run.wait_for("system", "all 3 ready")

    run.release("web.1")
    run.wait_for("system", r"web\.1 started")
    run.held("web.1")
    run.handshake()

    assert len(ends(run)) == 1
    started = [text.split()[0] for text in run.said("system") if " started " in text]
    assert sorted(started) == ["beside.1", "web.1", "web.1", "worker.1"]
    assert run.end(SIGTERM) == 0


# ---- backoff and the start limit ----


def test_the_backoff_doubles_up_to_its_maximum_until_the_start_limit(start: Runs) -> None:
    entry = code(
        "sys.exit(3)",
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0.1, "MAX": 0.3},
        START_LIMIT={"BURST": 5, "INTERVAL": 3600},
    )
    run = start({"web": entry, "worker": FOREVER})

    assert run.end() == 3
    *restarted, last, gave_up = ends(run)
    pauses = [float(re.findall(r"restarting in (\d+\.\d\d) s$", text)[0]) for text in restarted]
    for pause, longest in zip(pauses, [0.1, 0.2, 0.3, 0.3]):
        assert 0.75 * longest - 0.01 <= pause <= longest
    assert len(pauses) == 4
    assert "restarted" not in restarted[0]
    assert ", restarted once so far; restarting in " in restarted[1]
    assert ", restarted 3 times so far; restarting in " in restarted[3]
    assert last.endswith(", restarted 4 times so far")
    assert gave_up == "giving up on web.1: 5 starts in 3600 s (START_LIMIT); stopping everything"


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("sys.exit(0)", 1),
        ("sys.exit(0 if life() == 1 else 9)", 9),
        ("sys.exit(9 if life() == 1 else 0)", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", 128 + SIGKILL),
    ],
)
def test_the_last_exit_status_counts_after_too_many_starts(
    start: Runs, source: str, status: int
) -> None:
    limit = {"BURST": 2}
    run = start(
        {
            "web": code(source, RESTART="always", BACKOFF=AT_ONCE, START_LIMIT=limit),
            "worker": FOREVER,
        }
    )

    assert run.end() == status
    assert (
        ends(run)[-1] == "giving up on web.1: 2 starts in 60 s (START_LIMIT); stopping everything"
    )
    assert len(ends(run)) == 3


@pytest.mark.parametrize(("number", "status"), [(SIGTERM, 0), (SIGQUIT, 0), (SIGINT, 130)])
def test_a_stop_does_not_wait_for_the_end_of_a_backoff(
    start: Runs, number: Signals, status: int
) -> None:
    entry = code("sys.exit(1)", RESTART="on-failure", BACKOFF=FOR_EVER)
    run = start({"web": entry})
    run.wait_for("system", r"restarting in \d{4}\.\d\d s")
    run.handshake()

    assert run.end(number) == status
    assert len(ends(run)) == 1


def test_nothing_is_restarted_while_everything_stops(start: Runs) -> None:
    source = """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        print("here")
        signal.sigwait({signal.SIGTERM})
        sys.exit(1)
    """
    run = start({"web": code(source, RESTART="always", BACKOFF=AT_ONCE)})
    run.wait_for("web.1", "here")

    assert run.end(SIGTERM) == 0
    assert run.said("web.1") == ["here"]
    assert ends(run)[0].startswith("web.1 exited with status 1 while stopping, after ")


def test_a_failure_stops_everything_while_another_process_is_in_backoff(start: Runs) -> None:
    pausing = code("sys.exit(1)", RESTART="on-failure", BACKOFF=FOR_EVER)
    run = start({"pausing": pausing, "web": code("held(); sys.exit(6)")})
    run.wait_for("system", r"pausing\.1 exited .* restarting in")

    run.release("web.1")

    assert run.end() == 6
    assert len(ends(run, "pausing.1")) == 1


# ---- what a restart begins with ----


def test_a_restarted_process_is_a_fresh_fork_without_traces_of_its_last_life(start: Runs) -> None:
    source = """
        import preloaded
        print("preloaded", preloaded.touched, os.environ.get("TOUCHED"), "by", os.getppid())
        print(os.getcwd() == os.environ["PROJECT"], signal.getsignal(signal.SIGUSR1).name)
        print(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2}))
        print(os.getsid(0) == os.getpgid(0) == os.getpid())
        preloaded.touched.append(1)
        os.environ["TOUCHED"] = "yes"
        os.chdir("/")
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        atexit.register(print, "one atexit handler of mine")
        sys.exit(1)
    """
    entry = code(
        source,
        RESTART="on-failure",
        BACKOFF=AT_ONCE,
        START_LIMIT={"BURST": 3},
        ENV={"PROJECT": os.path.realpath(start.project)},
    )
    preload = {"PRELOAD": ["preloaded"]}
    run = start({"web": entry}, supervisor=preload, files={"preloaded.py": "touched = []"})

    assert run.end() == 1
    one_life = [
        f"preloaded [] None by {run.pid}",
        "True SIG_DFL",
        "set()",
        "True",
        "one atexit handler of mine",
    ]
    assert run.said("web.1") == one_life * 3
    assert run.stderr == ""


def test_a_process_with_start_method_spawn_restarts_in_a_fresh_interpreter(start: Runs) -> None:
    source = "print('preloaded' in sys.modules, life(), os.getppid()); sys.exit(1)"
    entry = code(source, START_METHOD="spawn", START_LIMIT={"BURST": 2}, RESTART="on-failure")
    run = start({"web": {**entry, "BACKOFF": AT_ONCE}})

    assert run.end() == 1
    assert run.said("web.1") == [f"False {number} {run.pid}" for number in (1, 2)]


@linux
@pytest.mark.parametrize("backend", ["Code", "NotifyingCode"])
def test_many_restarts_leave_no_descriptor_open(start: Runs, backend: str) -> None:
    source = """
        if life() in (2, 40):
            print("open:", *sorted(os.listdir("/proc/self/fd"), key=int))
            held()
        sys.exit(1)
    """
    entry = code(source, backend, RESTART="on-failure", BACKOFF=AT_ONCE, START_LIMIT={"BURST": 100})
    run = start({"web": entry, "worker": FOREVER})

    def descriptors() -> int:
        run.held("web.1")
        run.handshake()
        return len(os.listdir(f"/proc/{run.pid}/fd"))

    before = descriptors()
    run.release("web.1")
    after = descriptors()

    assert after == before
    first, last = [text for text in run.said("web.1") if text.startswith("open:")]
    assert first == last
    assert len(run.descendants()) == 2
    assert run.end(SIGTERM) == 0
    assert len(ends(run)) == 39
    assert run.stderr == ""  # Python would warn here of anything that it had to close itself.


def test_a_life_starts_only_after_the_exit_of_the_previous_life_is_logged(start: Runs) -> None:
    run = start({"web": first_life("print('last words'); sys.exit(1)")})
    run.wait_for("web.1", "here again")

    said = [line.text.split(" after ")[0] for line in run.lines]
    marks = ["last words", "web.1 exited with status 1", "here again"]
    assert [text for text in said if text in marks] == marks
    assert said.count("all 1 ready") == 1
    assert run.end(SIGTERM) == 0


# ---- what is left of the previous life ----


@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_process_is_restarted_only_once_its_process_group_is_empty(
    start: Runs, pause: float
) -> None:
    source = """
        if life() == 1:
            def deaf():
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                os.write(writing, b".")
                forever()

            reading, writing = os.pipe()
            with open("grandchild", "w") as file:
                file.write(str(beget(deaf)))
            os.read(reading, 1)
            sys.exit(1)
        with open("grandchild") as file:
            grandchild = int(file.read())
        try:
            os.kill(grandchild, 0)
            print("still there")
        except ProcessLookupError:
            print("gone")
        forever()
    """
    entry = code(source, RESTART="on-failure", BACKOFF={"INITIAL": pause})
    run = start({"web": entry})

    run.wait_for("web.1", "gone")

    assert gone(int((start.project / "grandchild").read_text()))
    assert run.end(SIGTERM) == 0


def test_a_grandchild_may_finish_during_the_backoff(start: Runs) -> None:
    source = """
        if life() == 1:
            alive, held_open = os.pipe()

            def finish():
                os.close(held_open)
                os.read(alive, 1)
                print("finished by myself")

            beget(finish)
            print("here")
            sys.exit(1)
        print("here again")
        forever()
    """
    run = start({"web": code(source, RESTART="on-failure", BACKOFF={"INITIAL": 3, "MAX": 3})})
    run.wait_for("web.1", "here again")

    assert run.said("web.1") == ["here", "finished by myself", "here again"]
    assert run.end(SIGTERM) == 0


# ---- recycling ----


@pytest.mark.parametrize("policy", ["always", "on-failure"])
def test_a_process_that_recycles_restarts_without_backoff_or_start_limit(
    start: Runs, policy: str
) -> None:
    source = """
        if life() <= 5:
            sys.exit(0)
        print("here again")
        forever()
    """
    # The limit allows a single start, and a pause would outlast the test.
    entry = code(
        source, "RecyclingCode", RESTART=policy, BACKOFF=FOR_EVER, START_LIMIT={"BURST": 1}
    )
    run = start({"web": entry})
    run.wait_for("web.1", "here again")

    assert len(ends(run)) == 5
    assert all(text.startswith("web.1 exited with status 0 after ") for text in ends(run))
    # At once, or after a short pause if a life was very short.
    assert all(re.search(r"; restarting( in 0\.\d\d s)?$", text) for text in ends(run))
    assert run.end(SIGTERM) == 0


def test_a_failure_of_a_process_that_recycles_causes_a_backoff(start: Runs) -> None:
    entry = code("sys.exit(1)", "RecyclingCode", RESTART="always", BACKOFF=FOR_EVER)
    run = start({"web": entry})
    run.wait_for("system", r"exited with status 1 after .*; restarting in \d{4}\.\d\d s")

    assert run.end(SIGTERM) == 0


def test_a_process_that_recycles_stops_everything_if_its_policy_is_never(start: Runs) -> None:
    run = start({"web": code("sys.exit(0)", "RecyclingCode")})

    assert run.end() == 1
    assert ends(run)[0].endswith("; stopping everything")


def test_a_process_that_kills_itself_with_a_signal_is_restarted(start: Runs) -> None:
    run = start({"web": first_life("os.kill(os.getpid(), signal.SIGALRM)")})
    run.wait_for("web.1", "here again")

    assert ends(run)[0].startswith(f"web.1 was killed by {SIGALRM.name} after ")
    assert run.end(SIGTERM) == 0
