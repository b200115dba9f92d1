"""The order of starts and stops, proved by processes that the test holds, not by the clock."""

from __future__ import annotations

from signal import SIGALRM, SIGKILL, SIGTERM, Signals
from typing import Any

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code


def oneshot(source: str, **entry: Any) -> dict[str, Any]:
    return code(source, TYPE="oneshot", **entry)


# Ready once it is released.
LATE = code("held(); notify(); forever()", "NotifyingCode")
TELLS = "tell(os.environ['PRODSERVER_INSTANCE'] + ' is here')"


def stops_when_released(**entry: Any) -> dict[str, Any]:
    """Reports that it was asked to stop, and exits only once it is released."""
    source = """
        name = os.environ["PRODSERVER_INSTANCE"]
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        print("here")
        signal.sigwait({signal.SIGTERM})
        tell(name + " is asked")
        held()
        tell(name + " ends")
    """
    return code(source, **entry)


def system_line(run: Run, start: str) -> str:
    (line,) = [text for text in run.said("system") if text.startswith(start)]
    return line


# ---- oneshots ----


def test_a_service_waits_for_a_oneshot(start: Runs) -> None:
    run = start({"web": {**FOREVER, "AFTER": ["migrate"]}, "migrate": oneshot("held()")})
    migrate = run.held("migrate.1")
    run.handshake()
    assert run.descendants() == [migrate]

    run.release("migrate.1")
    run.wait_for("system", "all 2 ready")

    said = [" ".join(text.split()[:2]) for text in run.said("system")]
    assert said.index("migrate.1 finished") < said.index("web.1 started") < said.index("all 2")
    assert run.end(SIGTERM) == 0


def test_a_oneshot_that_fails_stops_everything_before_a_dependent_starts(start: Runs) -> None:
    processes = {
        "web": code(TELLS, AFTER=["collect"]),
        "collect": oneshot(TELLS, AFTER=["migrate"]),
        "migrate": oneshot("held(); sys.exit(3)"),
        "other": FOREVER,
    }
    run = start(processes, channel=True)
    run.wait_for("system", r"other\.1 started")

    run.release("migrate.1")

    assert run.end() == 3
    assert run.hear() is None
    assert system_line(run, "migrate.1").endswith("; stopping everything")
    assert system_line(run, "migrate.1").startswith("migrate.1 exited with status 3 after ")
    assert system_line(run, "other.1 stopped")


@pytest.mark.parametrize("number", [SIGALRM, SIGKILL])
def test_a_oneshot_killed_by_a_signal_ends_the_run_before_a_dependent_starts(
    start: Runs, number: Signals
) -> None:
    migrate = oneshot(f"os.kill(os.getpid(), {number:d})")
    run = start({"migrate": migrate, "web": {**FOREVER, "AFTER": ["migrate"]}})

    assert run.end() == 128 + number
    assert f"migrate.1 was killed by {number.name}" in system_line(run, "migrate.1")
    assert not any("web.1 started" in text for text in run.said("system"))


def test_a_run_of_oneshots_exits_with_0_once_all_have_finished(start: Runs) -> None:
    processes = {
        "third": oneshot(TELLS, AFTER=["second"]),
        "second": oneshot("held();" + TELLS, AFTER=["first"]),
        "first": oneshot(TELLS),
        "beside": oneshot(TELLS, AFTER=["first"]),
    }
    run = start(processes, channel=True)
    assert [run.hear(), run.hear()] == ["first.1 is here", "beside.1 is here"]
    run.wait_for("system", r"beside\.1 finished")

    run.release("second.1")

    assert run.end() == 0
    assert [run.hear(), run.hear(), run.hear()] == ["second.1 is here", "third.1 is here", None]
    assert run.said("system")[-1].endswith("; exit status 0")
    assert not any(text.startswith("all 4 ready") for text in run.said("system"))


def test_a_failing_oneshot_stops_the_others_and_sets_the_exit_status(start: Runs) -> None:
    run = start(
        {"one": oneshot("pass"), "two": oneshot("held(); sys.exit(4)"), "three": oneshot("held()")}
    )
    run.held("three.1")

    run.release("two.1")

    assert run.end() == 4
    assert system_line(run, "three.1 stopped")


def test_services_keep_running_after_a_oneshot_beside_them_finishes(start: Runs) -> None:
    run = start({"web": FOREVER, "warm-up": oneshot("pass")})
    run.wait_for("system", "all 2 ready")
    run.handshake()

    assert run.end(SIGTERM) == 0


def test_a_failing_oneshot_is_restarted_until_it_succeeds(start: Runs) -> None:
    migrate = oneshot(
        "sys.exit(0 if life() == 3 else 7)",
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0.01},
    )
    run = start({"migrate": migrate, "web": {**FOREVER, "AFTER": ["migrate"]}})
    run.wait_for("system", "all 2 ready")

    said = [text for text in run.said("system") if text.startswith("migrate.1")]
    assert [text.split(" after ")[0] for text in said] == [
        "migrate.1 exited with status 7",
        "migrate.1 exited with status 7",
        "migrate.1 finished",
    ]
    assert "restarting in 0.0" in said[0]
    assert "restarted once so far; restarting in" in said[1]
    assert run.end(SIGTERM) == 0


def test_a_oneshot_that_keeps_failing_stops_everything_at_its_start_limit(start: Runs) -> None:
    migrate = oneshot(
        "sys.exit(7)",
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0},
        START_LIMIT={"BURST": 3},
    )
    run = start({"migrate": migrate, "web": code(TELLS, AFTER=["migrate"])}, channel=True)

    assert run.end() == 7
    assert run.hear() is None
    assert (
        "giving up on migrate.1: 3 starts in 60 s (START_LIMIT); stopping everything"
        in run.said("system")
    )


def test_a_service_waiting_for_a_oneshot_is_not_started_during_a_stop(start: Runs) -> None:
    processes = {"migrate": oneshot("held()"), "web": code(TELLS, AFTER=["migrate"])}
    run = start(processes, channel=True)
    run.held("migrate.1")

    assert run.end(SIGTERM) == 0
    assert run.hear() is None
    assert not any(text.startswith("web.1") for text in run.said("system"))


# ---- services ----


def test_a_dependent_waits_for_a_service_that_is_ready_late(start: Runs) -> None:
    run = start({"worker": {**FOREVER, "AFTER": ["web"]}, "web": LATE})
    web = run.held("web.1")
    run.handshake()
    assert run.descendants() == [web]

    run.release("web.1")
    run.wait_for("system", "all 2 ready")

    said = [" ".join(text.split()[:2]) for text in run.said("system")]
    assert said.index("web.1 ready") < said.index("worker.1 started")
    assert run.end(SIGTERM) == 0


def test_a_dependent_waits_for_every_replica(start: Runs) -> None:
    processes = {"worker": {**FOREVER, "AFTER": ["web"]}, "web": {**LATE, "REPLICAS": 3}}
    run = start(processes)
    for name in ("web.3", "web.1"):
        run.release(name)
        run.wait_for("system", rf"{name} ready")
    web = run.held("web.2")
    run.handshake()
    assert len(run.descendants()) == 3
    assert web in run.descendants()

    run.release("web.2")

    run.wait_for("system", r"worker\.1 started")
    assert run.end(SIGTERM) == 0


def test_a_process_does_not_wait_for_dependencies_left_out_of_the_run(start: Runs) -> None:
    processes = {
        "migrate": oneshot("tell('migrating')"),
        "web": {**FOREVER, "AFTER": ["migrate", "cache"]},
        "cache": code("tell('caching')"),
        "worker": {**FOREVER, "AFTER": ["web"]},
    }
    run = start(processes, "worker", "web", "--no-timestamps", channel=True)
    run.wait_for("system", "all 2 ready")

    said = [" ".join(text.split()[:2]) for text in run.said("system")]
    assert said.index("web.1 started") < said.index("worker.1 started")
    assert run.end(SIGTERM) == 0
    assert run.hear() is None


# ---- stopping ----


def test_dependents_stop_first(start: Runs) -> None:
    processes = {
        "database": stops_when_released(),
        "web": stops_when_released(AFTER=["database"]),
        "worker": stops_when_released(AFTER=["web"]),
    }
    run = start(processes, channel=True)
    run.wait_for_each({"database.1": "here", "web.1": "here", "worker.1": "here"})

    run.signal(SIGTERM)
    for name in ("worker.1", "web.1", "database.1"):
        # A signal sent too early would be reported before this process is released.
        assert run.hear() == f"{name} is asked"
        run.held(name)
        run.handshake()
        run.release(name)
        assert run.hear() == f"{name} ends"

    assert run.end() == 0
    stopped = [text.split()[0] for text in run.said("system") if " stopped after " in text]
    assert stopped == ["worker.1", "web.1", "database.1", "all"]


def test_processes_without_dependents_receive_the_stop_signal_at_once(start: Runs) -> None:
    processes = {
        "database": stops_when_released(),
        "web": stops_when_released(AFTER=["database"], REPLICAS=2),
        "beside": stops_when_released(),
    }
    run = start(processes, channel=True)
    run.wait_for_each(dict.fromkeys(["database.1", "web.1", "web.2", "beside.1"], "here"))

    run.signal(SIGTERM)
    asked = {run.hear() for _ in range(3)}
    assert asked == {"web.1 is asked", "web.2 is asked", "beside.1 is asked"}
    run.release("web.2")
    assert run.hear() == "web.2 ends"
    run.handshake()
    run.release("web.1")
    assert run.hear() == "web.1 ends"
    assert run.hear() == "database.1 is asked"
    run.release("database.1")
    run.release("beside.1")

    assert run.end() == 0


def test_the_stop_order_is_kept_after_a_failure(start: Runs) -> None:
    processes = {
        "database": code("held(); sys.exit(5)"),
        "web": stops_when_released(),
        "worker": stops_when_released(AFTER=["database", "web"]),
    }
    run = start(processes, channel=True)
    run.wait_for_each({"database.1": "held", "web.1": "here", "worker.1": "here"})

    run.release("database.1")
    assert run.hear() == "worker.1 is asked"
    run.held("worker.1")
    run.handshake()
    run.release("worker.1")
    assert [run.hear(), run.hear()] == ["worker.1 ends", "web.1 is asked"]
    run.release("web.1")

    assert run.end() == 5


def test_a_second_stop_signal_kills_everything_regardless_of_the_order(start: Runs) -> None:
    processes = {"web": stops_when_released(), "worker": stops_when_released(AFTER=["web"])}
    run = start(processes, channel=True)
    run.wait_for_each({"web.1": "here", "worker.1": "here"})
    run.signal(SIGTERM)
    assert run.hear() == "worker.1 is asked"

    assert run.end(SIGTERM) == 128 + SIGTERM
    assert {"web.1 killed", "worker.1 killed"} <= set(run.said("system"))
