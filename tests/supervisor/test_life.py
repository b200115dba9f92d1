"""One life: every input in every state, the table of its moves, and its deadlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2
from typing import Callable, NamedTuple, Optional, Union

import pytest

from django_prodserver.supervisor import life as module
from django_prodserver.supervisor.commands import (
    CancelProbe,
    CancelSpawn,
    Kill,
    Measure,
    ProbeKind,
    StartProbe,
)
from django_prodserver.supervisor.deadlines import Deadline
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    Measured,
    Notified,
    Probed,
    WatchdogMessage,
)
from django_prodserver.supervisor.facts import (
    CheckFailed,
    Ended,
    Escalated,
    Fault,
    Killing,
    LifeState,
    NoAnswer,
    NotReady,
    Output,
    Ready,
    Started,
    StatusReported,
    StillRunning,
    Stopping,
    TooMuchMemory,
    WaitingToFinish,
    WatchdogSilent,
    WatchdogTriggered,
)
from django_prodserver.supervisor.life import ALIVE, REPORTED, TABLE, WORKING, Cause, Life
from django_prodserver.supervisor.spec import CheckSchedule, ReadyProbe, Ref, Spec
from django_prodserver.supervisor.values import replace

from .tables import ILLEGAL, NEVER, Illegal, Never, possible
from .words import asks

MB = 1_000_000
REF = Ref("web.1", 0, 1)
SPEC = Spec(
    "web.1",
    stop_signal=SIGINT,
    stop_timeout=25.0,
    escalation_signal=SIGQUIT,
    notifies=True,
    success_exit_statuses=frozenset({3}),
    forwards=frozenset({SIGUSR1}),
    check=CheckSchedule(interval=10.0, timeout=3.0, retries=2),
    max_memory=500 * MB,
)
PLAIN = Spec("web.1")
ONESHOT = replace(PLAIN, oneshot=True)
FAILED, ZERO = Exited(REF, ExitStatus(code=1)), Exited(REF, ExitStatus(code=0))
TRIGGER = Notified(REF, watchdog=WatchdogMessage.TRIGGER)

# ---- the states, reached as by a supervisor: started at 10, ready at 12, stopped at 20 ----


def spawning(spec: Spec = SPEC) -> Life:
    return Life(REF, spec, 10.0)


def cancelling() -> Life:
    """Its start was cancelled before it was answered."""
    life = spawning()
    life.stop(20.0)
    return life


def discarding() -> Life:
    """Its start was cancelled, and it will be killed if it starts after all."""
    life = cancelling()
    life.kill(30.0)
    return life


def starting(spec: Spec = SPEC) -> Life:
    life = spawning(spec)
    life.spawned(10.0)
    return life


def finishing() -> Life:
    """A oneshot that may finish its work until 45."""
    life = starting(ONESHOT)
    life.let_finish(20.0)
    return life


def running(spec: Spec = SPEC) -> Life:
    life = starting(spec)
    life.notified(12.0, Notified(REF, ready=True), health_matters=True)
    return life


def probing() -> Life:
    """A probe has begun; it has three seconds."""
    life = running()
    life.tick(22.0)
    return life


def stopping(spec: Spec = SPEC) -> Life:
    life = running(spec)
    life.stop(20.0)
    return life


def faulty() -> Life:
    life = running()
    life.notified(20.0, TRIGGER, health_matters=True)
    return life


def killing() -> Life:
    life = stopping()
    life.kill(30.0)
    return life


def sweeping() -> Life:
    """Its leader exited; the rest of its process group has one second to exit."""
    life = running()
    life.exited(20.0, sweep_after=1.0)
    return life


def swept() -> Life:
    """The process group did not exit in time."""
    life = sweeping()
    life.tick(21.0)
    return life


def gone() -> Life:
    life = sweeping()
    life.group_gone(20.5)
    return life


def lost() -> Life:
    """It survived SIGKILL."""
    life = killing()
    life.tick(35.0)
    return life


STATES: tuple[Callable[[], Life], ...] = (
    *(spawning, cancelling, discarding, starting, finishing, running, probing, stopping, faulty),
    *(killing, sweeping, swept, gone, lost),
)

# ---- the inputs, nearly all at 50, when every deadline has passed ----


def nothing(outputs: None) -> list[Output]:
    return []


def tick_too_early(life: Life) -> list[Output]:
    return life.tick(50.0 if life.deadline is None else life.deadline - 0.01)


def says(message: Notified) -> Callable[[Life], list[Output]]:
    """A message from the life; its health is minded while it does its work."""
    return lambda life: life.notified(50.0, message, health_matters=life.state in WORKING)


CAUSES: dict[str, tuple[Cause, Callable[[Life], list[Output]]]] = {
    "spawned": (Cause.SPAWNED, lambda life: life.spawned(50.0)),
    "refused": (Cause.REFUSED, lambda life: nothing(life.refused(50.0))),
    "says READY=1": (Cause.READY, says(Notified(REF, ready=True))),
    "stop": (Cause.STOP, lambda life: life.stop(50.0)),
    "stop, for a fault": (Cause.STOP, lambda life: life.stop(50.0, NotReady(40.0))),
    "kill": (Cause.KILL, lambda life: life.kill(50.0)),
    "kill, too late": (Cause.KILL, lambda life: life.kill(50.0, overran=25.0)),
    "exited": (Cause.EXITED, lambda life: nothing(life.exited(50.0, sweep_after=0.5))),
    "group_gone": (Cause.EMPTIED, lambda life: nothing(life.group_gone(50.0))),
    "tick, due": (Cause.EXPIRED, lambda life: life.tick(50.0)),
}
OTHERS: dict[str, Callable[[Life], list[Output]]] = {
    "tick, too early": tick_too_early,
    "says its status": says(Notified(REF, status="busy")),
    "asks for time": says(Notified(REF, extend_timeout=90.0)),
    "WATCHDOG=trigger": says(TRIGGER),
    "probed, well": lambda life: life.probed(50.0, Probed(REF)),
    "probed, not well": lambda life: life.probed(50.0, Probed(REF, "refused")),
    "measured, little": lambda life: life.measured(50.0, Measured(REF, 400 * MB)),
    "measured, too much": lambda life: life.measured(50.0, Measured(REF, 600 * MB)),
    "forward, declared": lambda life: life.forward(SIGUSR1),
    "forward, not declared": lambda life: life.forward(SIGUSR2),
    "ignore_health": lambda life: life.ignore_health(),
    "let_finish": lambda life: life.let_finish(50.0),
}
INPUTS = {**{name: act for name, (_, act) in CAUSES.items()}, **OTHERS}


class Does(NamedTuple):
    outputs: Sequence[Output]
    state: LifeState
    deadlines: Mapping[Deadline, float]


Result = Union[Does, Illegal, Never]


def each(result: Result, *inputs: str) -> dict[str, Result]:
    return dict.fromkeys(inputs, result)


def remains(
    state: LifeState, deadlines: Mapping[Deadline, float], *inputs: str
) -> dict[str, Result]:
    """Inputs that have no effect in this state."""
    return each(Does([], state, deadlines), *inputs)


TICK = ("tick, too early", "tick, due")
STOP = ("stop", "stop, for a fault")
KILL = ("kill", "kill, too late")
HEALTH = ("says READY=1", "asks for time", "WATCHDOG=trigger")
PROBED = ("probed, well", "probed, not well")
MEASURED = ("measured, little", "measured, too much")
FORWARD = ("forward, declared", "forward, not declared")
BIRTH = ("spawned", "refused")
# These count only while the life does its work.
WHILE_WORKING = (*PROBED, *MEASURED)

BUSY = StatusReported(REF, "busy")
SIGKILL_TO_ALL = Kill(REF, SIGKILL, group=True)
CANCEL = CancelProbe(REF)
TOO_MUCH = TooMuchMemory(600 * MB, 500 * MB)
NOTHING_DUE: Mapping[Deadline, float] = {}
SWEPT = Does([], LifeState.SWEEPING, {Deadline.SWEEP: 50.5})


def asked(*before: Output, fault: Optional[Fault] = None) -> Does:
    """Asked to stop: a notice after a second, escalation at 70 % of the timeout, then SIGKILL."""
    due = {Deadline.KILL: 75.0, Deadline.NOTICE: 51.0, Deadline.ESCALATE: 67.5}
    return Does([*before, Stopping(REF, fault), *asks(REF, SIGINT)], LifeState.STOPPING, due)


def killed(*before: Output, overran: Optional[float] = None) -> Does:
    outputs = [*before, Killing(REF, overran), SIGKILL_TO_ALL]
    return Does(outputs, LifeState.KILLING, {Deadline.LOSE: 55.0})


def unanswered(state: LifeState) -> dict[str, Result]:
    """The life does not exist yet, or is not known to."""
    return {
        **remains(state, NOTHING_DUE, *FORWARD, *TICK, "ignore_health", "let_finish"),
        **each(ILLEGAL, "exited", "group_gone"),
        **each(NEVER, *HEALTH, "says its status", *WHILE_WORKING),
    }


def working(*before: Output) -> dict[str, Result]:
    """Inputs that mean the same from the spawn until it is asked to stop."""
    return {
        "stop": asked(*before),
        "stop, for a fault": asked(*before, fault=NotReady(40.0)),
        "kill": killed(*before),
        "kill, too late": killed(*before, overran=25.0),
        "exited": SWEPT,
        "measured, too much": asked(*before, fault=TOO_MUCH),
        "ignore_health": Does([*before], LifeState.STARTING, NOTHING_DUE),
        **each(ILLEGAL, *BIRTH, "group_gone"),
    }


def at_work(deadlines: Mapping[Deadline, float], *before: Output) -> dict[str, Result]:
    """It is ready."""
    return {
        **working(*before),
        "WATCHDOG=trigger": asked(*before, fault=WatchdogTriggered()),
        "says its status": Does([BUSY], LifeState.RUNNING, deadlines),
        "forward, declared": Does([Kill(REF, SIGUSR1)], LifeState.RUNNING, deadlines),
        "ignore_health": Does([*before], LifeState.RUNNING, NOTHING_DUE),
        **remains(LifeState.RUNNING, deadlines, "says READY=1", "asks for time", "let_finish"),
        **remains(LifeState.RUNNING, deadlines, "measured, little", "forward, not declared"),
        **remains(LifeState.RUNNING, deadlines, "tick, too early"),
    }


def on_its_way_out(state: LifeState, deadlines: Mapping[Deadline, float]) -> dict[str, Result]:
    """Inputs that have no effect once it is asked to stop."""
    return {
        "says its status": Does([BUSY], state, deadlines),
        "exited": SWEPT,
        **remains(state, deadlines, *HEALTH, *STOP, *FORWARD, "ignore_health", "let_finish"),
        **remains(state, deadlines, "tick, too early"),
        **each(ILLEGAL, *BIRTH, "group_gone"),
        **each(NEVER, *WHILE_WORKING),
    }


def asked_to_stop(deadlines: Mapping[Deadline, float]) -> dict[str, Result]:
    return {
        **on_its_way_out(LifeState.STOPPING, deadlines),
        "kill": killed(),
        "kill, too late": killed(overran=25.0),
        # The loop was late: no notice and no escalation just before SIGKILL.
        "tick, due": killed(overran=25.0),
    }


def leaderless(deadlines: Mapping[Deadline, float], sweep: Does) -> dict[str, Result]:
    return {
        **on_its_way_out(LifeState.SWEEPING, deadlines),
        **each(sweep, *KILL),
        "group_gone": Does([], LifeState.GONE, NOTHING_DUE),
        "exited": ILLEGAL,
    }


# The deadlines of `running`, `stopping` and `swept`.
AT_WORK = {Deadline.PROBE: 22.0, Deadline.MEASURE: 20.0}
ASKED = {Deadline.KILL: 45.0, Deadline.NOTICE: 21.0, Deadline.ESCALATE: 37.5}
SWEEPING_AGAIN = {Deadline.SWEEP: 22.0, Deadline.LOSE: 26.0}

EXPECTED: dict[str, dict[str, Result]] = {
    "spawning": {
        "spawned": Does([], LifeState.STARTING, {Deadline.READY: 110.0, Deadline.MEASURE: 60.0}),
        "refused": Does([], LifeState.GONE, NOTHING_DUE),
        **each(Does([CancelSpawn(REF)], LifeState.CANCELLING, NOTHING_DUE), *STOP),
        **each(Does([CancelSpawn(REF)], LifeState.DISCARDING, NOTHING_DUE), *KILL),
        **unanswered(LifeState.SPAWNING),
    },
    # It is cancelled only once.
    "cancelling": {
        "spawned": asked(),
        "refused": Does([], LifeState.GONE, NOTHING_DUE),
        **remains(LifeState.CANCELLING, NOTHING_DUE, *STOP),
        **each(Does([], LifeState.DISCARDING, NOTHING_DUE), *KILL),
        **unanswered(LifeState.CANCELLING),
    },
    "discarding": {
        "spawned": killed(),
        "refused": Does([], LifeState.GONE, NOTHING_DUE),
        **remains(LifeState.DISCARDING, NOTHING_DUE, *STOP, *KILL),
        **unanswered(LifeState.DISCARDING),
    },
    "starting": {
        **working(),
        # Memory was due at 20; the first check comes one interval after it is ready.
        "says READY=1": Does(
            [Ready(REF, 40.0)],
            LifeState.RUNNING,
            {Deadline.PROBE: 60.0, Deadline.MEASURE: 20.0},
        ),
        "says its status": Does(
            [BUSY], LifeState.STARTING, {Deadline.READY: 70.0, Deadline.MEASURE: 20.0}
        ),
        "asks for time": Does(
            [], LifeState.STARTING, {Deadline.READY: 140.0, Deadline.MEASURE: 20.0}
        ),
        "tick, due": Does(
            [Measure(REF)], LifeState.STARTING, {Deadline.READY: 70.0, Deadline.MEASURE: 60.0}
        ),
        # The group lets only oneshots finish.
        "let_finish": NEVER,
        **remains(
            LifeState.STARTING,
            {Deadline.READY: 70.0, Deadline.MEASURE: 20.0},
            *("WATCHDOG=trigger", *PROBED, "measured, little", *FORWARD, "tick, too early"),
        ),
    },
    "finishing": {
        "stop": Does(
            [Stopping(REF), *asks(REF, SIGTERM)],
            LifeState.STOPPING,
            {Deadline.KILL: 75.0, Deadline.NOTICE: 51.0},
        ),
        "tick, due": Does(
            [Stopping(REF), *asks(REF, SIGTERM)],
            LifeState.STOPPING,
            {Deadline.KILL: 75.0, Deadline.NOTICE: 51.0},
        ),
        "kill": killed(),
        "exited": SWEPT,
        "says its status": Does([BUSY], LifeState.STARTING, {Deadline.FINISH: 45.0}),
        **remains(
            LifeState.STARTING,
            {Deadline.FINISH: 45.0},
            # It is let finish only once.
            *(*HEALTH, *PROBED, *MEASURED, *FORWARD, "let_finish", "tick, too early"),
        ),
        **each(ILLEGAL, *BIRTH, "group_gone"),
        # Its health was ignored even before it was let finish.
        **each(NEVER, "stop, for a fault", "kill, too late", "ignore_health"),
    },
    "running": {
        **at_work(AT_WORK),
        "tick, due": Does(
            [StartProbe(REF, ProbeKind.HEALTH), Measure(REF)],
            LifeState.RUNNING,
            {Deadline.ANSWER: 53.0, Deadline.MEASURE: 60.0},
        ),
        **remains(LifeState.RUNNING, AT_WORK, *PROBED),
    },
    "probing": {
        # A stop cancels the running probe.
        **at_work({Deadline.ANSWER: 25.0, Deadline.MEASURE: 32.0}, CANCEL),
        "probed, well": Does([], LifeState.RUNNING, {Deadline.PROBE: 60.0, Deadline.MEASURE: 32.0}),
        "probed, not well": Does(
            [CheckFailed(REF, "refused", 1, 2)],
            LifeState.RUNNING,
            {Deadline.PROBE: 60.0, Deadline.MEASURE: 32.0},
        ),
        "tick, due": Does(
            [CANCEL, CheckFailed(REF, NoAnswer(3.0), 1, 2), Measure(REF)],
            LifeState.RUNNING,
            {Deadline.PROBE: 60.0, Deadline.MEASURE: 60.0},
        ),
    },
    "stopping": asked_to_stop(ASKED),
    "faulty": asked_to_stop(ASKED),
    "killing": {
        **on_its_way_out(LifeState.KILLING, {Deadline.LOSE: 35.0}),
        **remains(LifeState.KILLING, {Deadline.LOSE: 35.0}, *KILL),
        "tick, due": Does([], LifeState.LOST, NOTHING_DUE),
    },
    "sweeping": {
        **leaderless(
            {Deadline.SWEEP: 21.0},
            # It is lost five seconds after the first SIGKILL.
            Does(
                [SIGKILL_TO_ALL],
                LifeState.SWEEPING,
                {Deadline.SWEEP: 51.0, Deadline.LOSE: 55.0},
            ),
        ),
        "tick, due": Does(
            [SIGKILL_TO_ALL], LifeState.SWEEPING, {Deadline.SWEEP: 51.0, Deadline.LOSE: 55.0}
        ),
    },
    "swept": {
        **leaderless(
            SWEEPING_AGAIN,
            Does(
                [SIGKILL_TO_ALL],
                LifeState.SWEEPING,
                {Deadline.SWEEP: 51.0, Deadline.LOSE: 26.0},
            ),
        ),
        "tick, due": Does([SIGKILL_TO_ALL], LifeState.LOST, NOTHING_DUE),
    },
    "gone": {
        **remains(LifeState.GONE, NOTHING_DUE, *STOP, *KILL, *FORWARD, *TICK),
        **remains(LifeState.GONE, NOTHING_DUE, "ignore_health", "let_finish"),
        **each(ILLEGAL, *BIRTH, "exited", "group_gone"),
        **each(NEVER, *HEALTH, "says its status", *WHILE_WORKING),
    },
    "lost": {
        "says its status": Does([BUSY], LifeState.LOST, NOTHING_DUE),
        # It has no deadline: the supervisor no longer waits for it.
        "exited": Does([], LifeState.LOST, NOTHING_DUE),
        "group_gone": Does([], LifeState.GONE, NOTHING_DUE),
        **remains(LifeState.LOST, NOTHING_DUE, *HEALTH, *STOP, *KILL, *FORWARD, *TICK),
        **remains(LifeState.LOST, NOTHING_DUE, "ignore_health", "let_finish"),
        **each(ILLEGAL, *BIRTH),
        **each(NEVER, *WHILE_WORKING),
    },
}


def test_the_expectations_cover_every_input_in_every_state() -> None:
    assert {state: set(row) for state, row in EXPECTED.items()} == {
        state.__name__: set(INPUTS) for state in STATES
    }
    assert {state().state for state in STATES} == set(LifeState)
    assert {cause for cause, _ in CAUSES.values()} == set(Cause)


@pytest.mark.parametrize(("state", "name"), possible(STATES, EXPECTED))
def test_each_possible_input_has_the_expected_effect_in_each_state(
    state: Callable[[], Life], name: str
) -> None:
    life, expected = state(), EXPECTED[state.__name__][name]
    if isinstance(expected, Illegal):
        with pytest.raises(AssertionError, match=r"^Ref\(name='web.1'"):
            INPUTS[name](life)
        return

    outputs = INPUTS[name](life)

    assert Does(outputs, life.state, life.deadlines) == expected
    assert life.deadline == min(life.deadlines.values(), default=None)


def moves(state: Callable[[], Life]) -> set[tuple[LifeState, Cause, LifeState]]:
    """The moves that the inputs make from this state."""
    old, row = state().state, EXPECTED[state.__name__]
    made = set()
    for name, (cause, _) in CAUSES.items():
        result = row[name]
        if not isinstance(result, Does):
            continue
        if cause is Cause.EXPIRED and result.state is not LifeState.LOST:
            continue  # Another deadline had passed.
        if result.state is not old or (old, cause) == (LifeState.LOST, Cause.EXITED):
            made.add((old, cause, result.state))
    return made


def test_the_table_lists_exactly_the_transitions_that_occur() -> None:
    made = {move for state in STATES for move in moves(state)}

    assert made == {(old, cause, new) for old in TABLE for cause, new in TABLE[old].items()}


def test_the_table_has_every_state_and_only_reported_causes_can_be_illegal() -> None:
    assert set(TABLE) == set(LifeState)
    assert {
        cause
        for row in EXPECTED.values()
        for name, (cause, _) in CAUSES.items()
        if isinstance(row[name], Illegal)
    } == REPORTED


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_life_is_alive_while_its_leader_is_alive(state: Callable[[], Life]) -> None:
    life = state()

    assert life.alive == (state not in (sweeping, swept, gone, lost))
    assert life.alive == (life.state in ALIVE)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_only_a_stop_without_a_fault_counts_as_requested(state: Callable[[], Life]) -> None:
    assert state().asked == (state in (stopping, killing, lost))


def test_a_life_remembers_its_fault() -> None:
    assert faulty().fault == WatchdogTriggered()
    assert stopping().fault is None


def test_a_life_records_when_it_entered_its_state() -> None:
    life = stopping()

    assert (life.started, life.since) == (10.0, 20.0)
    life.exited(23.0, sweep_after=1.0)
    assert (life.started, life.since) == (10.0, 23.0)


@pytest.mark.parametrize("state", [spawning, cancelling, discarding])
def test_the_time_of_a_life_starts_when_it_is_spawned(state: Callable[[], Life]) -> None:
    """A start may wait for a long time; that time does not count towards its ready timeout."""
    life = state()
    assert life.started == 10.0

    life.spawned(80.0)

    assert (life.started, life.since) == (80.0, 80.0)


def test_a_late_spawn_does_not_shorten_the_ready_timeout() -> None:
    life = spawning(replace(PLAIN, notifies=True, ready_timeout=60.0))
    life.spawned(80.0)

    life.notified(90.0, Notified(REF, extend_timeout=55.0), health_matters=True)

    assert life.tick(145.0) == [Stopping(REF, NotReady(65.0)), *asks(REF, SIGTERM)]


def test_a_cancelled_life_that_spawns_has_its_whole_stop_timeout() -> None:
    life = spawning(replace(PLAIN, stop_timeout=5.0))
    life.stop(20.0)

    life.spawned(30.0)

    assert life.asked
    assert life.deadlines == {Deadline.KILL: 35.0, Deadline.NOTICE: 31.0}


def test_a_late_exit_does_not_change_when_a_life_was_lost() -> None:
    life = lost()
    life.exited(100.0, sweep_after=1.0)

    assert (life.state, life.since) == (LifeState.LOST, 35.0)


# ---- the end is bounded ----


def until_nothing_is_due(life: Life) -> list[tuple[float, list[Output], LifeState]]:
    moments = []
    while life.deadline is not None:
        now = life.deadline
        moments.append((now, life.tick(now), life.state))
    return moments


def test_a_life_that_survives_sigkill_is_lost_after_five_seconds() -> None:
    life = running()
    life.kill(20.0)

    assert until_nothing_is_due(life) == [(25.0, [], LifeState.LOST)]


def test_a_process_group_that_survives_sigkill_is_lost_after_five_seconds() -> None:
    sweep: list[Output] = [SIGKILL_TO_ALL]

    assert until_nothing_is_due(sweeping()) == [
        (21.0, sweep, LifeState.SWEEPING),
        (22.0, sweep, LifeState.SWEEPING),
        (23.0, sweep, LifeState.SWEEPING),
        (24.0, sweep, LifeState.SWEEPING),
        (25.0, sweep, LifeState.SWEEPING),
        (26.0, sweep, LifeState.LOST),
    ]


def test_repeated_kills_do_not_postpone_the_loss_of_a_life() -> None:
    life, swept_life = killing(), swept()
    life.kill(33.0)
    swept_life.kill(21.5)

    assert life.deadlines == {Deadline.LOSE: 35.0}
    assert swept_life.deadlines == {Deadline.SWEEP: 22.5, Deadline.LOSE: 26.0}


def test_a_lost_life_is_gone_once_its_leader_and_process_group_have_ended() -> None:
    life = lost()

    life.exited(100.0, sweep_after=1.0)
    assert (life.state, life.deadlines) == (LifeState.LOST, {})
    life.group_gone(101.0)
    assert (life.state, life.deadlines) == (LifeState.GONE, {})


def test_a_lost_life_without_a_leader_is_gone_once_its_process_group_ends() -> None:
    life = swept()
    life.tick(26.0)
    assert life.state is LifeState.LOST

    life.group_gone(101.0)

    assert life.state is LifeState.GONE


def test_a_leftover_process_group_is_killed_every_second_until_it_is_gone() -> None:
    life = sweeping()
    sweep: list[Output] = [SIGKILL_TO_ALL]

    assert life.tick(20.9) == []
    assert life.tick(21.0) == sweep
    assert life.tick(21.9) == []
    assert life.tick(22.0) == sweep
    life.group_gone(22.5)
    assert life.tick(23.0) == []


# ---- stopping ----


def end(life: Life, exited: Exited, now: float = 50.0) -> Ended:
    """Its end, recorded as the instance does it."""
    ended = life.ended(now, exited)
    life.exited(now, sweep_after=1.0)
    return ended


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExitStatus(code=0), True),
        (ExitStatus(signal=SIGINT), True),  # its stop signal
        (ExitStatus(code=3), True),  # declared as success
        (ExitStatus(code=1), False),
        (ExitStatus(code=SIGINT), False),
        (ExitStatus(signal=SIGTERM), False),
        (ExitStatus(signal=SIGKILL), False),
        (ExitStatus(signal=3), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("state", [starting, running, stopping, faulty, killing])
def test_only_an_exit_during_a_stop_can_be_expected(
    state: Callable[[], Life], status: ExitStatus, expected: bool
) -> None:
    ended = end(state(), Exited(REF, status))

    assert ended.expected == (expected and state in (stopping, faulty))


def test_an_exit_is_reported_with_the_state_and_both_durations() -> None:
    life = stopping()

    assert end(life, FAILED) == Ended(
        REF, LifeState.STOPPING, ExitStatus(code=1), after=40.0, lasted=30.0
    )


def test_the_stop_signal_goes_to_the_process_group_if_stop_group_is_set() -> None:
    life = running(replace(PLAIN, notifies=True, stop_group=True))

    assert life.stop(20.0) == [Stopping(REF), *asks(REF, SIGTERM, group=True)]


def test_a_slow_stop_is_reported_then_escalated_then_killed() -> None:
    life = stopping(replace(SPEC, stop_timeout=40.0))

    assert until_nothing_is_due(life) == [
        (21.0, [StillRunning(("web.1",), 39.0)], LifeState.STOPPING),
        (40.0, [StillRunning(("web.1",), 20.0)], LifeState.STOPPING),
        (48.0, [Escalated(REF, SIGQUIT), *asks(REF, SIGQUIT)], LifeState.STOPPING),
        (60.0, [Killing(REF, overran=40.0), SIGKILL_TO_ALL], LifeState.KILLING),
        (65.0, [], LifeState.LOST),
    ]
    assert life.overran


def test_a_slow_stop_is_reported_with_the_last_status_sent_during_the_stop() -> None:
    life = running(replace(PLAIN, notifies=True, stop_timeout=25.0))
    life.notified(15.0, Notified(REF, status="serving"), health_matters=True)
    life.stop(20.0)
    first = life.tick(21.0)
    for now, status in ((22.0, "2 tasks, oldest 14 s"), (23.0, "1 task, oldest 15 s")):
        life.notified(now, Notified(REF, status=status), health_matters=False)

    assert first == [StillRunning(("web.1",), 24.0)]
    assert life.tick(32.5) == [StillRunning(("web.1",), 12.5, {"web.1": "1 task, oldest 15 s"})]
    assert life.message == "1 task, oldest 15 s"


def test_the_escalation_comes_before_sigkill() -> None:
    assert 0 < module.ESCALATE_AFTER < 1


@pytest.mark.parametrize(
    ("timeout", "notices"),
    [
        (0.5, []),
        (1.0, []),
        (1.5, [21.0]),
        (2.0, [21.0]),
        (3.0, [21.0, 21.5]),
        (25, [21.0, 32.5]),
        (60, [21.0, 50.0]),
        (100, [21.0, 51.0, 70.0, 100.0]),
    ],
)
def test_a_stop_is_reported_after_a_second_at_half_time_and_each_half_minute(
    timeout: float, notices: list[float]
) -> None:
    moments = until_nothing_is_due(stopping(replace(PLAIN, notifies=True, stop_timeout=timeout)))

    assert [
        now for now, outputs, _ in moments for output in outputs if isinstance(output, StillRunning)
    ] == notices


@pytest.mark.parametrize("late", [45.0, 45.5, 1000.0])
def test_a_late_loop_kills_without_overdue_notices_or_escalation(late: float) -> None:
    assert stopping().tick(late) == [Killing(REF, overran=25.0), SIGKILL_TO_ALL]


def test_a_kill_before_the_stop_timeout_does_not_count_as_an_overrun() -> None:
    assert not killing().overran


def test_a_life_cannot_extend_its_stop_timeout() -> None:
    life = stopping(replace(PLAIN, notifies=True, stop_timeout=1.0))

    life.notified(20.5, Notified(REF, extend_timeout=1000.0), health_matters=False)

    assert life.deadlines == {Deadline.KILL: 21.0}


def test_a_watchdog_ping_during_a_stop_is_ignored() -> None:
    life = stopping(replace(PLAIN, notifies=True, watchdog=0.5))

    life.notified(20.0, Notified(REF, watchdog=WatchdogMessage.PING), health_matters=False)

    assert life.deadlines == {Deadline.KILL: 45.0, Deadline.NOTICE: 21.0}


# ---- its own report of its end, and what else is known ----


@pytest.mark.parametrize("health_matters", [True, False])
@pytest.mark.parametrize(
    ("said", "reported"),
    [
        ([Notified(REF, stopping=True)], "STOPPING=1"),
        ([Notified(REF, error="No such file or directory")], "No such file or directory"),
        ([Notified(REF, error="Oops"), Notified(REF, stopping=True)], "Oops"),
        ([Notified(REF, error="Oops"), Notified(REF, error="Ouch")], "Ouch"),
        ([Notified(REF, status="busy")], ""),
    ],
    ids=str,
)
def test_an_exit_is_reported_with_the_last_error_or_stopping_message(
    said: list[Notified], reported: str, health_matters: bool
) -> None:
    life = running()
    for message in said:
        life.notified(20.0, message, health_matters)

    assert end(life, FAILED).reported == reported


def test_an_exit_is_reported_with_the_last_measured_memory() -> None:
    life = running()
    life.measured(20.0, Measured(REF, 300 * MB))
    life.measured(30.0, Measured(REF, 400 * MB))

    assert end(life, Exited(REF, ExitStatus(signal=9), out_of_memory=True)) == Ended(
        REF,
        LifeState.RUNNING,
        ExitStatus(signal=9),
        after=40.0,
        lasted=38.0,
        memory=400 * MB,
        out_of_memory=True,
    )


def test_one_notify_message_may_report_status_readiness_and_a_trigger() -> None:
    life = starting(replace(PLAIN, notifies=True, watchdog=30.0))
    message = replace(TRIGGER, ready=True, status="serving")

    assert life.notified(15.0, message, health_matters=True) == [
        StatusReported(REF, "serving"),
        Ready(REF, 5.0),
        Stopping(REF, WatchdogTriggered()),
        *asks(REF, SIGTERM),
    ]


def test_only_status_and_error_of_a_message_count_while_health_is_ignored() -> None:
    life = starting()
    message = replace(TRIGGER, ready=True, status="serving", extend_timeout=1000.0, error="Oops")

    assert life.notified(15.0, message, health_matters=False) == [StatusReported(REF, "serving")]
    assert (life.state, life.deadlines) == (
        LifeState.STARTING,
        {Deadline.READY: 70.0, Deadline.MEASURE: 20.0},
    )
    assert end(life, FAILED).reported == "Oops"


# ---- becoming ready ----


def test_a_life_without_a_readiness_signal_is_ready_once_it_starts() -> None:
    life = spawning(PLAIN)

    assert life.spawned(12.0) == [Started(REF)]
    assert (life.state, life.deadlines) == (LifeState.RUNNING, {})


def test_a_life_that_is_not_ready_in_time_is_stopped() -> None:
    life = starting(replace(PLAIN, notifies=True, ready_timeout=60.0))

    assert life.deadline == 70.0
    assert life.tick(69.9) == []
    assert life.tick(70.0) == [Stopping(REF, NotReady(60.0)), *asks(REF, SIGTERM)]


def test_a_ready_line_in_the_output_makes_a_life_ready_only_once() -> None:
    life = starting(replace(PLAIN, ready_line=True))

    assert life.deadlines == {Deadline.READY: 70.0}
    assert life.found_ready_line(12.0) == [Ready(REF, 2.0)]
    assert (life.state, life.deadlines) == (LifeState.RUNNING, {})
    assert life.found_ready_line(13.0) == []


def test_a_ready_timeout_reports_the_last_probe_failure() -> None:
    probe = ReadyProbe(timeout=3.0, pause=0.25)
    life = starting(replace(PLAIN, ready_probe=probe, ready_timeout=1.0))
    life.tick(10.0)

    assert life.probed(10.5, Probed(REF, "HTTP 503")) == []
    assert life.deadlines == {Deadline.READY: 11.0, Deadline.PROBE: 10.75}
    assert life.tick(11.0) == [
        Stopping(REF, NotReady(1.0, "HTTP 503")),
        *asks(REF, SIGTERM),
    ]


def test_a_ready_message_cancels_the_running_connection_probe() -> None:
    life = starting(replace(PLAIN, connects=True))
    life.tick(10.0)

    assert life.notified(10.5, Notified(REF, ready=True), health_matters=True) == [
        CANCEL,
        Ready(REF, 0.5),
    ]
    assert life.probed(10.6, Probed(REF, "refused")) == []


def test_a_life_whose_connection_never_succeeds_is_stopped_as_not_ready() -> None:
    life = starting(replace(PLAIN, connects=True, ready_timeout=1.0))
    life.tick(10.5)

    assert life.tick(11.0) == [CANCEL, Stopping(REF, NotReady(1.0)), *asks(REF, SIGTERM)]


# ---- oneshots ----


def test_a_oneshot_has_no_ready_timeout_and_cannot_become_ready() -> None:
    life = starting(replace(ONESHOT, notifies=True))

    assert life.deadline is None
    assert life.notified(11.0, Notified(REF, ready=True), health_matters=True) == []
    assert life.state is LifeState.STARTING


def test_a_oneshot_that_ends_with_0_has_finished() -> None:
    ended = end(starting(ONESHOT), ZERO)

    assert ended == Ended(
        REF,
        LifeState.STARTING,
        ExitStatus(code=0),
        after=40.0,
        lasted=40.0,
        expected=True,
        oneshot=True,
    )
    assert ended.finished


@pytest.mark.parametrize(
    "exited", [FAILED, Exited(REF, ExitStatus(signal=15))], ids=lambda exited: str(exited.status)
)
def test_a_oneshot_that_fails_has_not_finished(exited: Exited) -> None:
    ended = end(starting(ONESHOT), exited)

    assert (ended.expected, ended.finished) == (False, False)


def test_a_stopped_oneshot_that_exits_with_0_has_not_finished() -> None:
    life = starting(ONESHOT)
    life.stop(20.0)

    ended = end(life, ZERO)

    assert (ended.expected, ended.finished) == (True, False)


def test_a_service_that_ends_with_0_has_not_finished() -> None:
    assert not end(starting(), ZERO).finished


def test_a_oneshot_may_finish_within_its_stop_timeout_and_is_then_stopped() -> None:
    life = starting(replace(ONESHOT, stop_timeout=8.0))

    assert life.let_finish(20.0) == [WaitingToFinish(("web.1",), 8.0)]
    assert until_nothing_is_due(life) == [
        (28.0, [Stopping(REF), *asks(REF, SIGTERM)], LifeState.STOPPING),
        (29.0, [StillRunning(("web.1",), 7.0)], LifeState.STOPPING),
        (32.0, [StillRunning(("web.1",), 4.0)], LifeState.STOPPING),
        (36.0, [Killing(REF, overran=8.0), SIGKILL_TO_ALL], LifeState.KILLING),
        (41.0, [], LifeState.LOST),
    ]


def test_a_oneshot_that_exits_with_0_while_everything_stops_has_finished() -> None:
    assert end(finishing(), ZERO).finished


# ---- health is minded while it does its work ----


def test_memory_is_measured_every_ten_seconds_from_start_to_stop() -> None:
    life = starting(replace(PLAIN, notifies=True, max_memory=MB))

    assert life.deadline == 20.0
    assert life.tick(20.0) == [Measure(REF)]
    life.notified(25.0, Notified(REF, ready=True), health_matters=True)
    assert life.deadline == 30.0
    assert life.tick(30.0) == [Measure(REF)]
    life.stop(35.0)
    assert Measure(REF) not in life.tick(59.0)


def test_watchdog_silence_is_ignored_before_a_life_is_ready() -> None:
    life = starting(replace(PLAIN, notifies=True, watchdog=0.5, ready_timeout=60.0))

    assert life.deadlines == {Deadline.READY: 70.0}


def test_a_running_life_without_checks_or_limits_has_no_deadline() -> None:
    assert running(replace(PLAIN, notifies=True)).deadline is None


def test_watchdog_silence_cancels_a_check_that_starts_at_the_same_moment() -> None:
    life = running(replace(PLAIN, notifies=True, check=CheckSchedule(), watchdog=10.0))

    assert life.deadlines == {Deadline.PROBE: 22.0, Deadline.WATCHDOG: 22.0}
    assert life.tick(22.0) == [
        StartProbe(REF, ProbeKind.HEALTH),
        CANCEL,
        Stopping(REF, WatchdogSilent(10.0)),
        *asks(REF, SIGTERM),
    ]
