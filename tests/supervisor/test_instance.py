"""Every input in every state of an instance, the table of moves, and what is due when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from signal import Signals
from typing import Any, Callable, NamedTuple, Optional, Union

import pytest

from django_prodserver.supervisor.instance import MOVES, STOPPING_EVERYTHING, Instance, Outcome
from django_prodserver.supervisor.model import (
    CancelProbe,
    Effect,
    Exited,
    ExitStatus,
    HealthCheck,
    Kill,
    LastStep,
    Measure,
    Notified,
    Probe,
    Restart,
    Spawn,
    Spec,
    StartProbe,
    State,
    StateChanged,
    StatusTold,
    StillRunning,
    Unwell,
    Watchdog,
)

PID = 101
MB = 1_000_000
SPEC = Spec(
    "web.1",
    stop_signal=Signals.SIGINT,
    stop_timeout=25.0,
    last_signal=Signals.SIGQUIT,
    notifies=True,
    success=frozenset({3}),
    forwards=frozenset({Signals.SIGUSR1}),
    restart=Restart.ON_FAILURE,
    backoff_initial=4.0,
    healthcheck=HealthCheck(interval=10.0, timeout=3.0, retries=2),
    max_memory=500 * MB,
)
PLAIN = Spec("web.1")
FAILED, ZERO = ExitStatus(code=1), ExitStatus(code=0)


def ended(status: ExitStatus, **more: Any) -> Exited:
    return Exited(PID, status, **more)


# ---- the states, each reached as a supervisor would: started at 10, ready at 12, asked at 20 ----


def stopped() -> Instance:
    return Instance(SPEC)


def waiting() -> Instance:
    instance = stopped()
    instance.wait(5.0)
    return instance


def called_off() -> Instance:
    instance = waiting()
    instance.call_off(10.0)
    return instance


def spawning(spec: Spec = SPEC) -> Instance:
    instance = Instance(spec)
    instance.start(10.0)
    return instance


def starting(spec: Spec = SPEC) -> Instance:
    instance = spawning(spec)
    instance.spawned(10.0, PID)
    return instance


def running(spec: Spec = SPEC) -> Instance:
    instance = starting(spec)
    instance.ready(12.0)
    return instance


def probing() -> Instance:
    """A probe has begun, which has three seconds."""
    instance = running()
    instance.tick(22.0)
    return instance


def last_chance() -> Instance:
    """Its next start would be one too many."""
    return running(replace(SPEC, start_burst=1))


def stopping(spec: Spec = SPEC) -> Instance:
    instance = running(spec)
    instance.stop(20.0)
    return instance


def killing() -> Instance:
    instance = stopping()
    instance.kill(30.0)
    return instance


def leaving_others() -> Instance:
    """Dead, while others of its process group may live."""
    instance = running()
    instance.exited(20.0, ended(FAILED), ending=True)
    return instance


def gone() -> Instance:
    instance = leaving_others()
    instance.group_gone(20.0)
    return instance


def restarting() -> Instance:
    """The same, and it is to be started anew at 24."""
    instance = running()
    instance.exited(20.0, ended(FAILED), ending=False)
    return instance


def backing_off() -> Instance:
    instance = restarting()
    instance.group_gone(20.0)
    return instance


def fatal() -> Instance:
    instance = spawning()
    instance.spawn_failed(10.0, "no memory")
    return instance


def given_up() -> Instance:
    instance = last_chance()
    instance.exited(20.0, ended(FAILED), ending=False)
    return instance


STATES: tuple[Callable[[], Instance], ...] = (
    *(stopped, waiting, called_off, spawning, starting, running, probing, last_chance),
    *(stopping, killing, leaving_others, gone, restarting, backing_off, fatal, given_up),
)

# ---- the inputs, nearly all at 50, when everything that has a time is due ----


def tick_too_early(instance: Instance) -> list[Effect]:
    return instance.tick(50.0 if instance.deadline is None else instance.deadline - 0.01)


INPUTS: dict[str, Callable[[Instance], list[Effect]]] = {
    "wait": lambda instance: instance.wait(50.0),
    "start": lambda instance: instance.start(50.0),
    "spawned": lambda instance: instance.spawned(50.0, PID),
    "spawn_failed": lambda instance: instance.spawn_failed(50.0, "no memory"),
    "ready": lambda instance: instance.ready(50.0),
    "says how it is": lambda instance: instance.notified(50.0, Notified(PID, status="busy")),
    "says READY=1": lambda instance: instance.notified(50.0, Notified(PID, ready=True)),
    "asks for time": lambda instance: instance.notified(50.0, Notified(PID, extend_timeout=90.0)),
    "WATCHDOG=trigger": lambda instance: instance.notified(
        50.0, Notified(PID, watchdog=Watchdog.TRIGGER)
    ),
    "probed, well": lambda instance: instance.probed(50.0, ""),
    "probed, not well": lambda instance: instance.probed(50.0, "refused"),
    "measured, little": lambda instance: instance.measured(50.0, 400 * MB),
    "measured, too much": lambda instance: instance.measured(50.0, 600 * MB),
    "call_off": lambda instance: instance.call_off(50.0),
    "stop": lambda instance: instance.stop(50.0),
    "kill": lambda instance: instance.kill(50.0),
    "kill, with a reason": lambda instance: instance.kill(50.0, why="hung"),
    "forward, declared": lambda instance: instance.forward(Signals.SIGUSR1),
    "forward, not declared": lambda instance: instance.forward(Signals.SIGUSR2),
    "failed": lambda instance: instance.exited(50.0, ended(FAILED), ending=False),
    "ended with 0": lambda instance: instance.exited(50.0, ended(ZERO), ending=False),
    "failed, at the end": lambda instance: instance.exited(50.0, ended(FAILED), ending=True),
    "ended with 0, at the end": lambda instance: instance.exited(50.0, ended(ZERO), ending=True),
    "group_gone, at once": lambda instance: instance.group_gone(20.0),
    "group_gone": lambda instance: instance.group_gone(50.0),
    "tick, too early": tick_too_early,
    "tick, due": lambda instance: instance.tick(50.0),
}


class Does(NamedTuple):
    effects: Sequence[Effect]
    state: State
    deadline: Optional[float] = None


class Illegal(NamedTuple):
    """Our bug; an assertion says so."""


class Never(NamedTuple):
    """Cannot come: nobody speaks of it in this state."""


Result = Union[Does, Illegal, Never]
ILLEGAL, NEVER = Illegal(), Never()


def moved(old: State, new: State, *, lasted: float, **more: Any) -> Effect:
    more = {"pid": PID, "after": 40.0, "ready": old is not State.STARTING, **more}
    return StateChanged("web.1", old, new, lasted=lasted, **more)


def buried(old: State, lasted: float, status: ExitStatus = FAILED, **more: Any) -> Does:
    """It is over: its group is swept a second later."""
    changed = moved(old, State.EXITED, lasted=lasted, status=status, **more)
    return Does([changed], State.EXITED, deadline=51.0)


def anew(old: State, lasted: float, status: ExitStatus = FAILED, **more: Any) -> Does:
    return buried(old, lasted, status, consequence="restarting in 4.00 s", **more)


def last(old: State, lasted: float, status: ExitStatus = FAILED, **more: Any) -> Does:
    return buried(old, lasted, status, consequence=STOPPING_EVERYTHING, **more)


def asked(old: State, lasted: float, reason: str = "", *, before: Sequence[Effect] = ()) -> Does:
    changed = moved(old, State.STOPPING, lasted=lasted, reason=reason)
    # It is due to be talked of after a second.
    return Does([*before, changed, Kill(PID, Signals.SIGINT)], State.STOPPING, deadline=51.0)


def killed(old: State, lasted: float, reason: str = "", *, before: Sequence[Effect] = ()) -> Does:
    changed = moved(old, State.KILLING, lasted=lasted, reason=reason)
    return Does([*before, changed, Kill(PID, Signals.SIGKILL, group=True)], State.KILLING)


def each(result: Result, *inputs: str) -> dict[str, Result]:
    return dict.fromkeys(inputs, result)


BIRTH = ("wait", "start", "spawned", "spawn_failed")
SAYS = ("says READY=1", "asks for time", "WATCHDOG=trigger")
TOLD = ("says how it is", *SAYS)
PROBED = ("probed, well", "probed, not well")
MEASURED = ("measured, little", "measured, too much")
END = ("kill", "kill, with a reason")
FORWARD = ("forward, declared", "forward, not declared")
EXIT = ("failed", "ended with 0", "failed, at the end", "ended with 0, at the end")
GONE = ("group_gone, at once", "group_gone")
TICK = ("tick, too early", "tick, due")
# What the system says of a pid: there is none before `spawned`, and none after `group_gone`.
OF_A_PID = (*TOLD, *PROBED, *MEASURED, *EXIT, *GONE)

BUSY = StatusTold("web.1", "busy")
SWEEP = Kill(PID, Signals.SIGKILL, group=True)
TRIGGERED = "is unhealthy: it said WATCHDOG=trigger"
TOO_MUCH = "uses 600 MB, its MAX_MEMORY is 500 MB"
BEGUN = [
    # It was in no state before: `lasted` counts from the clock's beginning.
    StateChanged("web.1", State.STOPPED, State.STARTING, lasted=50.0),
    Spawn("web.1"),
]


def remains(state: State, deadline: Optional[float], *inputs: str) -> dict[str, Result]:
    """What means nothing in this state."""
    return each(Does([], state, deadline), *inputs)


def alive(old: State, lasted: float) -> dict[str, Result]:
    """What means the same from the spawn until somebody asks it to stop."""
    return {
        "measured, too much": asked(old, lasted, TOO_MUCH),
        "stop": asked(old, lasted),
        "kill": killed(old, lasted),
        "kill, with a reason": killed(old, lasted, "hung"),
        "failed": anew(old, lasted),
        "ended with 0": last(old, lasted, ZERO),
        "failed, at the end": buried(old, lasted),
        "ended with 0, at the end": buried(old, lasted, ZERO),
        **each(ILLEGAL, *BIRTH, *GONE),
    }


def dead(state: State, pending: Optional[float]) -> dict[str, Result]:
    """Its leader has ended, and its group is to be swept."""
    return {
        "says how it is": Does([BUSY], state, pending),
        **each(Does([SWEEP], state, 51.0), *END, "tick, due"),
        **remains(state, pending, *SAYS, *PROBED, *MEASURED, "ready", "call_off", "stop"),
        **remains(state, pending, *FORWARD, "tick, too early"),
        **each(ILLEGAL, *EXIT),
    }


def at_rest(state: State, deadline: Optional[float] = None) -> dict[str, Result]:
    """Nobody has its pid."""
    return {
        **remains(state, deadline, "ready", "stop", "call_off", *END, *FORWARD, *TICK),
        **each(NEVER, *OF_A_PID),
    }


EXPECTED: dict[str, dict[str, Result]] = {
    "stopped": {
        **at_rest(State.STOPPED),
        "wait": Does(
            [StateChanged("web.1", State.STOPPED, State.WAITING, after=50.0, lasted=50.0)],
            State.WAITING,
        ),
        "start": Does(BEGUN, State.STARTING),
        **each(ILLEGAL, "spawned", "spawn_failed"),
    },
    "waiting": {
        **at_rest(State.WAITING),
        "start": Does(
            [
                StateChanged("web.1", State.WAITING, State.STARTING, lasted=45.0),
                Spawn("web.1"),
            ],
            State.STARTING,
        ),
        "call_off": Does(
            [StateChanged("web.1", State.WAITING, State.STOPPED, after=50.0, lasted=45.0)],
            State.STOPPED,
        ),
        **each(ILLEGAL, "wait", "spawned", "spawn_failed"),
    },
    "called_off": {
        **at_rest(State.STOPPED),
        **each(ILLEGAL, "spawned", "spawn_failed"),
        **each(NEVER, "wait", "start"),
    },
    "spawning": {
        "spawned": Does([], State.STARTING, deadline=60.0),
        "spawn_failed": Does(
            [
                moved(
                    State.STARTING,
                    State.FATAL,
                    lasted=40.0,
                    pid=None,
                    reason="no memory",
                    consequence=STOPPING_EVERYTHING,
                )
            ],
            State.FATAL,
        ),
        **each(ILLEGAL, "wait", "start", *END),
        **each(NEVER, "ready", *OF_A_PID),
        **remains(State.STARTING, None, "call_off", "stop", *FORWARD, *TICK),
    },
    "starting": {
        **alive(State.STARTING, 40.0),
        **each(
            # Memory was due at 20; the first probe comes an interval after it is ready.
            Does([moved(State.STARTING, State.RUNNING, lasted=40.0)], State.RUNNING, 20.0),
            "ready",
            "says READY=1",
        ),
        "says how it is": Does([BUSY], State.STARTING, deadline=20.0),
        "tick, due": Does([Measure(PID)], State.STARTING, deadline=60.0),
        **remains(State.STARTING, 20.0, "asks for time", "WATCHDOG=trigger", *PROBED),
        "call_off": Does([], State.STARTING),
        **remains(State.STARTING, 20.0, "measured, little", *FORWARD),
        **remains(State.STARTING, 20.0, "tick, too early"),
    },
    "running": {
        **alive(State.RUNNING, 38.0),
        "WATCHDOG=trigger": asked(State.RUNNING, 38.0, TRIGGERED),
        "says how it is": Does([BUSY], State.RUNNING, deadline=20.0),
        "forward, declared": Does([Kill(PID, Signals.SIGUSR1)], State.RUNNING, deadline=20.0),
        "tick, due": Does([StartProbe(PID, Probe.HEALTH), Measure(PID)], State.RUNNING, 53.0),
        **remains(State.RUNNING, 20.0, "ready", "says READY=1", "asks for time", *PROBED),
        "call_off": Does([], State.RUNNING),
        **remains(State.RUNNING, 20.0, "measured, little", "forward, not declared"),
        **remains(State.RUNNING, 20.0, "tick, too early"),
    },
    "probing": {
        **alive(State.RUNNING, 38.0),
        # Nobody waits for the answer any more.
        "WATCHDOG=trigger": asked(State.RUNNING, 38.0, TRIGGERED, before=[CancelProbe(PID)]),
        "measured, too much": asked(State.RUNNING, 38.0, TOO_MUCH, before=[CancelProbe(PID)]),
        "stop": asked(State.RUNNING, 38.0, before=[CancelProbe(PID)]),
        "kill": killed(State.RUNNING, 38.0, before=[CancelProbe(PID)]),
        "kill, with a reason": killed(State.RUNNING, 38.0, "hung", before=[CancelProbe(PID)]),
        "probed, well": Does([], State.RUNNING, deadline=32.0),
        "probed, not well": Does([Unwell("web.1", "refused", 1, 2)], State.RUNNING, deadline=32.0),
        "says how it is": Does([BUSY], State.RUNNING, deadline=25.0),
        "forward, declared": Does([Kill(PID, Signals.SIGUSR1)], State.RUNNING, deadline=25.0),
        "tick, due": Does(
            [CancelProbe(PID), Unwell("web.1", "no answer within 3 s", 1, 2), Measure(PID)],
            State.RUNNING,
            deadline=60.0,
        ),
        **remains(State.RUNNING, 25.0, "ready", "says READY=1", "asks for time"),
        "call_off": Does([CancelProbe(PID)], State.RUNNING),
        **remains(State.RUNNING, 25.0, "measured, little", "forward, not declared"),
        **remains(State.RUNNING, 25.0, "tick, too early"),
    },
    "last_chance": {
        **alive(State.RUNNING, 38.0),
        "WATCHDOG=trigger": asked(State.RUNNING, 38.0, TRIGGERED),
        "says how it is": Does([BUSY], State.RUNNING, deadline=20.0),
        "forward, declared": Does([Kill(PID, Signals.SIGUSR1)], State.RUNNING, deadline=20.0),
        "failed": Does(
            [
                moved(State.RUNNING, State.EXITED, lasted=38.0, status=FAILED),
                moved(
                    State.EXITED,
                    State.FATAL,
                    lasted=0.0,
                    reason="1 starts in 60 s, its START_LIMIT",
                    consequence=STOPPING_EVERYTHING,
                ),
            ],
            State.FATAL,
            deadline=51.0,
        ),
        "tick, due": Does([StartProbe(PID, Probe.HEALTH), Measure(PID)], State.RUNNING, 53.0),
        **remains(State.RUNNING, 20.0, "ready", "says READY=1", "asks for time", *PROBED),
        "call_off": Does([], State.RUNNING),
        **remains(State.RUNNING, 20.0, "measured, little", "forward, not declared"),
        **remains(State.RUNNING, 20.0, "tick, too early"),
    },
    "stopping": {
        "kill": killed(State.STOPPING, 30.0),
        "kill, with a reason": killed(State.STOPPING, 30.0, "hung"),
        "failed": anew(State.STOPPING, 30.0),
        "ended with 0": last(State.STOPPING, 30.0, ZERO, expected=True),
        "failed, at the end": buried(State.STOPPING, 30.0),
        "ended with 0, at the end": buried(State.STOPPING, 30.0, ZERO, expected=True),
        "says how it is": Does([BUSY], State.STOPPING, deadline=21.0),
        # The loop was late: nothing is said, and no second step taken, just before the end.
        "tick, due": killed(State.STOPPING, 30.0, "did not stop within 25 s"),
        **each(ILLEGAL, *BIRTH, *GONE),
        **remains(State.STOPPING, 21.0, "ready", *SAYS, *PROBED, *MEASURED, "call_off", "stop"),
        **remains(State.STOPPING, 21.0, *FORWARD, "tick, too early"),
    },
    "killing": {
        "failed": anew(State.KILLING, 20.0),
        "ended with 0": last(State.KILLING, 20.0, ZERO),
        "failed, at the end": buried(State.KILLING, 20.0),
        "ended with 0, at the end": buried(State.KILLING, 20.0, ZERO),
        "says how it is": Does([BUSY], State.KILLING),
        **each(ILLEGAL, *BIRTH, *GONE),
        **remains(State.KILLING, None, "ready", *SAYS, *PROBED, *MEASURED, "call_off", "stop"),
        **remains(State.KILLING, None, *END, *FORWARD, *TICK),
    },
    "leaving_others": {
        **dead(State.EXITED, 21.0),
        **each(Does([], State.EXITED), *GONE),
        **each(ILLEGAL, "wait", "spawned", "spawn_failed"),
        **each(NEVER, "start"),
    },
    "gone": {
        **at_rest(State.EXITED),
        **each(ILLEGAL, "wait", "spawned", "spawn_failed"),
        **each(NEVER, "start"),
    },
    "restarting": {
        **dead(State.EXITED, 21.0),
        "group_gone, at once": Does(
            [moved(State.EXITED, State.BACKOFF, after=10.0, lasted=0.0, restarts=1)],
            State.BACKOFF,
            deadline=24.0,
        ),
        # The sweep took longer than the pause.
        "group_gone": Does(
            [
                StateChanged("web.1", State.EXITED, State.STARTING, lasted=30.0, restarts=1),
                Spawn("web.1"),
            ],
            State.STARTING,
        ),
        **each(ILLEGAL, "wait", "spawned", "spawn_failed"),
        **each(NEVER, "start"),
    },
    "backing_off": {
        **at_rest(State.BACKOFF, deadline=24.0),
        "call_off": Does(
            [moved(State.BACKOFF, State.STOPPED, lasted=30.0, restarts=1)], State.STOPPED
        ),
        "tick, due": Does(
            [
                StateChanged("web.1", State.BACKOFF, State.STARTING, lasted=30.0, restarts=1),
                Spawn("web.1"),
            ],
            State.STARTING,
        ),
        **each(ILLEGAL, "wait", "spawned", "spawn_failed"),
        **each(NEVER, "start"),
    },
    "fatal": {
        **at_rest(State.FATAL),
        **each(ILLEGAL, *BIRTH),
    },
    "given_up": {
        **dead(State.FATAL, 21.0),
        **each(Does([], State.FATAL), *GONE),
        **each(ILLEGAL, *BIRTH),
    },
}


def test_every_input_in_every_state_is_decided() -> None:
    assert {state: set(row) for state, row in EXPECTED.items()} == {
        state.__name__: set(INPUTS) for state in STATES
    }
    assert {state().state for state in STATES} == set(State)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_an_input_in_a_state(state: Callable[[], Instance], name: str) -> None:
    instance, expected = state(), EXPECTED[state.__name__][name]
    if isinstance(expected, Never):
        return
    if isinstance(expected, Illegal):
        with pytest.raises((AssertionError, KeyError)):
            INPUTS[name](instance)
        return

    effects = INPUTS[name](instance)

    assert Does(effects, instance.state, instance.deadline) == expected


def test_every_move_of_the_table_is_made_and_no_other() -> None:
    made = {
        (effect.old, effect.new)
        for row in EXPECTED.values()
        for result in row.values()
        if isinstance(result, Does)
        for effect in result.effects
        if isinstance(effect, StateChanged)
    }

    assert made == {(old, new) for old, news in MOVES.items() for new in news}


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(State)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_over_means_that_nothing_is_alive_and_nothing_is_due(state: Callable[[], Instance]) -> None:
    assert state().over == (state in (stopped, waiting, called_off, gone, fatal))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_only_who_is_ready_lets_others_start(state: Callable[[], Instance]) -> None:
    assert state().fulfilled == (state in (running, probing, last_chance))


# ---- becoming ready ----


def test_what_does_not_say_when_is_ready_once_it_is_spawned() -> None:
    instance = Instance(PLAIN)
    instance.start(10.0)

    effects = instance.spawned(12.0, PID)

    assert effects == [
        StateChanged(
            "web.1", State.STARTING, State.RUNNING, pid=PID, after=2.0, lasted=2.0, ready=False
        )
    ]
    assert instance.deadline is None


def test_who_is_not_ready_in_time_is_asked_to_stop() -> None:
    instance = starting(replace(PLAIN, notifies=True, ready_timeout=60.0))

    assert instance.deadline == 70.0
    assert instance.tick(69.9) == []
    assert instance.tick(70.0) == [
        moved(
            State.STARTING,
            State.STOPPING,
            after=60.0,
            lasted=60.0,
            reason="was not ready within 60 s",
        ),
        Kill(PID, Signals.SIGTERM),
    ]


@pytest.mark.parametrize(
    ("timeout", "text"),
    [(0.5, "0.5"), (60.0, "60"), (999.0, "999"), (1000.0, "1000"), (7200, "7200")],
)
def test_the_time_that_it_had_to_get_ready_is_named_in_plain_digits(
    timeout: float, text: str
) -> None:
    instance = starting(replace(PLAIN, notifies=True, ready_timeout=timeout))

    asked_to_stop = instance.tick(10.0 + timeout)[0]

    assert isinstance(asked_to_stop, StateChanged)
    assert asked_to_stop.reason == f"was not ready within {text} s"


def test_it_may_ask_for_more_time_to_get_ready_and_never_for_less() -> None:
    instance = starting(replace(PLAIN, notifies=True, ready_timeout=60.0))

    instance.notified(20.0, Notified(PID, extend_timeout=5.0))
    assert instance.deadline == 70.0
    instance.notified(60.0, Notified(PID, extend_timeout=30.0))
    assert instance.deadline == 90.0


def test_nobody_may_ask_for_more_time_to_stop() -> None:
    instance = stopping(replace(PLAIN, stop_timeout=1.0))

    instance.notified(20.5, Notified(PID, extend_timeout=1000.0))

    assert instance.deadline == 21.0


def test_a_connection_is_tried_until_it_succeeds() -> None:
    instance = starting(replace(PLAIN, connects=True))
    tried: list[Effect] = [StartProbe(PID, Probe.READY)]

    assert instance.tick(10.0) == tried
    assert instance.deadline == 11.0
    assert instance.probed(10.25, "refused") == []
    assert instance.deadline == 10.375
    assert instance.tick(10.375) == tried
    # No answer at all: it is given up, and tried again a moment later.
    assert instance.tick(11.375) == [CancelProbe(PID)]
    assert instance.tick(11.5) == tried
    assert instance.probed(11.5, "") == [
        moved(State.STARTING, State.RUNNING, after=1.5, lasted=1.5)
    ]
    assert instance.deadline is None


def test_what_says_ready_needs_no_connection_any_more() -> None:
    instance = starting(replace(PLAIN, connects=True))
    instance.tick(10.0)

    assert instance.notified(10.5, Notified(PID, ready=True)) == [
        CancelProbe(PID),
        moved(State.STARTING, State.RUNNING, after=0.5, lasted=0.5),
    ]
    assert instance.probed(10.6, "refused") == []


def test_a_connection_that_never_succeeds_is_a_failure_to_start() -> None:
    instance = starting(replace(PLAIN, connects=True, ready_timeout=1.0))
    instance.tick(10.5)

    assert instance.tick(11.0) == [
        CancelProbe(PID),
        moved(
            State.STARTING,
            State.STOPPING,
            after=1.0,
            lasted=1.0,
            reason="was not ready within 1 s",
        ),
        Kill(PID, Signals.SIGTERM),
    ]


# ---- a oneshot ----


ONESHOT = replace(PLAIN, oneshot=True)


def test_a_oneshot_has_all_the_time_it_takes_and_cannot_be_ready() -> None:
    instance = starting(replace(ONESHOT, notifies=True))

    assert instance.deadline is None
    assert instance.notified(11.0, Notified(PID, ready=True)) == []
    assert instance.state is State.STARTING


@pytest.mark.parametrize("ending", [False, True])
@pytest.mark.parametrize("restart", Restart)
def test_a_oneshot_that_ends_with_0_has_finished(restart: Restart, ending: bool) -> None:
    instance = starting(replace(ONESHOT, restart=restart))

    assert instance.exited(50.0, ended(ZERO), ending=ending) == [
        moved(State.STARTING, State.EXITED, lasted=40.0, status=ZERO, ready=True, expected=True)
    ]
    assert instance.outcome is Outcome.FINISHED
    assert instance.fulfilled


def test_a_oneshot_that_fails_has_not_finished() -> None:
    instance = starting(ONESHOT)

    assert instance.exited(50.0, ended(FAILED), ending=False) == [
        moved(
            State.STARTING,
            State.EXITED,
            lasted=40.0,
            ready=True,
            status=FAILED,
            consequence=STOPPING_EVERYTHING,
        )
    ]
    assert instance.outcome is Outcome.FAILED
    assert not instance.fulfilled


def test_a_oneshot_that_was_asked_to_stop_and_ended_with_0_has_not_finished() -> None:
    instance = starting(replace(ONESHOT, max_memory=MB))
    instance.measured(20.0, 2 * MB)

    instance.exited(21.0, ended(ZERO), ending=False)

    assert instance.outcome is Outcome.FAILED


# ---- health ----


def probed(instance: Instance, *answers: Optional[str]) -> list[Effect]:
    """Let one probe after another be answered, or not answered; returns what came of the last."""
    effects: list[Effect] = []
    for answer in answers:
        assert instance.deadline is not None
        now = instance.deadline
        assert instance.tick(now) == [StartProbe(PID, Probe.HEALTH)]
        if answer is None:
            assert instance.deadline is not None
            effects = instance.tick(instance.deadline)
        else:
            effects = instance.probed(now + 1.0, answer)
    return effects


def checked(**more: Any) -> Instance:
    """Probed each 10 s from 22 on; unhealthy after two failures."""
    check = HealthCheck(**{"interval": 10.0, "timeout": 3.0, "retries": 2, **more})
    return running(replace(PLAIN, notifies=True, healthcheck=check))


def test_the_next_probe_begins_an_interval_after_the_last_has_ended() -> None:
    instance = checked()
    assert instance.deadline == 22.0

    assert probed(instance, "") == []
    assert instance.deadline == 33.0
    assert probed(instance, None) == [
        CancelProbe(PID),
        Unwell("web.1", "no answer within 3 s", 1, 2),
    ]
    assert instance.deadline == 46.0


def test_so_many_failures_in_a_row_are_unhealthy() -> None:
    instance = checked()

    assert probed(instance, "refused") == [Unwell("web.1", "refused", 1, 2)]
    assert probed(instance, "status 500") == [
        moved(
            State.RUNNING,
            State.STOPPING,
            after=24.0,
            lasted=22.0,
            reason="is unhealthy: status 500, 2 times in a row",
        ),
        Kill(PID, Signals.SIGTERM),
    ]


def test_no_answer_can_be_the_last_failure() -> None:
    effects = probed(checked(), "refused", None)

    assert effects == [
        CancelProbe(PID),
        moved(
            State.RUNNING,
            State.STOPPING,
            after=26.0,
            lasted=24.0,
            reason="is unhealthy: no answer within 3 s, 2 times in a row",
        ),
        Kill(PID, Signals.SIGTERM),
    ]


def test_where_one_failure_is_enough_it_is_not_counted() -> None:
    stop, _ = probed(checked(retries=1), "refused")

    assert isinstance(stop, StateChanged)
    assert stop.reason == "is unhealthy: refused"


def test_a_success_between_failures_forgives_them() -> None:
    instance = checked()

    assert probed(instance, "refused", "", "refused") == [Unwell("web.1", "refused", 1, 2)]


def test_failures_do_not_count_soon_after_the_start() -> None:
    instance = checked(start_period=30.0)  # from 10 to 40; the answers come at 23, 34 and 45

    assert probed(instance, "refused") == []
    assert probed(instance, "refused") == []
    assert probed(instance, "refused") == [Unwell("web.1", "refused", 1, 2)]


def test_once_it_was_healthy_failures_count_even_soon_after_the_start() -> None:
    instance = checked(start_period=1000.0)

    assert probed(instance, "refused", "", "refused") == [Unwell("web.1", "refused", 1, 2)]


def test_an_answer_that_comes_too_late_means_nothing() -> None:
    instance = checked()
    probed(instance, None)

    assert instance.probed(36.5, "refused") == []
    assert instance.deadline == 35.0


def test_a_failed_health_check_of_one_life_does_not_count_in_the_next() -> None:
    check = HealthCheck(interval=10.0, timeout=3.0, retries=2)
    instance = running(
        replace(PLAIN, notifies=True, healthcheck=check, restart=Restart.ALWAYS, backoff_initial=0)
    )
    probed(instance, "refused")
    instance.exited(24.0, ended(FAILED), ending=False)
    instance.group_gone(24.0)
    instance.spawned(24.0, PID)
    instance.ready(24.0)

    assert probed(instance, "refused") == [Unwell("web.1", "refused", 1, 2)]


# ---- watchdog ----


def watched() -> Instance:
    return running(replace(PLAIN, notifies=True, watchdog=30.0))


def test_silence_is_unhealthy() -> None:
    instance = watched()

    assert instance.deadline == 42.0
    assert instance.tick(42.0) == [
        moved(
            State.RUNNING,
            State.STOPPING,
            after=32.0,
            lasted=30.0,
            reason="is unhealthy: no WATCHDOG=1 for 30 s",
        ),
        Kill(PID, Signals.SIGTERM),
    ]


def test_each_ping_gives_it_as_long_again() -> None:
    instance = watched()

    assert instance.notified(40.0, Notified(PID, watchdog=Watchdog.PING)) == []
    assert instance.deadline == 70.0


def test_silence_before_it_is_ready_and_while_it_stops_means_nothing() -> None:
    spec = replace(PLAIN, notifies=True, watchdog=0.5, ready_timeout=60.0)

    assert starting(spec).deadline == 70.0
    assert stopping(spec).deadline == 21.0
    instance = stopping(spec)
    instance.notified(20.0, Notified(PID, watchdog=Watchdog.PING))
    assert instance.tick(20.9) == []


def test_a_ping_where_nobody_waits_for_one_means_nothing() -> None:
    instance = running(replace(PLAIN, notifies=True))

    assert instance.notified(20.0, Notified(PID, watchdog=Watchdog.PING)) == []
    assert instance.deadline is None


def test_one_message_may_say_several_things() -> None:
    instance = starting(replace(PLAIN, notifies=True, watchdog=30.0))

    assert instance.notified(
        15.0, Notified(PID, ready=True, status="serving", watchdog=Watchdog.TRIGGER)
    ) == [
        StatusTold("web.1", "serving"),
        moved(State.STARTING, State.RUNNING, after=5.0, lasted=5.0),
        moved(State.RUNNING, State.STOPPING, after=5.0, lasted=0.0, reason=TRIGGERED),
        Kill(PID, Signals.SIGTERM),
    ]


# ---- memory ----


def test_memory_is_looked_at_every_ten_seconds_from_the_start_on() -> None:
    instance = starting(replace(PLAIN, notifies=True, max_memory=MB))
    looked: list[Effect] = [Measure(PID)]

    assert instance.deadline == 20.0
    assert instance.tick(20.0) == looked
    instance.ready(25.0)
    assert instance.deadline == 30.0
    assert instance.tick(30.0) == looked
    instance.stop(35.0)
    assert instance.tick(60.0) != looked


def test_without_a_limit_memory_costs_nothing() -> None:
    assert running(replace(PLAIN, notifies=True)).deadline is None


@pytest.mark.parametrize(("memory", "too_much"), [(500 * MB, False), (500 * MB + 1, True)])
def test_the_limit_itself_is_allowed(memory: int, too_much: bool) -> None:
    assert bool(running().measured(20.0, memory)) == too_much


def test_what_was_seen_last_is_told_with_the_end() -> None:
    instance = running()
    instance.measured(20.0, 400 * MB)

    assert instance.exited(50.0, ended(ExitStatus(signal=9), out_of_memory=True), ending=True) == [
        moved(
            State.RUNNING,
            State.EXITED,
            lasted=38.0,
            status=ExitStatus(signal=9),
            memory=400 * MB,
            out_of_memory=True,
        )
    ]


# ---- what it said about its end ----


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([Notified(PID, stopping=True)], "STOPPING=1"),
        ([Notified(PID, error="No such file or directory")], "No such file or directory"),
        ([Notified(PID, error="Oops"), Notified(PID, stopping=True)], "Oops"),
        ([Notified(PID, error="Oops"), Notified(PID, error="Ouch")], "Ouch"),
        ([Notified(PID, status="busy")], ""),
    ],
    ids=str,
)
def test_what_it_said_about_its_end_is_told_with_it(said: list[Notified], reason: str) -> None:
    instance = running()
    for message in said:
        instance.notified(20.0, message)

    (end,) = instance.exited(50.0, ended(FAILED), ending=True)

    assert isinstance(end, StateChanged)
    assert end.reason == reason


# ---- stopping ----


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExitStatus(code=0), True),
        (ExitStatus(signal=Signals.SIGINT), True),  # its stop signal
        (ExitStatus(code=3), True),  # declared as success
        (ExitStatus(code=1), False),
        (ExitStatus(code=Signals.SIGINT), False),
        (ExitStatus(signal=Signals.SIGTERM), False),
        (ExitStatus(signal=Signals.SIGKILL), False),
        (ExitStatus(signal=3), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("state", [starting, running, stopping, killing])
def test_only_who_was_asked_to_stop_ends_as_expected(
    state: Callable[[], Instance], status: ExitStatus, expected: bool
) -> None:
    (changed,) = state().exited(50.0, ended(status), ending=True)

    assert isinstance(changed, StateChanged)
    assert changed.expected == (expected and state is stopping)


def test_the_stop_signal_of_a_shell_goes_to_its_group() -> None:
    instance = running(replace(PLAIN, stop_group=True))

    _, kill = instance.stop(20.0)

    assert kill == Kill(PID, Signals.SIGTERM, group=True)


@pytest.mark.parametrize(
    ("timeout", "text"), [(25.0, "25 s"), (0.5, "0.5 s"), (90.0, "90 s"), (7200.0, "7200 s")]
)
def test_the_stop_timeout_is_named_as_it_was_set(timeout: float, text: str) -> None:
    instance = stopping(replace(PLAIN, stop_timeout=timeout))

    changed, _ = instance.tick(20.0 + timeout)

    assert isinstance(changed, StateChanged)
    assert changed.reason == f"did not stop within {text}"


def test_a_slow_stop_goes_step_by_step() -> None:
    instance = stopping(replace(SPEC, stop_timeout=40.0))
    moments: list[tuple[float, list[Effect]]] = []
    while instance.deadline is not None:
        now = instance.deadline
        moments.append((now, instance.tick(now)))

    assert moments == [
        (21.0, [StillRunning(("web.1",), 39.0)]),
        (40.0, [StillRunning(("web.1",), 20.0)]),
        (48.0, [LastStep("web.1", Signals.SIGQUIT), Kill(PID, Signals.SIGQUIT)]),
        (
            60.0,
            [
                moved(
                    State.STOPPING,
                    State.KILLING,
                    after=50.0,
                    lasted=40.0,
                    reason="did not stop within 40 s",
                ),
                Kill(PID, Signals.SIGKILL, group=True),
            ],
        ),
    ]
    assert instance.overdue


@pytest.mark.parametrize(
    ("timeout", "notices"),
    [(0.5, []), (1.0, []), (1.5, [21.0]), (2.0, [21.0]), (3.0, [21.0, 21.5]), (25, [21.0, 32.5])],
)
def test_a_short_stop_is_not_talked_about(timeout: float, notices: list[float]) -> None:
    instance = stopping(replace(PLAIN, stop_timeout=timeout))
    moments = []
    while instance.deadline is not None:
        now = instance.deadline
        if any(isinstance(effect, StillRunning) for effect in instance.tick(now)):
            moments.append(now)

    assert moments == notices


@pytest.mark.parametrize("late", [45.0, 45.5, 1000.0])
def test_a_loop_that_comes_late_kills_and_says_nothing_of_a_time_that_is_over(late: float) -> None:
    assert [type(effect) for effect in stopping().tick(late)] == [StateChanged, Kill]


def test_a_second_signal_does_not_make_it_overdue() -> None:
    assert not killing().overdue


def test_what_is_left_of_its_group_is_swept_each_second_until_it_is_gone() -> None:
    instance = leaving_others()
    sweep: list[Effect] = [SWEEP]

    assert instance.tick(20.9) == []
    assert instance.tick(21.0) == sweep
    assert instance.tick(21.9) == []
    assert instance.tick(22.0) == sweep
    instance.group_gone(22.5)
    assert instance.tick(23.0) == []


# ---- what is done when it has ended unasked ----

NEVER_AGAIN, ON_FAILURE, ALWAYS = Restart.NEVER, Restart.ON_FAILURE, Restart.ALWAYS
SEGV = ExitStatus(signal=11)


@pytest.mark.parametrize(
    ("restart", "status", "recycles", "again"),
    [
        (NEVER_AGAIN, ZERO, False, ""),
        (NEVER_AGAIN, FAILED, False, ""),
        (NEVER_AGAIN, ZERO, True, ""),
        (ON_FAILURE, ZERO, False, ""),
        (ON_FAILURE, ZERO, True, "restarting"),
        (ON_FAILURE, FAILED, False, "restarting in 0.50 s"),
        (ON_FAILURE, FAILED, True, "restarting in 0.50 s"),
        (ON_FAILURE, SEGV, False, "restarting in 0.50 s"),
        (ALWAYS, ZERO, False, "restarting in 0.50 s"),
        (ALWAYS, ZERO, True, "restarting"),
        (ALWAYS, FAILED, False, "restarting in 0.50 s"),
        (ALWAYS, SEGV, True, "restarting in 0.50 s"),
    ],
)
def test_the_policy(restart: Restart, status: ExitStatus, recycles: bool, again: str) -> None:
    instance = running(replace(PLAIN, notifies=True, restart=restart, recycles=recycles))

    (end,) = instance.exited(50.0, ended(status), ending=False)

    assert isinstance(end, StateChanged)
    assert end.consequence == (again or STOPPING_EVERYTHING)
    assert instance.outcome is (Outcome.OPEN if again else Outcome.FAILED)
    assert instance.restarts == (1 if again else 0)


def test_where_everything_ends_nothing_is_started_anew() -> None:
    instance = running(replace(PLAIN, notifies=True, restart=ALWAYS))

    (end,) = instance.exited(50.0, ended(FAILED), ending=True)

    assert isinstance(end, StateChanged)
    assert end.consequence == ""
    assert instance.group_gone(50.0) == []
    assert instance.over


def test_what_was_faulty_has_failed_even_if_it_stops_with_0() -> None:
    instance = running(replace(PLAIN, notifies=True, restart=ON_FAILURE, recycles=True))
    instance.notified(20.0, Notified(PID, watchdog=Watchdog.TRIGGER))

    (end,) = instance.exited(20.5, ended(ZERO), ending=False)

    assert isinstance(end, StateChanged)
    assert end.consequence == "restarting in 0.50 s"


def test_what_has_never_been_ready_is_not_recycled() -> None:
    instance = starting(replace(PLAIN, notifies=True, restart=ALWAYS, recycles=True))

    (end,) = instance.exited(11.0, ended(ZERO), ending=False)

    assert isinstance(end, StateChanged)
    assert end.consequence == "restarting in 0.50 s"


def test_recycling_is_at_once_and_counts_for_nothing() -> None:
    instance = running(replace(PLAIN, notifies=True, restart=ALWAYS, recycles=True, start_burst=2))
    for life in range(100):
        now = 20.0 + life
        (end,) = instance.exited(now, ended(ZERO), ending=False)
        assert isinstance(end, StateChanged)
        assert end.consequence == "restarting"
        # Its group has had its time: it lets no new life wait.
        assert instance.tick(now) == [SWEEP]
        assert [type(effect) for effect in instance.group_gone(now)] == [StateChanged, Spawn]
        instance.spawned(now, PID)
        instance.ready(now)

    (end,) = instance.exited(130.0, ended(FAILED), ending=False)
    assert isinstance(end, StateChanged)
    assert end.consequence == "restarting in 0.50 s"


def test_a_short_pause_shortens_the_time_that_its_group_has() -> None:
    instance = running(replace(PLAIN, notifies=True, restart=ALWAYS, backoff_initial=0.25))

    instance.exited(20.0, ended(FAILED), ending=False)

    assert instance.deadline == 20.25
    assert instance.tick(20.25) == [SWEEP]
    assert [type(effect) for effect in instance.group_gone(20.3)] == [StateChanged, Spawn]


def test_a_restart_that_is_called_off_does_not_come() -> None:
    instance = restarting()

    assert instance.call_off(20.5) == []
    assert instance.group_gone(20.75) == []
    assert instance.over


def test_a_new_life_does_not_inherit_from_the_old_one() -> None:
    instance = running(replace(SPEC, backoff_initial=0))
    instance.measured(20.0, 400 * MB)
    instance.notified(20.0, Notified(PID, error="Oops", stopping=True))
    instance.notified(20.0, Notified(PID, watchdog=Watchdog.TRIGGER))
    instance.tick(45.0)
    assert instance.overdue
    instance.exited(50.0, ended(ExitStatus(signal=9)), ending=False)
    assert not instance.overdue

    instance.group_gone(50.0)
    assert instance.pid is None
    instance.spawned(50.0, PID + 1)
    instance.ready(51.0)

    assert instance.exited(52.0, Exited(PID + 1, ZERO), ending=False) == [
        StateChanged(
            "web.1",
            State.RUNNING,
            State.EXITED,
            pid=PID + 1,
            after=2.0,
            lasted=1.0,
            restarts=1,
            status=ZERO,
            consequence=STOPPING_EVERYTHING,
        )
    ]


def test_overdue_stays_with_what_is_not_started_anew() -> None:
    instance = running(replace(SPEC, restart=NEVER_AGAIN))
    instance.notified(20.0, Notified(PID, watchdog=Watchdog.TRIGGER))
    instance.tick(45.0)
    instance.exited(45.5, ended(ExitStatus(signal=9)), ending=False)

    assert (instance.overdue, instance.outcome) == (True, Outcome.FAILED)


# ---- pauses, and the start limit ----


def lives(
    instance: Instance, count: int, *, now: float, lasting: float = 0.0, jitter: float = 0.0
) -> list[float]:
    """The pauses after so many lives, each of which lasts so long after it was ready."""
    pauses = []
    for _ in range(count):
        now += lasting
        instance.exited(now, ended(FAILED, jitter=jitter), ending=False)
        if instance.state is State.FATAL:
            break
        instance.group_gone(now)
        if instance.state is State.BACKOFF:
            assert instance.deadline is not None
            pauses.append(instance.deadline - now)
            now = instance.deadline
            instance.tick(now)
        else:
            pauses.append(0.0)
        instance.spawned(now, PID)
        instance.ready(now)
    return pauses


def crashing(**more: Any) -> Instance:
    values = {"restart": ALWAYS, "start_burst": 1000, "start_interval": 64.0, **more}
    return running(replace(PLAIN, notifies=True, **values))


@pytest.mark.parametrize(
    ("initial", "maximum", "jitter", "pauses"),
    [
        (0.5, 30.0, 0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (0.5, 30.0, 1.0, [0.375, 0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5]),
        (0.5, 30.0, 0.5, [0.4375, 0.875, 1.75, 3.5, 7.0, 14.0, 26.25, 26.25]),
        (4.0, 4.0, 0.0, [4.0, 4.0, 4.0]),
        (8.0, 4.0, 0.0, [4.0, 4.0, 4.0]),
        (0.0, 30.0, 0.0, [0.0, 0.0, 0.0]),
        (0.0, 30.0, 1.0, [0.0, 0.0, 0.0]),
        (0.5, 0.0, 0.0, [0.0, 0.0]),
    ],
)
def test_the_pause_doubles_up_to_the_longest_and_is_shortened_by_chance(
    initial: float, maximum: float, jitter: float, pauses: list[float]
) -> None:
    instance = crashing(backoff_initial=initial, backoff_max=maximum)

    assert lives(instance, len(pauses), now=16.0, jitter=jitter) == pauses


def test_the_pause_never_overflows() -> None:
    pauses = lives(crashing(start_interval=1.0), 2000, now=16.0)

    assert set(pauses[6:]) == {30.0}


@pytest.mark.parametrize(("lasting", "after"), [(63.75, 2.0), (64.0, 0.5), (1000.0, 0.5)])
def test_after_a_stable_run_the_pause_is_the_first_one_again(lasting: float, after: float) -> None:
    instance = crashing()
    assert lives(instance, 2, now=16.0) == [0.5, 1.0]

    assert lives(instance, 1, now=17.5, lasting=lasting) == [after]


def test_time_before_it_is_ready_is_no_stable_run() -> None:
    instance = starting(
        replace(PLAIN, notifies=True, restart=ALWAYS, start_interval=64.0, ready_timeout=1000.0)
    )
    instance.exited(20.0, ended(FAILED), ending=False)
    instance.group_gone(20.0)
    instance.tick(20.5)
    instance.spawned(20.5, PID)

    (end,) = instance.exited(500.0, ended(FAILED), ending=False)

    assert isinstance(end, StateChanged)
    assert end.consequence == "restarting in 1.00 s"


def test_more_starts_than_the_limit_are_fatal() -> None:
    instance = crashing(start_burst=5)

    assert lives(instance, 10, now=10.0) == [0.5, 1.0, 2.0, 4.0]
    assert instance.state is State.FATAL
    assert instance.outcome is Outcome.FAILED
    assert instance.restarts == 4


def test_starts_that_are_an_interval_ago_do_not_count() -> None:
    # Starts at 10, 20, 30 and so on: three in each 30 s, if the one 30 s ago does not count.
    instance = crashing(start_burst=3, start_interval=30.0, backoff_initial=5.0, backoff_max=5.0)

    assert len(lives(instance, 50, now=10.0, lasting=5.0)) == 50


def test_one_start_too_many_in_any_interval_is_fatal() -> None:
    instance = crashing(start_burst=3, start_interval=30.25, backoff_initial=5.0, backoff_max=5.0)

    assert len(lives(instance, 50, now=10.0, lasting=5.0)) == 2
    assert instance.state is State.FATAL


def test_a_burst_of_one_means_never_again() -> None:
    assert lives(crashing(start_burst=1), 5, now=10.0) == []
