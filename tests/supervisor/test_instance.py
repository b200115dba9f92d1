"""Every input in every state of an instance, and the table of moves."""

from __future__ import annotations

from signal import Signals
from typing import Any, Callable, NamedTuple, Optional, Union

import pytest

from django_prodserver.supervisor.instance import MOVES, Instance
from django_prodserver.supervisor.model import (
    Effect,
    ExitStatus,
    Kill,
    Spawn,
    Spec,
    State,
    StateChanged,
)

PID = 101
SPEC = Spec(
    "web.1",
    stop_signal=Signals.SIGINT,
    stop_timeout=25.0,
    notifies=True,
    success=frozenset({3}),
    forwards=frozenset({Signals.SIGUSR1}),
)
FAILED = ExitStatus(code=1)

# ---- the states, each reached as a supervisor would: started at 10, ready at 12, asked at 20 ----


def stopped() -> Instance:
    return Instance(SPEC)


def spawning() -> Instance:
    instance = stopped()
    instance.start(10.0)
    return instance


def starting() -> Instance:
    instance = spawning()
    instance.spawned(10.0, PID)
    return instance


def running() -> Instance:
    instance = starting()
    instance.ready(12.0)
    return instance


def stopping() -> Instance:
    instance = running()
    instance.stop(20.0)
    return instance


def killing() -> Instance:
    instance = stopping()
    instance.kill(30.0)
    return instance


def leaving_others() -> Instance:
    """Dead, while others of its process group may live."""
    instance = running()
    instance.exited(20.0, FAILED)
    return instance


def gone() -> Instance:
    instance = leaving_others()
    instance.group_gone()
    return instance


def fatal() -> Instance:
    instance = spawning()
    instance.spawn_failed(10.0, "no memory")
    return instance


STATES = (stopped, spawning, starting, running, stopping, killing, leaving_others, gone, fatal)

# ---- the inputs, all at 50, when everything with a deadline is due ----

INPUTS: dict[str, Callable[[Instance], Optional[list[Effect]]]] = {
    "start": lambda instance: instance.start(50.0),
    "spawned": lambda instance: instance.spawned(50.0, PID),
    "spawn_failed": lambda instance: instance.spawn_failed(50.0, "no memory"),
    "ready": lambda instance: instance.ready(50.0),
    "stop": lambda instance: instance.stop(50.0),
    "kill": lambda instance: instance.kill(50.0),
    "kill, with a reason": lambda instance: instance.kill(50.0, why="hung"),
    "forward, declared": lambda instance: instance.forward(Signals.SIGUSR1),
    "forward, not declared": lambda instance: instance.forward(Signals.SIGUSR2),
    "exited": lambda instance: instance.exited(50.0, FAILED, detail="so what"),
    "group_gone": lambda instance: instance.group_gone(),
    "tick, too early": lambda instance: instance.tick(20.5),
    "tick, due": lambda instance: instance.tick(50.0),
}


class Does(NamedTuple):
    effects: Optional[list[Effect]]
    state: State
    deadline: Optional[float] = None


class Illegal(NamedTuple):
    """Our bug; an assertion says so."""


class Never(NamedTuple):
    """Cannot come: the system speaks of a pid, and there is none yet."""


Outcome = Union[Does, Illegal, Never]
ILLEGAL, NEVER = Illegal(), Never()


def moved(old: State, new: State, *, lasted: float, pid: Optional[int] = PID, **why: Any) -> Effect:
    return StateChanged("web.1", old, new, pid=pid, after=40.0, lasted=lasted, **why)


def exited(old: State, *, lasted: float) -> Does:
    changed = moved(old, State.EXITED, lasted=lasted, status=FAILED, detail="so what")
    return Does([changed], State.EXITED, deadline=51.0)


def asked(old: State, *, lasted: float) -> Does:
    changed = moved(old, State.STOPPING, lasted=lasted)
    return Does([changed, Kill(PID, Signals.SIGINT)], State.STOPPING, deadline=75.0)


def killed(old: State, *, lasted: float, detail: str = "") -> Does:
    changed = moved(old, State.KILLING, lasted=lasted, detail=detail)
    return Does([changed, Kill(PID, Signals.SIGKILL, group=True)], State.KILLING)


def each(outcome: Outcome, *inputs: str) -> dict[str, Outcome]:
    return dict.fromkeys(inputs, outcome)


BIRTH = ("start", "spawned", "spawn_failed")
END = ("kill", "kill, with a reason")
FORWARD = ("forward, declared", "forward, not declared")
TICK = ("tick, too early", "tick, due")
SWEPT = Does([Kill(PID, Signals.SIGKILL, group=True)], State.EXITED, deadline=51.0)

EXPECTED: dict[str, dict[str, Outcome]] = {
    "stopped": {
        "start": Does(
            # It was in no state before: `lasted` counts from the clock's beginning.
            [
                StateChanged("web.1", State.STOPPED, State.STARTING, lasted=50.0),
                Spawn("web.1"),
            ],
            State.STARTING,
        ),
        **each(ILLEGAL, "spawned", "spawn_failed", "exited", "group_gone"),
        **each(Does([], State.STOPPED), "ready", "stop", *END, *FORWARD, *TICK),
    },
    "spawning": {
        "spawned": Does([], State.STARTING),
        "spawn_failed": Does(
            [moved(State.STARTING, State.FATAL, lasted=40.0, pid=None, detail="no memory")],
            State.FATAL,
        ),
        **each(ILLEGAL, "start", "stop", *END, "group_gone"),
        **each(NEVER, "ready", "exited"),
        **each(Does([], State.STARTING), *FORWARD, *TICK),
    },
    "starting": {
        "ready": Does([moved(State.STARTING, State.RUNNING, lasted=40.0)], State.RUNNING),
        "stop": asked(State.STARTING, lasted=40.0),
        "kill": killed(State.STARTING, lasted=40.0),
        "kill, with a reason": killed(State.STARTING, lasted=40.0, detail="hung"),
        "exited": exited(State.STARTING, lasted=40.0),
        **each(ILLEGAL, *BIRTH, "group_gone"),
        **each(Does([], State.STARTING), *FORWARD, *TICK),
    },
    "running": {
        "stop": asked(State.RUNNING, lasted=38.0),
        "kill": killed(State.RUNNING, lasted=38.0),
        "kill, with a reason": killed(State.RUNNING, lasted=38.0, detail="hung"),
        "exited": exited(State.RUNNING, lasted=38.0),
        "forward, declared": Does([Kill(PID, Signals.SIGUSR1)], State.RUNNING),
        **each(ILLEGAL, *BIRTH, "group_gone"),
        **each(Does([], State.RUNNING), "ready", "forward, not declared", *TICK),
    },
    "stopping": {
        "kill": killed(State.STOPPING, lasted=30.0),
        "kill, with a reason": killed(State.STOPPING, lasted=30.0, detail="hung"),
        "exited": exited(State.STOPPING, lasted=30.0),
        "tick, due": killed(State.STOPPING, lasted=30.0, detail="did not stop within 25 s"),
        **each(ILLEGAL, *BIRTH, "group_gone"),
        **each(
            Does([], State.STOPPING, deadline=45.0), "ready", "stop", *FORWARD, "tick, too early"
        ),
    },
    "killing": {
        "exited": exited(State.KILLING, lasted=20.0),
        **each(ILLEGAL, *BIRTH, "group_gone"),
        **each(Does([], State.KILLING), "ready", "stop", *END, *FORWARD, *TICK),
    },
    "leaving_others": {
        **each(SWEPT, *END, "tick, due"),
        "group_gone": Does(None, State.EXITED),
        **each(ILLEGAL, *BIRTH, "exited"),
        **each(Does([], State.EXITED, deadline=21.0), "ready", "stop", *FORWARD, "tick, too early"),
    },
    "gone": {
        "group_gone": Does(None, State.EXITED),
        **each(ILLEGAL, *BIRTH, "exited"),
        **each(Does([], State.EXITED), "ready", "stop", *END, *FORWARD, *TICK),
    },
    "fatal": {
        **each(ILLEGAL, *BIRTH, "exited", "group_gone"),
        **each(Does([], State.FATAL), "ready", "stop", *END, *FORWARD, *TICK),
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
        with pytest.raises(AssertionError):
            INPUTS[name](instance)
        return

    effects = INPUTS[name](instance)

    assert Does(effects, instance.state, instance.deadline) == expected


def test_every_move_of_the_table_is_made_and_no_other() -> None:
    made = set()
    for state in STATES:
        for act in INPUTS.values():
            try:
                effects = act(state()) or []
            except AssertionError:
                continue
            made |= {(e.old, e.new) for e in effects if isinstance(e, StateChanged)}

    assert made == {(old, new) for old, news in MOVES.items() for new in news}


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(State)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_over_means_that_nothing_is_alive_and_nothing_is_due(state: Callable[[], Instance]) -> None:
    assert state().over == (state in (stopped, gone, fatal))


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
    (changed,) = state().exited(50.0, status)

    assert isinstance(changed, StateChanged)
    assert changed.expected == (expected and state is stopping)


def test_what_does_not_notify_is_ready_once_it_is_spawned() -> None:
    instance = Instance(Spec("web.1"))
    instance.start(10.0)

    effects = instance.spawned(12.0, PID)

    assert effects == [
        StateChanged("web.1", State.STARTING, State.RUNNING, pid=PID, after=2.0, lasted=2.0)
    ]


def test_the_stop_signal_of_a_shell_goes_to_its_group() -> None:
    instance = Instance(Spec("web.1", stop_group=True))
    instance.start(0.0)
    instance.spawned(0.0, PID)

    _, kill = instance.stop(0.0)

    assert kill == Kill(PID, Signals.SIGTERM, group=True)


@pytest.mark.parametrize(
    ("timeout", "text"), [(25.0, "25 s"), (0.5, "0.5 s"), (90.0, "90 s"), (7200.0, "7200 s")]
)
def test_the_stop_timeout_is_named_as_it_was_set(timeout: float, text: str) -> None:
    instance = Instance(Spec("web.1", stop_timeout=timeout))
    instance.start(0.0)
    instance.spawned(0.0, PID)
    instance.stop(0.0)

    changed, _ = instance.tick(timeout)

    assert isinstance(changed, StateChanged)
    assert changed.detail == f"did not stop within {text}"


def test_it_is_killed_at_its_deadline_and_not_before() -> None:
    instance = stopping()

    assert instance.tick(44.999) == []
    assert instance.tick(45.0) != []


def test_what_is_left_of_its_group_is_swept_each_second_until_it_is_gone() -> None:
    instance = leaving_others()
    sweep: list[Effect] = [Kill(PID, Signals.SIGKILL, group=True)]

    assert instance.tick(20.9) == []
    assert instance.tick(21.0) == sweep
    assert instance.tick(21.9) == []
    assert instance.tick(22.0) == sweep
    instance.group_gone()
    assert instance.tick(23.0) == []
