"""The slot of an instance: every input in every state, restarts, updates, and visible states."""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2
from typing import Any, Callable, NamedTuple, Optional, Union

import pytest

from django_prodserver.supervisor import restarts
from django_prodserver.supervisor.commands import (
    CancelProbe,
    CancelSpawn,
    Kill,
    Measure,
    ProbeKind,
    Spawn,
    StartProbe,
)
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GroupGone,
    LifeEvent,
    Measured,
    Notified,
    Probed,
    Spawned,
    SpawnFailed,
    WatchdogMessage,
)
from django_prodserver.supervisor.facts import (
    CheckFailed,
    Consequence,
    Ended,
    Fault,
    Killing,
    LifeState,
    Lost,
    NoAnswer,
    NotReady,
    Output,
    Ready,
    Restart,
    Retired,
    Started,
    StartLimitReached,
    StartRefused,
    State,
    StateChanged,
    StatusReported,
    StopEverything,
    Stopping,
    TooMuchMemory,
    Updated,
    WaitingToFinish,
    WatchdogTriggered,
)
from django_prodserver.supervisor.instance import Instance
from django_prodserver.supervisor.spec import CheckSchedule, Goal, Ref, RestartPolicy, Spec
from django_prodserver.supervisor.values import replace

from .tables import ILLEGAL, NEVER, Illegal, Never, possible
from .words import asks

MB = 1_000_000
REF, NEXT, THIRD = Ref("web.1", 0, 1), Ref("web.1", 0, 2), Ref("web.1", 0, 3)
SPEC = Spec(
    "web.1",
    after=frozenset({"db.1"}),
    stop_signal=SIGINT,
    stop_timeout=25.0,
    escalation_signal=SIGQUIT,
    notifies=True,
    success_exit_statuses=frozenset({3}),
    forwards=frozenset({SIGUSR1}),
    restart=RestartPolicy.ON_FAILURE,
    backoff_initial=4.0,
    check=CheckSchedule(interval=10.0, timeout=3.0, retries=2),
    max_memory=500 * MB,
)
PLAIN = Spec("web.1")
# It reports its readiness, and has no other deadline.
NOTIFIES = replace(PLAIN, notifies=True)
FAILED, ZERO, KILLED = ExitStatus(code=1), ExitStatus(code=0), ExitStatus(signal=SIGKILL)
NEVER_AGAIN, ON_FAILURE, ALWAYS = (
    RestartPolicy.NEVER,
    RestartPolicy.ON_FAILURE,
    RestartPolicy.ALWAYS,
)


def ready(ref: Ref = REF) -> Notified:
    return Notified(ref, ready=True)


def trigger(ref: Ref = REF) -> Notified:
    """The life reports that something is wrong with it."""
    return Notified(ref, watchdog=WatchdogMessage.TRIGGER)


def exited(status: ExitStatus, ref: Ref = REF, **more: Any) -> Exited:
    return Exited(ref, status, **more)


def seen(old: State, new: State) -> StateChanged:
    return StateChanged("web.1", old, new)


def take(instance: Instance, now: float, *events: LifeEvent) -> list[Output]:
    """Take one event after another; returns the outputs of the last one."""
    outputs: list[Output] = []
    for event in events:
        outputs = instance.take(now, event) + begin_due(instance, now)
    return outputs


def tick(instance: Instance, now: float) -> list[Output]:
    return instance.tick(now) + begin_due(instance, now)


def start(instance: Instance, now: float) -> list[Output]:
    instance.start(now)
    return begin_due(instance, now)


def begin_due(instance: Instance, now: float) -> list[Output]:
    """Begin the start that is due, as the group does."""
    return instance.begin(now) if instance.due(now) else []


# ---- the states, reached as by a supervisor: started at 10, ready at 12, stopped at 20 ----


def stopped() -> Instance:
    return Instance(SPEC)


def waiting() -> Instance:
    instance = stopped()
    instance.wait(5.0)
    return instance


def called_off() -> Instance:
    instance = waiting()
    instance.want(10.0, Goal.DOWN)
    return instance


def spawning(spec: Spec = SPEC) -> Instance:
    instance = Instance(spec)
    instance.start(10.0)
    instance.begin(10.0)
    return instance


def cancelling(spec: Spec = SPEC) -> Instance:
    """Its goal is down, and its start is not answered yet."""
    instance = spawning(spec)
    instance.want(20.0, Goal.DOWN)
    return instance


def wanted_again() -> Instance:
    """Its start was cancelled, but now it is to be started after all."""
    instance = cancelling()
    instance.want(25.0, Goal.UP)
    return instance


def discarding() -> Instance:
    instance = cancelling()
    instance.kill(30.0)
    return instance


def starting(spec: Spec = SPEC) -> Instance:
    instance = spawning(spec)
    take(instance, 10.0, Spawned(REF))
    return instance


def running(spec: Spec = SPEC) -> Instance:
    instance = starting(spec)
    take(instance, 12.0, ready())
    return instance


def probing() -> Instance:
    """A check has begun; it has three seconds."""
    instance = running()
    instance.tick(22.0)
    return instance


def last_chance() -> Instance:
    """Its next start would exceed the start limit."""
    return running(replace(SPEC, start_burst=1))


def unwanted() -> Instance:
    """Its goal is down, but others have to stop before it."""
    instance = running()
    instance.want(15.0, Goal.DOWN)
    return instance


def stopping(spec: Spec = SPEC) -> Instance:
    """Asked to stop; another life will follow."""
    instance = running(spec)
    instance.stop(20.0)
    return instance


def stopping_for_good() -> Instance:
    instance = unwanted()
    instance.stop(20.0)
    return instance


def faulty(spec: Spec = SPEC) -> Instance:
    """Asked to stop because something is wrong with it."""
    instance = running(spec)
    take(instance, 20.0, trigger())
    return instance


def killing() -> Instance:
    instance = stopping()
    instance.kill(30.0)
    return instance


def killing_for_good() -> Instance:
    instance = stopping_for_good()
    instance.kill(30.0)
    return instance


def overdue(spec: Spec = SPEC) -> Instance:
    """Something was wrong with it, and it did not stop in time."""
    instance = faulty(spec)
    instance.tick(45.0)
    return instance


def leaving_others() -> Instance:
    """Its goal is down and its leader is dead, but others of its process group may live."""
    instance = unwanted()
    take(instance, 20.0, exited(FAILED))
    return instance


def gone() -> Instance:
    instance = leaving_others()
    take(instance, 20.5, GroupGone(REF))
    return instance


def stopped_for_good() -> Instance:
    instance = stopping_for_good()
    take(instance, 20.5, exited(ZERO), GroupGone(REF))
    return instance


def restarting() -> Instance:
    """Dead; it will be restarted at 24."""
    instance = running()
    take(instance, 20.0, exited(FAILED))
    return instance


def backing_off() -> Instance:
    instance = restarting()
    take(instance, 20.0, GroupGone(REF))
    return instance


def refused(spec: Spec = SPEC) -> Instance:
    """The operating system refused to start it; the next attempt is at 14."""
    instance = spawning(spec)
    take(instance, 10.0, SpawnFailed(REF, "no memory"))
    return instance


def refused_for_good() -> Instance:
    return refused(replace(SPEC, restart=NEVER_AGAIN))


def given_up() -> Instance:
    instance = last_chance()
    take(instance, 20.0, exited(FAILED))
    return instance


def lost() -> Instance:
    """Its goal is down, and it survived SIGKILL."""
    instance = killing_for_good()
    instance.tick(35.0)
    return instance


STATES: tuple[Callable[[], Instance], ...] = (
    *(stopped, waiting, called_off, spawning, starting, running, probing, last_chance),
    *(unwanted, stopping, stopping_for_good, faulty, killing, killing_for_good, overdue),
    *(leaving_others, gone, stopped_for_good, restarting, backing_off, refused, given_up, lost),
    *(refused_for_good, cancelling, wanted_again, discarding),
)

# ---- the inputs, nearly all at 50, when every deadline has passed ----


def next_at(instance: Instance) -> Optional[float]:
    """The next deadline."""
    moments = (instance.task_at, instance.start_at)
    return min((moment for moment in moments if moment is not None), default=None)


def tick_too_early(instance: Instance) -> list[Output]:
    due = next_at(instance)
    return instance.tick(50.0 if due is None else due - 0.01)


def event(event: LifeEvent, now: float = 50.0) -> Callable[[Instance], list[Output]]:
    return lambda instance: instance.take(now, event)


INPUTS: dict[str, Callable[[Instance], list[Output]]] = {
    "wait": lambda instance: instance.wait(50.0),
    "start": lambda instance: instance.start(50.0) or [],
    "begin": lambda instance: instance.begin(50.0),
    "want it up": lambda instance: instance.want(50.0, Goal.UP),
    "want it down": lambda instance: instance.want(50.0, Goal.DOWN),
    "replace": lambda instance: instance.replace(50.0),
    "stop": lambda instance: instance.stop(50.0),
    "kill": lambda instance: instance.kill(50.0),
    "let_finish": lambda instance: instance.let_finish(50.0),
    "forward, declared": lambda instance: instance.forward(SIGUSR1),
    "forward, not declared": lambda instance: instance.forward(SIGUSR2),
    "spawned": event(Spawned(REF)),
    "spawn failed": event(SpawnFailed(REF, "no memory")),
    "says its status": event(Notified(REF, status="busy")),
    "says READY=1": event(ready()),
    "asks for time": event(Notified(REF, extend_timeout=90.0)),
    "WATCHDOG=trigger": event(trigger()),
    "probed, well": event(Probed(REF)),
    "probed, not well": event(Probed(REF, "refused")),
    "measured, little": event(Measured(REF, 400 * MB)),
    "measured, too much": event(Measured(REF, 600 * MB)),
    "failed": event(exited(FAILED)),
    "ended with 0": event(exited(ZERO)),
    "group gone, at once": event(GroupGone(REF), 20.0),
    "group gone": event(GroupGone(REF)),
    "tick, too early": tick_too_early,
    "tick, due": lambda instance: instance.tick(50.0),
}


class Does(NamedTuple):
    outputs: Sequence[Output]
    state: State
    deadline: Optional[float] = None


Result = Union[Does, Illegal, Never]

BIRTH = ("spawned", "spawn failed")
SAYS = ("says READY=1", "asks for time", "WATCHDOG=trigger")
PROBED = ("probed, well", "probed, not well")
MEASURED = ("measured, little", "measured, too much")
FORWARD = ("forward, declared", "forward, not declared")
EXIT = ("failed", "ended with 0")
GONE = ("group gone, at once", "group gone")
TICK = ("tick, too early", "tick, due")
WANT = ("want it up", "want it down")
# Events that may still come from an earlier life.
OF_A_LIFE = (*BIRTH, "says its status", *SAYS, *PROBED, *MEASURED, *EXIT, *GONE)

BUSY = StatusReported(REF, "busy")
SWEEP = Kill(REF, SIGKILL, group=True)
TOO_MUCH = TooMuchMemory(600 * MB, 500 * MB)
NOW: Consequence = Restart(0.0)
PAUSE: Consequence = Restart(4.0)
END: Consequence = StopEverything()


def each(result: Result, *inputs: str) -> dict[str, Result]:
    return dict.fromkeys(inputs, result)


def remains(state: State, deadline: Optional[float], *inputs: str) -> dict[str, Result]:
    """Inputs that have no effect in this state."""
    return each(Does([], state, deadline), *inputs)


def turns(old: State, new: State, deadline: Optional[float] = None) -> Does:
    """Only the state that users see changes."""
    return Does([seen(old, new)], new, deadline)


def end(
    old: LifeState,
    lasted: float,
    status: ExitStatus,
    consequence: Optional[Consequence] = None,
    **more: Any,
) -> Ended:
    more = {"after": 40.0, **more}
    return Ended(REF, old, status, lasted=lasted, consequence=consequence, **more)


def buried(
    old: LifeState,
    lasted: float,
    status: ExitStatus,
    consequence: Optional[Consequence] = None,
    **more: Any,
) -> Does:
    """Its leader has ended, and its process group is swept a second later."""
    outputs = [
        end(old, lasted, status, consequence, **more),
        seen(State[old.name], State.EXITED),
    ]
    return Does(outputs, State.EXITED, 51.0)


def begun(old: State, ref: Ref = REF) -> Does:
    return Does([Spawn(ref), seen(old, State.STARTING)], State.STARTING)


def asked(old: State, *before: Output, fault: Optional[Fault] = None) -> Does:
    stop = [*before, Stopping(REF, fault), *asks(REF, SIGINT), seen(old, State.STOPPING)]
    # The slow stop is reported after a second.
    return Does(stop, State.STOPPING, 51.0)


def killed(old: State, *before: Output, overran: Optional[float] = None) -> Does:
    kill = [*before, Killing(REF, overran), SWEEP, seen(old, State.KILLING)]
    return Does(kill, State.KILLING, 55.0)


def at_rest(state: State, deadline: Optional[float] = None) -> dict[str, Result]:
    """It has no life; events of an earlier one have no effect."""
    return {
        **remains(state, deadline, "stop", "kill", "let_finish", *FORWARD, *TICK, *OF_A_LIFE),
        **remains(state, deadline, *WANT),
        **each(ILLEGAL, "replace", "start", "begin"),
        "wait": NEVER,
    }


def unanswered() -> dict[str, Result]:
    """Its start is not answered yet."""
    return {
        **remains(State.STARTING, None, *WANT, "stop", "kill", "let_finish", *FORWARD, *TICK),
        **each(ILLEGAL, "start", "begin", "replace", *EXIT, *GONE),
        **each(NEVER, "wait", "says its status", *SAYS, *PROBED, *MEASURED),
    }


def working(state: LifeState, lasted: float, *before: Output) -> dict[str, Result]:
    """Inputs that mean the same from the spawn until it is asked to stop."""
    old = State[state.name]
    return {
        **each(asked(old, *before), "stop", "replace"),
        "kill": killed(old, *before),
        "measured, too much": asked(old, *before, fault=TOO_MUCH),
        "want it down": Does([*before], old),
        "failed": buried(state, lasted, FAILED, PAUSE),
        "ended with 0": buried(state, lasted, ZERO, END),
        **each(ILLEGAL, "start", "begin", *BIRTH, *GONE),
        "wait": NEVER,
    }


def at_work(deadline: float, *before: Output) -> dict[str, Result]:
    """It is ready."""
    return {
        **working(LifeState.RUNNING, 38.0, *before),
        "WATCHDOG=trigger": asked(State.RUNNING, *before, fault=WatchdogTriggered()),
        "says its status": Does([BUSY], State.RUNNING, deadline),
        "forward, declared": Does([Kill(REF, SIGUSR1)], State.RUNNING, deadline),
        **remains(State.RUNNING, deadline, "says READY=1", "asks for time", "want it up"),
        **remains(State.RUNNING, deadline, "let_finish", "measured, little"),
        **remains(State.RUNNING, deadline, "forward, not declared", "tick, too early"),
    }


MEASURE_AND_CHECK = Does([StartProbe(REF, ProbeKind.HEALTH), Measure(REF)], State.RUNNING, 53.0)


def on_its_way_out(state: State, deadline: float) -> dict[str, Result]:
    """Inputs that have no effect once it is asked to stop."""
    return {
        "says its status": Does([BUSY], state, deadline),
        **remains(state, deadline, *SAYS, *PROBED, *MEASURED, *WANT, "stop", "let_finish"),
        **remains(state, deadline, *FORWARD, "tick, too early"),
        **each(ILLEGAL, "start", "begin", "replace", *BIRTH),
        "wait": NEVER,
    }


def asked_to_stop(
    failed: Optional[Consequence], ended_with_0: Optional[Consequence]
) -> dict[str, Result]:
    return {
        **on_its_way_out(State.STOPPING, 21.0),
        "kill": killed(State.STOPPING),
        # The loop was late.
        "tick, due": killed(State.STOPPING, overran=25.0),
        "failed": buried(LifeState.STOPPING, 30.0, FAILED, failed),
        "ended with 0": buried(LifeState.STOPPING, 30.0, ZERO, ended_with_0, expected=True),
        **each(ILLEGAL, *GONE),
    }


def being_killed(
    since: float, failed: Optional[Consequence], ended_with_0: Optional[Consequence], given_up: Does
) -> dict[str, Result]:
    return {
        **on_its_way_out(State.KILLING, since + 5.0),
        "kill": Does([], State.KILLING, since + 5.0),
        "tick, due": given_up,
        "failed": buried(LifeState.KILLING, 50.0 - since, FAILED, failed),
        "ended with 0": buried(LifeState.KILLING, 50.0 - since, ZERO, ended_with_0),
        **each(ILLEGAL, *GONE),
    }


def dead(state: State) -> dict[str, Result]:
    """Its leader has ended, and its process group has not been swept yet."""
    return {
        **on_its_way_out(state, 21.0),
        **each(Does([SWEEP], state, 51.0), "kill", "tick, due"),
        **each(ILLEGAL, *EXIT),
    }


EXPECTED: dict[str, dict[str, Result]] = {
    "stopped": {
        **at_rest(State.STOPPED),
        "wait": turns(State.STOPPED, State.WAITING),
        # It begins in its own turn of the loop.
        "start": Does([], State.STOPPED, 50.0),
        "want it up": turns(State.STOPPED, State.WAITING),
    },
    "waiting": {
        **at_rest(State.WAITING),
        "start": Does([], State.WAITING, 50.0),
        "want it down": turns(State.WAITING, State.STOPPED),
    },
    "called_off": {
        **at_rest(State.STOPPED),
        "want it up": turns(State.STOPPED, State.WAITING),
    },
    "spawning": {
        "spawned": Does([], State.STARTING, 60.0),
        "spawn failed": Does(
            [StartRefused("web.1", "no memory", PAUSE), seen(State.STARTING, State.BACKOFF)],
            State.BACKOFF,
            54.0,
        ),
        **unanswered(),
        **each(Does([CancelSpawn(REF)], State.STARTING), "want it down", "stop", "kill"),
    },
    # It is cancelled only once.
    "cancelling": {
        **unanswered(),
        "spawned": asked(State.STARTING),
        "spawn failed": turns(State.STARTING, State.STOPPED),
    },
    "wanted_again": {
        **unanswered(),
        # Another life follows this one.
        "spawned": asked(State.STARTING),
        "spawn failed": turns(State.STARTING, State.WAITING),
    },
    "discarding": {
        **unanswered(),
        "spawned": killed(State.STARTING),
        "spawn failed": turns(State.STARTING, State.STOPPED),
    },
    "starting": {
        **working(LifeState.STARTING, 40.0),
        # Memory was due at 20; the first check comes one interval after it is ready.
        "says READY=1": Does(
            [Ready(REF, 40.0), seen(State.STARTING, State.RUNNING)], State.RUNNING, 20.0
        ),
        "says its status": Does([BUSY], State.STARTING, 20.0),
        "tick, due": Does([Measure(REF)], State.STARTING, 60.0),
        **remains(State.STARTING, 20.0, "asks for time", "WATCHDOG=trigger", *PROBED),
        **remains(State.STARTING, 20.0, "want it up", "measured, little", *FORWARD),
        **remains(State.STARTING, 20.0, "tick, too early"),
        # Only a oneshot may finish.
        "let_finish": NEVER,
    },
    "running": {
        **at_work(20.0),
        "tick, due": MEASURE_AND_CHECK,
        **remains(State.RUNNING, 20.0, *PROBED),
    },
    "probing": {
        # A stop cancels the running probe.
        **at_work(25.0, CancelProbe(REF)),
        "probed, well": Does([], State.RUNNING, 32.0),
        "probed, not well": Does([CheckFailed(REF, "refused", 1, 2)], State.RUNNING, 32.0),
        "tick, due": Does(
            [CancelProbe(REF), CheckFailed(REF, NoAnswer(3.0), 1, 2), Measure(REF)],
            State.RUNNING,
            60.0,
        ),
    },
    "last_chance": {
        **at_work(20.0),
        "failed": Does(
            [
                end(LifeState.RUNNING, 38.0, FAILED),
                StartLimitReached("web.1", 1, 60.0, END),
                seen(State.RUNNING, State.FATAL),
            ],
            State.FATAL,
            51.0,
        ),
        "tick, due": MEASURE_AND_CHECK,
        **remains(State.RUNNING, 20.0, *PROBED),
    },
    "unwanted": {
        **working(LifeState.RUNNING, 38.0),
        "says its status": Does([BUSY], State.RUNNING),
        "forward, declared": Does([Kill(REF, SIGUSR1)], State.RUNNING),
        # Its health no longer matters.
        **remains(State.RUNNING, None, *SAYS, *PROBED, *MEASURED, *TICK, *WANT, "let_finish"),
        **remains(State.RUNNING, None, "forward, not declared"),
        "failed": buried(LifeState.RUNNING, 38.0, FAILED),
        "ended with 0": buried(LifeState.RUNNING, 38.0, ZERO),
        # The group replaces only instances whose goal is up.
        "replace": NEVER,
    },
    "stopping": asked_to_stop(NOW, NOW),
    "stopping_for_good": asked_to_stop(None, None),
    # The fault makes it a failure, whatever its exit status.
    "faulty": asked_to_stop(PAUSE, PAUSE),
    "killing": being_killed(
        30.0,
        NOW,
        NOW,
        Does(
            [Lost(REF, 5.0, NOW), seen(State.KILLING, State.EXITED)],
            State.EXITED,
            50.0,
        ),
    ),
    "killing_for_good": being_killed(
        30.0,
        None,
        None,
        Does([Lost(REF, 5.0), seen(State.KILLING, State.STOPPED)], State.STOPPED),
    ),
    "overdue": being_killed(
        45.0,
        PAUSE,
        PAUSE,
        Does(
            [Lost(REF, 5.0, PAUSE), seen(State.KILLING, State.BACKOFF)],
            State.BACKOFF,
            54.0,
        ),
    ),
    "leaving_others": {
        **dead(State.EXITED),
        **each(Does([], State.EXITED), *GONE),
    },
    "gone": {
        **at_rest(State.EXITED),
        "want it up": turns(State.EXITED, State.WAITING),
    },
    "stopped_for_good": {
        **at_rest(State.STOPPED),
        "want it up": turns(State.STOPPED, State.WAITING),
    },
    "restarting": {
        **dead(State.EXITED),
        "group gone, at once": turns(State.EXITED, State.BACKOFF, 24.0),
        # The sweep took longer than the backoff.
        "group gone": Does([], State.EXITED, 24.0),
    },
    "backing_off": {
        **at_rest(State.BACKOFF, 24.0),
        # A request does not wait for the end of the backoff.
        "want it up": turns(State.BACKOFF, State.WAITING),
        "want it down": turns(State.BACKOFF, State.STOPPED),
        "begin": begun(State.BACKOFF, NEXT),
    },
    "refused": {
        **at_rest(State.BACKOFF, 14.0),
        "want it up": turns(State.BACKOFF, State.WAITING),
        "want it down": turns(State.BACKOFF, State.STOPPED),
        "begin": begun(State.BACKOFF, NEXT),
    },
    "refused_for_good": {
        **at_rest(State.FATAL),
        "want it up": turns(State.FATAL, State.WAITING),
    },
    "given_up": {
        **dead(State.FATAL),
        "want it up": turns(State.FATAL, State.EXITED, 21.0),
        **each(Does([], State.FATAL), *GONE),
    },
    "lost": {
        **at_rest(State.STOPPED),
        "says its status": Does([BUSY], State.STOPPED),
        # It may end after all; its state stays the same.
        **remains(State.STOPPED, None, *EXIT),
        **each(Does([Retired(REF)], State.STOPPED), *GONE),
        **each(ILLEGAL, *BIRTH),
        "want it up": turns(State.STOPPED, State.WAITING),
    },
}


def test_the_expectations_cover_every_input_in_every_state() -> None:
    assert {state: set(row) for state, row in EXPECTED.items()} == {
        state.__name__: set(INPUTS) for state in STATES
    }
    # `test_exclusion` covers instances with a lock.
    assert {state().state for state in STATES} == {*State} - {State.STANDBY}


@pytest.mark.parametrize(("state", "name"), possible(STATES, EXPECTED))
def test_each_possible_input_has_the_expected_effect_in_each_state(
    state: Callable[[], Instance], name: str
) -> None:
    instance, expected = state(), EXPECTED[state.__name__][name]
    if isinstance(expected, Illegal):
        with pytest.raises(AssertionError):
            INPUTS[name](instance)
        return

    outputs = INPUTS[name](instance)

    assert Does(outputs, instance.state, next_at(instance)) == expected


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_an_instance_is_over_when_no_life_is_alive_and_no_start_is_planned(
    state: Callable[[], Instance],
) -> None:
    rest = (stopped, waiting, called_off, gone, stopped_for_good, refused_for_good, lost)

    assert state().over == (state in rest)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_only_a_ready_instance_lets_its_dependents_start(state: Callable[[], Instance]) -> None:
    assert state().fulfilled == (state in (running, probing, last_chance, unwanted))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_only_a_stopped_or_waiting_instance_whose_goal_is_up_can_be_started(
    state: Callable[[], Instance],
) -> None:
    assert state().startable == (state in (stopped, waiting))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_only_an_instance_that_failed_for_good_sets_the_exit_status(
    state: Callable[[], Instance],
) -> None:
    assert state().failure == (1 if state in (refused_for_good, given_up) else None)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_an_overdue_or_lost_life_counts_as_left_behind(state: Callable[[], Instance]) -> None:
    assert state().left_behind == (state in (overdue, lost))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_each_change_of_the_visible_state_is_reported_once(state: Callable[[], Instance]) -> None:
    instance = state()
    old, since = instance.state, instance.since

    outputs = instance.want(60.0, Goal.DOWN) + instance.kill(60.0)

    told = [output for output in outputs if isinstance(output, StateChanged)]
    assert told == ([] if instance.state is old else [seen(old, instance.state)])
    assert instance.since == (since if instance.state is old else 60.0)


def test_an_instance_records_when_its_visible_state_last_changed() -> None:
    instance = running()
    take(instance, 30.0, Notified(REF, status="busy"))
    assert instance.since == 12.0

    instance.stop(40.0)

    assert instance.since == 40.0


# ---- oneshots ----

ONESHOT = replace(PLAIN, oneshot=True)


@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("policy", RestartPolicy)
def test_a_oneshot_that_ends_with_0_has_finished(policy: RestartPolicy, goal: Goal) -> None:
    instance = starting(replace(ONESHOT, restart=policy))
    instance.want(20.0, goal)

    assert take(instance, 50.0, exited(ZERO)) == [
        end(LifeState.STARTING, 40.0, ZERO, expected=True, oneshot=True),
        seen(State.STARTING, State.EXITED),
    ]
    assert (instance.finished, instance.fulfilled, instance.failure) == (True, True, None)
    assert take(instance, 50.5, GroupGone(REF)) == []
    assert (instance.state, instance.finished) == (State.EXITED, True)


def test_a_oneshot_that_fails_has_not_finished() -> None:
    instance = starting(ONESHOT)

    assert take(instance, 50.0, exited(FAILED)) == [
        end(LifeState.STARTING, 40.0, FAILED, END, oneshot=True),
        seen(State.STARTING, State.EXITED),
    ]
    assert (instance.finished, instance.fulfilled, instance.failure) == (False, False, 1)


def test_a_oneshot_with_a_fault_that_ends_with_0_has_not_finished() -> None:
    instance = starting(replace(ONESHOT, max_memory=MB))
    take(instance, 20.0, Measured(REF, 2 * MB))

    take(instance, 21.0, exited(ZERO))

    assert (instance.finished, instance.failure) == (False, 1)


def test_a_oneshot_that_has_finished_can_be_run_again() -> None:
    instance = starting(ONESHOT)
    take(instance, 20.0, exited(ZERO), GroupGone(REF))

    assert instance.want(30.0, Goal.UP) == [seen(State.EXITED, State.STOPPED)]
    assert (instance.startable, instance.finished) == (True, False)
    assert start(instance, 30.0) == [Spawn(NEXT), seen(State.STOPPED, State.STARTING)]


def test_a_oneshot_runs_again_only_after_its_old_process_group_is_gone() -> None:
    instance = starting(ONESHOT)
    take(instance, 20.0, exited(ZERO))

    assert instance.want(20.5, Goal.UP) == []
    assert take(instance, 20.75, GroupGone(REF)) == [
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]


def test_a_oneshot_that_may_finish_is_stopped_after_its_stop_timeout() -> None:
    instance = starting(ONESHOT)
    instance.want(20.0, Goal.DOWN)

    assert instance.let_finish(20.0) == [WaitingToFinish(("web.1",), 25.0)]
    assert next_at(instance) == 45.0
    assert tick(instance, 45.0) == [
        Stopping(REF),
        *asks(REF, SIGTERM),
        seen(State.STARTING, State.STOPPING),
    ]


# ---- starts that the operating system refuses ----


@pytest.mark.parametrize("policy", [ON_FAILURE, ALWAYS])
def test_a_refused_start_counts_for_the_backoff_and_the_start_limit(policy: RestartPolicy) -> None:
    spec = replace(NOTIFIES, restart=policy, backoff_initial=1.0, start_burst=3)
    instance = spawning(spec)

    assert take(instance, 10.0, SpawnFailed(REF, "no memory", jitter=1.0)) == [
        StartRefused("web.1", "no memory", Restart(0.75)),
        seen(State.STARTING, State.BACKOFF),
    ]
    assert tick(instance, 10.75) == [Spawn(NEXT), seen(State.BACKOFF, State.STARTING)]
    # The backoff doubles, and the start limit counts the refusal.
    assert take(instance, 10.75, SpawnFailed(NEXT, "no memory"))[0] == StartRefused(
        "web.1", "no memory", Restart(2.0)
    )
    tick(instance, 12.75)
    assert take(instance, 12.75, SpawnFailed(THIRD, "no memory")) == [
        StartRefused("web.1", "no memory"),
        StartLimitReached("web.1", 3, 60.0, END),
        seen(State.STARTING, State.FATAL),
    ]
    assert (instance.failure, instance.restarts, instance.over) == (1, 2, True)


def test_a_life_becomes_ready_normally_after_a_refused_start() -> None:
    instance = refused()
    tick(instance, 14.0)

    take(instance, 14.0, Spawned(NEXT))
    assert take(instance, 15.0, ready(NEXT)) == [
        Ready(NEXT, 1.0),
        seen(State.STARTING, State.RUNNING),
    ]
    assert instance.failure is None


def test_a_refused_start_without_backoff_is_retried_in_the_next_turn() -> None:
    instance = spawning(replace(NOTIFIES, restart=ALWAYS, backoff_initial=0.0))

    assert instance.take(10.0, SpawnFailed(REF, "no memory")) == [
        StartRefused("web.1", "no memory", NOW),
        seen(State.STARTING, State.EXITED),
    ]
    assert next_at(instance) == 10.0
    assert instance.begin(10.0) == [Spawn(NEXT), seen(State.EXITED, State.STARTING)]


# ---- starts that are cancelled ----


@pytest.mark.parametrize("policy", RestartPolicy)
def test_a_cancelled_start_is_neither_a_failure_nor_retried(
    policy: RestartPolicy,
) -> None:
    instance = cancelling(replace(NOTIFIES, restart=policy))

    assert not instance.over
    assert take(instance, 50.0, SpawnFailed(REF, "cancelled")) == [
        seen(State.STARTING, State.STOPPED)
    ]
    assert (instance.over, instance.failure, instance.left_behind) == (True, None, False)
    assert (instance.restarts, instance.replacements, instance.last_end) == (0, 0, None)


def test_an_instance_wanted_again_starts_once_its_cancellation_is_confirmed() -> None:
    instance = wanted_again()
    assert not instance.startable

    take(instance, 50.0, SpawnFailed(REF, "cancelled"))

    assert instance.startable
    assert start(instance, 51.0) == [Spawn(NEXT), seen(State.WAITING, State.STARTING)]


def test_an_instance_wanted_again_gets_a_new_life_if_the_cancelled_one_spawned() -> None:
    instance = wanted_again()
    take(instance, 50.0, Spawned(REF))

    assert take(instance, 50.5, exited(ZERO)) == [
        Ended(REF, LifeState.STOPPING, ZERO, 0.5, 0.5, expected=True, consequence=NOW),
        seen(State.STOPPING, State.EXITED),
    ]
    assert take(instance, 50.75, GroupGone(REF)) == [
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]


@pytest.mark.parametrize("code", [0, 1])
def test_stopping_a_life_that_spawned_despite_cancellation_is_not_a_failure(code: int) -> None:
    instance = cancelling(NOTIFIES)
    take(instance, 50.0, Spawned(REF))

    take(instance, 51.0, exited(ExitStatus(code=code)), GroupGone(REF))

    assert (instance.state, instance.failure, instance.over) == (State.STOPPED, None, True)


def test_a_oneshot_that_is_still_spawning_is_not_allowed_to_finish() -> None:
    instance = spawning(ONESHOT)

    assert instance.want(20.0, Goal.DOWN) == [CancelSpawn(REF)]
    assert instance.let_finish(20.0) == []
    assert take(instance, 21.0, Spawned(REF)) == [
        Stopping(REF),
        *asks(REF, SIGTERM),
        seen(State.STARTING, State.STOPPING),
    ]


def test_a_finished_oneshot_is_unfinished_after_its_next_run_is_cancelled() -> None:
    instance = starting(ONESHOT)
    take(instance, 20.0, exited(ZERO), GroupGone(REF))
    instance.want(30.0, Goal.UP)
    start(instance, 30.0)
    instance.want(31.0, Goal.DOWN)

    take(instance, 32.0, SpawnFailed(NEXT, "cancelled"))

    assert (instance.state, instance.finished) == (State.STOPPED, False)


# ---- consequences of an end on its own ----

SEGV = ExitStatus(signal=11)


def consequence(outputs: Sequence[Output]) -> Optional[Consequence]:
    """The consequence of the end that is reported first."""
    first = outputs[0]
    assert isinstance(first, (Ended, Lost))
    return first.consequence


@pytest.mark.parametrize(
    ("policy", "status", "recycles", "expected"),
    [
        (NEVER_AGAIN, ZERO, False, END),
        (NEVER_AGAIN, FAILED, False, END),
        (NEVER_AGAIN, ZERO, True, END),
        (ON_FAILURE, ZERO, False, END),
        (ON_FAILURE, ZERO, True, Restart(0.0)),
        (ON_FAILURE, FAILED, False, Restart(0.5)),
        (ON_FAILURE, FAILED, True, Restart(0.5)),
        (ON_FAILURE, SEGV, False, Restart(0.5)),
        (ALWAYS, ZERO, False, Restart(0.5)),
        (ALWAYS, ZERO, True, Restart(0.0)),
        (ALWAYS, FAILED, False, Restart(0.5)),
        (ALWAYS, SEGV, True, Restart(0.5)),
    ],
)
def test_the_restart_policy_decides_what_follows_an_exit(
    policy: RestartPolicy, status: ExitStatus, recycles: bool, expected: Consequence
) -> None:
    instance = running(replace(NOTIFIES, restart=policy, recycles=recycles))

    outputs = take(instance, 50.0, exited(status))

    assert consequence(outputs) == expected
    assert instance.failure == ((status.shell or 1) if expected == END else None)
    assert instance.restarts == (0 if expected == END else 1)


@pytest.mark.parametrize("policy", RestartPolicy)
def test_an_instance_whose_goal_is_down_is_not_restarted(policy: RestartPolicy) -> None:
    instance = running(replace(NOTIFIES, restart=policy))
    instance.want(40.0, Goal.DOWN)

    assert consequence(take(instance, 50.0, exited(FAILED))) is None
    assert take(instance, 50.0, GroupGone(REF)) == []
    assert instance.over
    assert instance.failure is None


def test_a_faulty_life_has_failed_even_if_it_exits_with_0() -> None:
    instance = faulty(replace(NOTIFIES, restart=ON_FAILURE, recycles=True))

    assert consequence(take(instance, 20.5, exited(ZERO))) == Restart(0.5)


@pytest.mark.parametrize(
    ("status", "failure"), [(ZERO, 1), (FAILED, 1), (ExitStatus(code=3), 3), (SEGV, 139)], ids=str
)
def test_a_faulty_life_that_is_not_restarted_is_a_failure(status: ExitStatus, failure: int) -> None:
    instance = faulty(NOTIFIES)

    assert consequence(take(instance, 20.5, exited(status))) == END
    assert instance.failure == failure


def test_a_life_that_was_never_ready_is_not_recycled() -> None:
    instance = starting(replace(NOTIFIES, restart=ALWAYS, recycles=True))

    assert consequence(take(instance, 11.0, exited(ZERO))) == Restart(0.5)


def test_recycling_is_immediate_and_does_not_count_for_the_start_limit() -> None:
    instance = running(replace(NOTIFIES, restart=ALWAYS, recycles=True, start_burst=2))
    for number in range(1, 101):
        now, ref, following = 20.0 + number, Ref("web.1", 0, number), Ref("web.1", 0, number + 1)
        assert consequence(take(instance, now, exited(ZERO, ref))) == Restart(0.0)
        # The sweep is due at once: the old process group does not delay the new life.
        assert tick(instance, now) == [Kill(ref, SIGKILL, group=True)]
        assert take(instance, now, GroupGone(ref)) == [
            Spawn(following),
            seen(State.EXITED, State.STARTING),
        ]
        take(instance, now, Spawned(following), ready(following))

    failed = take(instance, 130.0, exited(FAILED, Ref("web.1", 0, 101)))
    assert consequence(failed) == Restart(0.5)


def test_a_recycling_process_is_started_at_most_eight_times_a_second() -> None:
    instance = running(replace(NOTIFIES, restart=ALWAYS, recycles=True))
    take(instance, 50.0, exited(ZERO))
    take(instance, 50.0, GroupGone(REF), Spawned(NEXT), ready(NEXT))

    assert consequence(take(instance, 50.0625, exited(ZERO, NEXT))) == Restart(0.0625)


def test_a_short_backoff_shortens_the_time_before_the_process_group_is_killed() -> None:
    instance = running(replace(NOTIFIES, restart=ALWAYS, backoff_initial=0.25))

    take(instance, 20.0, exited(FAILED))

    assert next_at(instance) == 20.25
    assert tick(instance, 20.25) == [SWEEP]
    assert take(instance, 20.3, GroupGone(REF)) == [
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]


def test_a_planned_restart_is_dropped_when_the_goal_becomes_down() -> None:
    instance = restarting()

    assert instance.want(20.5, Goal.DOWN) == []
    assert take(instance, 20.75, GroupGone(REF)) == []
    assert instance.over


def test_a_new_life_inherits_no_memory_error_or_fault_from_the_old_one() -> None:
    instance = running(replace(SPEC, backoff_initial=0.0))
    take(instance, 20.0, Measured(REF, 400 * MB), Notified(REF, error="Oops", stopping=True))
    take(instance, 20.0, trigger())
    tick(instance, 45.0)
    assert instance.left_behind
    take(instance, 50.0, exited(KILLED))
    assert not instance.left_behind

    take(instance, 50.0, GroupGone(REF), Spawned(NEXT))
    take(instance, 51.0, ready(NEXT))

    assert take(instance, 52.0, exited(ZERO, NEXT)) == [
        Ended(
            NEXT,
            LifeState.RUNNING,
            ZERO,
            after=2.0,
            lasted=1.0,
            restarts=1,
            consequence=END,
        ),
        seen(State.RUNNING, State.EXITED),
    ]


def test_a_failed_check_of_one_life_does_not_count_in_the_next() -> None:
    instance = running(replace(SPEC, max_memory=None, restart=ALWAYS, backoff_initial=0.0))
    tick(instance, 22.0)
    assert take(instance, 23.0, Probed(REF, "refused")) == [CheckFailed(REF, "refused", 1, 2)]
    take(instance, 24.0, exited(FAILED), GroupGone(REF), Spawned(NEXT), ready(NEXT))
    tick(instance, 34.0)

    assert take(instance, 35.0, Probed(NEXT, "refused")) == [CheckFailed(NEXT, "refused", 1, 2)]


def test_an_overdue_life_stays_left_behind_if_it_is_not_restarted() -> None:
    instance = overdue(replace(SPEC, restart=NEVER_AGAIN))
    take(instance, 45.5, exited(KILLED), GroupGone(REF))

    assert (instance.left_behind, instance.failure) == (True, 137)


def test_events_of_a_life_that_is_gone_are_ignored() -> None:
    instance = backing_off()
    tick(instance, 24.0)

    assert take(instance, 24.5, Spawned(NEXT), trigger(), exited(FAILED), ready()) == []
    assert instance.state is State.STARTING


# ---- backoff, and the start limit ----


def lives(
    instance: Instance, count: int, *, now: float, lasting: float = 0.0, jitter: float = 0.0
) -> list[float]:
    """The pauses after `count` lives, each of which ends `lasting` seconds after it was ready."""
    pauses: list[float] = []
    for _ in range(count):
        assert instance.life is not None
        now += lasting
        take(instance, now, exited(FAILED, instance.life.ref, jitter=jitter))
        if instance.state is State.FATAL:
            break
        take(instance, now, GroupGone(instance.life.ref))
        if instance.state is State.BACKOFF:
            assert next_at(instance) is not None
            pauses.append(next_at(instance) - now)
            now = next_at(instance)
            tick(instance, now)
        else:
            pauses.append(0.0)
        take(instance, now, Spawned(instance.life.ref), ready(instance.life.ref))
    return pauses


def crashing(**more: Any) -> Instance:
    values = {"restart": ALWAYS, "start_burst": 1000, "start_interval": 64.0, **more}
    return running(replace(NOTIFIES, **values))


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
def test_the_backoff_doubles_up_to_its_maximum_and_is_shortened_by_jitter(
    initial: float, maximum: float, jitter: float, pauses: list[float]
) -> None:
    instance = crashing(backoff_initial=initial, backoff_max=maximum)

    assert lives(instance, len(pauses), now=16.0, jitter=jitter) == pauses


def test_jitter_never_removes_the_whole_backoff() -> None:
    assert 0 <= restarts.JITTER < 1


def test_the_backoff_does_not_overflow_after_many_restarts() -> None:
    pauses = lives(crashing(start_interval=1.0), 2000, now=16.0)

    assert set(pauses[6:]) == {30.0}


@pytest.mark.parametrize(("lasting", "after"), [(63.75, 2.0), (64.0, 0.5), (1000.0, 0.5)])
def test_a_stable_run_resets_the_backoff(lasting: float, after: float) -> None:
    instance = crashing()
    assert lives(instance, 2, now=16.0) == [0.5, 1.0]

    assert lives(instance, 1, now=17.5, lasting=lasting) == [after]


def test_the_time_before_readiness_does_not_count_as_a_stable_run() -> None:
    instance = starting(
        replace(NOTIFIES, restart=ALWAYS, start_interval=64.0, ready_timeout=1000.0)
    )
    take(instance, 20.0, exited(FAILED), GroupGone(REF))
    tick(instance, 20.5)
    take(instance, 20.5, Spawned(NEXT))

    assert consequence(take(instance, 500.0, exited(FAILED, NEXT))) == Restart(1.0)


def test_more_starts_than_the_limit_are_fatal() -> None:
    instance = crashing(start_burst=5)

    assert lives(instance, 10, now=10.0) == [0.5, 1.0, 2.0, 4.0]
    assert (instance.state, instance.failure, instance.restarts) == (State.FATAL, 1, 4)


def test_starts_as_old_as_the_start_interval_do_not_count() -> None:
    # Starts at 10, 20, 30 and so on: three in each 30 s, because the one 30 s ago does not count.
    instance = crashing(start_burst=3, start_interval=30.0, backoff_initial=5.0, backoff_max=5.0)

    assert len(lives(instance, 50, now=10.0, lasting=5.0)) == 50


def test_one_start_too_many_within_the_start_interval_is_fatal() -> None:
    instance = crashing(start_burst=3, start_interval=30.25, backoff_initial=5.0, backoff_max=5.0)

    assert len(lives(instance, 50, now=10.0, lasting=5.0)) == 2
    assert instance.state is State.FATAL


def test_a_start_counts_from_its_spawn_and_not_from_its_planned_time() -> None:
    """A minute without an answer does not allow more starts."""
    instance = crashing(start_burst=2, start_interval=30.0)
    take(instance, 11.0, exited(FAILED), GroupGone(REF))
    instance.begin(11.5)
    take(instance, 100.0, Spawned(NEXT))
    take(instance, 101.0, exited(FAILED, NEXT), GroupGone(NEXT))
    instance.begin(102.0)
    take(instance, 125.0, Spawned(THIRD))

    outputs = instance.take(126.0, exited(FAILED, THIRD))

    assert StartLimitReached("web.1", 2, 30.0, END) in outputs


def test_an_instance_with_a_start_burst_of_1_is_never_restarted() -> None:
    assert lives(crashing(start_burst=1), 5, now=10.0) == []


def test_a_start_request_resets_the_backoff_and_the_start_limit() -> None:
    instance = crashing(start_burst=3)
    assert lives(instance, 2, now=16.0) == [0.5, 1.0]
    instance.want(18.0, Goal.DOWN)
    instance.stop(18.0)
    take(instance, 18.0, exited(ZERO, THIRD), GroupGone(THIRD))

    instance.want(19.0, Goal.UP)
    start(instance, 19.0)
    fourth = Ref("web.1", 0, 4)
    take(instance, 19.0, Spawned(fourth), ready(fourth))

    assert lives(instance, 2, now=19.0) == [0.5, 1.0]


# ---- the goal ----


def test_a_start_request_during_a_stop_starts_a_new_life_after_the_exit() -> None:
    instance = stopping_for_good()
    instance.want(21.0, Goal.UP)

    assert take(instance, 22.0, exited(ZERO)) == [
        end(LifeState.STOPPING, 2.0, ZERO, NOW, after=12.0, expected=True),
        seen(State.STOPPING, State.EXITED),
    ]
    assert take(instance, 22.5, GroupGone(REF)) == [
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]
    assert (instance.restarts, instance.replacements) == (0, 1)


def test_a_start_request_after_an_exit_waits_for_the_process_group_to_end() -> None:
    instance = stopping_for_good()
    take(instance, 22.0, exited(ZERO))
    assert instance.state is State.EXITED

    assert instance.want(22.25, Goal.UP) == []
    assert take(instance, 22.5, GroupGone(REF)) == [
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]


def test_an_instance_is_shown_as_stopped_once_its_process_group_is_gone() -> None:
    instance = stopping_for_good()

    assert take(instance, 22.0, exited(ZERO))[1:] == [seen(State.STOPPING, State.EXITED)]
    assert take(instance, 22.5, GroupGone(REF)) == [seen(State.EXITED, State.STOPPED)]


def test_an_earlier_stop_timeout_does_not_count_after_a_new_stop_request() -> None:
    instance = stopping_for_good()
    tick(instance, 45.0)
    take(instance, 45.5, exited(KILLED), GroupGone(REF))
    assert instance.left_behind

    instance.want(100.0, Goal.DOWN)

    assert not instance.left_behind


def test_a_faulty_life_follows_the_restart_policy_even_after_stop_and_start() -> None:
    instance = faulty(replace(NOTIFIES, restart=ON_FAILURE))
    instance.want(21.0, Goal.DOWN)
    instance.want(22.0, Goal.UP)

    assert consequence(take(instance, 23.0, exited(ZERO))) == Restart(0.5)


# ---- updates: stop first ----


def test_a_stop_first_update_starts_the_new_life_after_the_old_one_is_gone() -> None:
    instance = running(NOTIFIES)

    assert instance.replace(20.0) == [
        Stopping(REF),
        *asks(REF, SIGTERM),
        seen(State.RUNNING, State.STOPPING),
    ]
    assert instance.updating
    assert take(instance, 21.0, exited(ZERO)) == [
        end(LifeState.STOPPING, 1.0, ZERO, NOW, after=11.0, expected=True),
        seen(State.STOPPING, State.EXITED),
    ]
    assert take(instance, 21.0, GroupGone(REF)) == [Spawn(NEXT), seen(State.EXITED, State.STARTING)]
    assert take(instance, 21.0, Spawned(NEXT)) == []
    assert take(instance, 23.0, ready(NEXT)) == [
        Ready(NEXT, 2.0),
        Updated("web.1", replaced=True),
        seen(State.STARTING, State.RUNNING),
    ]
    assert not instance.updating
    assert (instance.restarts, instance.replacements) == (0, 1)


@pytest.mark.parametrize("status", [FAILED, KILLED, SEGV], ids=str)
@pytest.mark.parametrize("policy", RestartPolicy)
def test_an_update_starts_the_new_life_however_the_old_one_exited(
    status: ExitStatus, policy: RestartPolicy
) -> None:
    instance = running(replace(NOTIFIES, restart=policy))
    instance.replace(20.0)

    assert consequence(take(instance, 21.0, exited(status))) == NOW
    assert take(instance, 21.0, GroupGone(REF))[0] == Spawn(NEXT)


def test_an_update_does_not_count_against_the_start_limit() -> None:
    instance = running(replace(NOTIFIES, restart=ALWAYS, start_burst=2))
    for number in range(1, 50):
        old, new = Ref("web.1", 0, number), Ref("web.1", 0, number + 1)
        instance.replace(20.0)
        take(instance, 20.0, exited(ZERO, old), GroupGone(old), Spawned(new), ready(new))

    assert consequence(take(instance, 20.0, exited(FAILED, new))) == Restart(0.5)


def test_a_new_life_that_is_not_ready_in_time_has_a_fault_like_any_other() -> None:
    instance = running(NOTIFIES)
    instance.replace(20.0)
    take(instance, 20.0, exited(ZERO), GroupGone(REF), Spawned(NEXT))

    assert tick(instance, 80.0)[0] == Stopping(NEXT, NotReady(60.0))
    assert consequence(take(instance, 81.0, exited(ZERO, NEXT))) == END


def test_a_stop_during_a_stop_first_update_ends_the_update() -> None:
    instance = running(NOTIFIES)
    instance.replace(20.0)

    assert instance.want(21.0, Goal.DOWN) == [Updated("web.1", replaced=False)]
    assert instance.stop(21.0) == []
    assert consequence(take(instance, 22.0, exited(ZERO))) is None
    assert take(instance, 22.0, GroupGone(REF)) == [seen(State.EXITED, State.STOPPED)]
    assert (instance.over, instance.updating) == (True, False)


def test_an_update_of_a_oneshot_ends_when_the_new_life_finishes() -> None:
    instance = starting(ONESHOT)
    instance.replace(20.0)
    take(instance, 20.0, exited(ExitStatus(signal=15)), GroupGone(REF), Spawned(NEXT))
    assert instance.updating

    assert take(instance, 30.0, exited(ZERO, NEXT)) == [
        Ended(
            NEXT,
            LifeState.STARTING,
            ZERO,
            after=10.0,
            lasted=10.0,
            expected=True,
            oneshot=True,
        ),
        Updated("web.1", replaced=True),
        seen(State.STARTING, State.EXITED),
    ]
    assert not instance.updating


# ---- updates: start first ----

START_FIRST = replace(NOTIFIES, start_first=True)


def updating(spec: Spec = START_FIRST) -> Instance:
    """The new life was started at 20, and is not ready yet."""
    instance = running(spec)
    instance.replace(20.0)
    take(instance, 20.0, Spawned(NEXT))
    return instance


def replaced() -> Instance:
    """The new life became ready at 23, and the old one is stopping."""
    instance = updating()
    take(instance, 23.0, ready(NEXT))
    return instance


def refs(instance: Instance) -> list[tuple[Ref, LifeState]]:
    return [(life.ref, life.state) for life in instance.lives]


def test_a_start_first_update_stops_the_old_life_once_the_new_one_is_ready() -> None:
    instance = running(START_FIRST)

    assert instance.replace(20.0) == [Spawn(NEXT)]
    assert take(instance, 20.0, Spawned(NEXT)) == []
    assert instance.state is State.RUNNING
    assert take(instance, 23.0, ready(NEXT)) == [
        Ready(NEXT, 3.0),
        Updated("web.1", replaced=True),
        Stopping(REF),
        *asks(REF, SIGTERM),
    ]
    # Users see only that the instance is running.
    assert instance.state is State.RUNNING
    assert take(instance, 24.0, exited(ZERO)) == [
        end(LifeState.STOPPING, 1.0, ZERO, after=14.0, expected=True)
    ]
    assert take(instance, 24.5, GroupGone(REF)) == [Retired(REF)]
    assert refs(instance) == [(NEXT, LifeState.RUNNING)]
    assert (instance.restarts, instance.replacements, instance.failure) == (0, 1, None)


def test_a_successor_that_does_not_notify_replaces_the_old_life_at_once() -> None:
    instance = spawning(replace(PLAIN, start_first=True))
    take(instance, 10.0, Spawned(REF))
    instance.replace(20.0)

    assert take(instance, 20.0, Spawned(NEXT)) == [
        Started(NEXT),
        Updated("web.1", replaced=True),
        Stopping(REF),
        *asks(REF, SIGTERM),
    ]


def test_cancelling_the_start_of_a_successor_does_not_stop_the_old_life() -> None:
    """The old life may have to run until the processes that come after it have stopped."""
    instance = running(START_FIRST)
    instance.replace(20.0)
    assert instance.want(20.0, Goal.DOWN) == [
        CancelSpawn(NEXT),
        Updated("web.1", replaced=False),
    ]

    assert take(instance, 20.5, SpawnFailed(NEXT, "cancelled")) == []
    assert refs(instance) == [(REF, LifeState.RUNNING)]


def test_a_successor_that_starts_after_it_was_cancelled_is_stopped_alone() -> None:
    instance = running(START_FIRST)
    instance.replace(20.0)
    instance.want(20.0, Goal.DOWN)

    assert take(instance, 20.5, Spawned(NEXT)) == [Stopping(NEXT), *asks(NEXT, SIGTERM)]
    take(instance, 21.0, exited(ZERO, NEXT), GroupGone(NEXT))
    assert refs(instance) == [(REF, LifeState.RUNNING)]


def test_a_new_start_waits_for_a_cancelled_successor_after_the_old_life_ended() -> None:
    instance = running(START_FIRST)
    instance.replace(20.0)
    instance.want(20.0, Goal.DOWN)
    instance.stop(20.0)
    instance.want(20.25, Goal.UP)
    take(instance, 20.5, exited(ZERO), GroupGone(REF))
    assert (refs(instance), instance.startable) == ([(NEXT, LifeState.CANCELLING)], False)

    take(instance, 21.0, SpawnFailed(NEXT, "cancelled"))

    assert (refs(instance), instance.startable) == ([], True)


def test_a_oneshot_never_runs_twice_at_once() -> None:
    instance = spawning(Spec("web.1", oneshot=True, start_first=True))
    take(instance, 10.0, Spawned(REF))

    assert instance.replace(20.0) == [
        Stopping(REF),
        *asks(REF, SIGTERM),
        StateChanged("web.1", State.STARTING, State.STOPPING),
    ]


@pytest.mark.parametrize(
    "said",
    [
        Notified(REF, status="busy"),
        ready(),
        Notified(REF, watchdog=WatchdogMessage.PING),
        Measured(REF, 1),
        Probed(REF),
    ],
    ids=lambda said: type(said).__name__,
)
def test_events_of_the_old_life_do_not_end_an_update(said: LifeEvent) -> None:
    instance = updating()

    outputs = take(instance, 21.0, said)

    assert [output for output in outputs if not isinstance(output, StatusReported)] == []
    assert instance.updating


@pytest.mark.parametrize("policy", RestartPolicy)
@pytest.mark.parametrize("status", [ZERO, FAILED], ids=str)
def test_a_successor_that_exits_leaves_the_old_life_alone(
    policy: RestartPolicy, status: ExitStatus
) -> None:
    instance = updating(replace(START_FIRST, restart=policy))

    assert take(instance, 21.0, exited(status, NEXT)) == [
        Ended(NEXT, LifeState.STARTING, status, after=1.0, lasted=1.0),
        Updated("web.1", replaced=False),
    ]
    assert refs(instance) == [(NEXT, LifeState.SWEEPING), (REF, LifeState.RUNNING)]
    assert take(instance, 21.0, GroupGone(NEXT)) == [Retired(NEXT)]
    assert (instance.state, instance.failure, next_at(instance)) == (State.RUNNING, None, None)


def test_a_successor_that_is_refused_leaves_the_old_life_alone() -> None:
    instance = running(START_FIRST)
    instance.replace(20.0)

    assert take(instance, 20.0, SpawnFailed(NEXT, "no memory")) == [
        StartRefused("web.1", "no memory"),
        Updated("web.1", replaced=False),
    ]
    assert refs(instance) == [(REF, LifeState.RUNNING)]
    assert (instance.updating, instance.failure) == (False, None)


def test_a_successor_that_is_never_ready_is_stopped_and_the_old_life_stays() -> None:
    instance = updating()

    assert next_at(instance) == 80.0
    assert tick(instance, 80.0) == [Stopping(NEXT, NotReady(60.0)), *asks(NEXT, SIGTERM)]
    assert instance.updating
    assert take(instance, 81.0, exited(ZERO, NEXT)) == [
        Ended(NEXT, LifeState.STOPPING, ZERO, after=61.0, lasted=1.0, expected=True),
        Updated("web.1", replaced=False),
    ]
    assert instance.state is State.RUNNING


def test_a_successor_that_survives_sigkill_leaves_the_old_life_running() -> None:
    instance = updating()
    tick(instance, 80.0)
    tick(instance, 105.0)

    assert tick(instance, 110.0) == [Lost(NEXT, 5.0), Updated("web.1", replaced=False)]
    assert refs(instance) == [(NEXT, LifeState.LOST), (REF, LifeState.RUNNING)]
    assert (instance.state, instance.left_behind) == (State.RUNNING, True)


@pytest.mark.parametrize("policy", RestartPolicy)
def test_an_old_life_that_dies_during_an_update_is_replaced_by_its_successor(
    policy: RestartPolicy,
) -> None:
    instance = updating(replace(START_FIRST, restart=policy))

    assert take(instance, 21.0, exited(FAILED)) == [
        end(LifeState.RUNNING, 9.0, FAILED, after=11.0),
        seen(State.RUNNING, State.STARTING),
    ]
    assert (instance.failure, instance.next_start) == (None, None)
    assert take(instance, 21.5, GroupGone(REF)) == [Retired(REF)]
    assert take(instance, 23.0, ready(NEXT)) == [
        Ready(NEXT, 3.0),
        Updated("web.1", replaced=True),
        seen(State.STARTING, State.RUNNING),
    ]


@pytest.mark.parametrize(
    ("policy", "expected"), [(NEVER_AGAIN, END), (ON_FAILURE, Restart(0.5)), (ALWAYS, Restart(0.5))]
)
def test_the_restart_policy_applies_if_both_lives_die_during_an_update(
    policy: RestartPolicy, expected: Consequence
) -> None:
    instance = updating(replace(START_FIRST, restart=policy))
    take(instance, 21.0, exited(FAILED))

    assert consequence(take(instance, 22.0, exited(FAILED, NEXT))) == expected


def test_a_refused_successor_is_a_failure_if_the_old_life_has_died() -> None:
    instance = running(START_FIRST)
    instance.replace(20.0)
    take(instance, 20.0, exited(FAILED))

    assert take(instance, 20.0, SpawnFailed(NEXT, "no memory")) == [
        StartRefused("web.1", "no memory", END),
        seen(State.STARTING, State.FATAL),
    ]
    assert instance.failure == 1


def test_an_old_life_with_a_fault_is_stopped_while_its_successor_starts() -> None:
    instance = updating()

    assert take(instance, 21.0, trigger()) == [
        Stopping(REF, WatchdogTriggered()),
        *asks(REF, SIGTERM),
        seen(State.RUNNING, State.STOPPING),
    ]
    # It is asked to stop only once.
    assert take(instance, 23.0, ready(NEXT)) == [
        Ready(NEXT, 3.0),
        Updated("web.1", replaced=True),
        seen(State.STOPPING, State.RUNNING),
    ]
    assert take(instance, 24.0, exited(ZERO)) == [
        end(LifeState.STOPPING, 3.0, ZERO, after=14.0, expected=True)
    ]


@pytest.mark.parametrize("policy", RestartPolicy)
def test_an_old_life_lost_during_an_update_is_replaced_by_its_successor(
    policy: RestartPolicy,
) -> None:
    instance = updating(replace(START_FIRST, restart=policy))
    take(instance, 21.0, trigger())
    tick(instance, 46.0)

    assert tick(instance, 51.0) == [Lost(REF, 5.0), seen(State.KILLING, State.STARTING)]
    assert refs(instance) == [(REF, LifeState.LOST), (NEXT, LifeState.STARTING)]
    assert (instance.failure, instance.next_start) == (None, None)


def test_a_stop_during_an_update_stops_both_lives() -> None:
    instance = updating()

    assert instance.want(21.0, Goal.DOWN) == [Updated("web.1", replaced=False)]
    assert instance.stop(21.0) == [
        Stopping(REF),
        *asks(REF, SIGTERM),
        Stopping(NEXT),
        *asks(NEXT, SIGTERM),
        seen(State.RUNNING, State.STOPPING),
    ]
    assert take(instance, 22.0, exited(ZERO, NEXT)) == [
        Ended(NEXT, LifeState.STOPPING, ZERO, after=2.0, lasted=1.0, expected=True)
    ]
    assert consequence(take(instance, 22.0, exited(ZERO))) is None
    assert not instance.over
    take(instance, 22.0, GroupGone(NEXT))
    assert take(instance, 22.0, GroupGone(REF)) == [seen(State.EXITED, State.STOPPED)]
    assert instance.over


def test_a_kill_during_an_update_kills_both_lives() -> None:
    instance = updating()
    instance.want(21.0, Goal.DOWN)

    assert instance.kill(21.0) == [
        *(Killing(REF), Kill(REF, SIGKILL, group=True)),
        *(Killing(NEXT), Kill(NEXT, SIGKILL, group=True)),
        seen(State.RUNNING, State.KILLING),
    ]


def test_a_signal_is_forwarded_only_to_lives_that_are_ready() -> None:
    instance = updating(replace(START_FIRST, forwards=frozenset({SIGUSR1})))

    assert instance.forward(SIGUSR1) == [Kill(REF, SIGUSR1)]


def test_a_replaced_life_is_killed_at_its_own_deadline() -> None:
    instance = replaced()

    assert next_at(instance) == 24.0
    tick(instance, 24.0)
    tick(instance, 35.5)
    assert tick(instance, 48.0) == [Killing(REF, overran=25.0), Kill(REF, SIGKILL, group=True)]
    assert tick(instance, 53.0) == [Lost(REF, 5.0)]
    assert (instance.state, instance.left_behind, next_at(instance)) == (State.RUNNING, True, None)
    assert take(instance, 60.0, exited(KILLED), GroupGone(REF)) == [Retired(REF)]
    assert not instance.left_behind


def test_the_exit_of_a_replaced_life_restarts_nothing() -> None:
    instance = replaced()

    assert consequence(take(instance, 24.0, exited(FAILED))) is None
    assert (instance.state, instance.failure, instance.next_start) == (State.RUNNING, None, None)


# ---- lives that survive SIGKILL ----


@pytest.mark.parametrize(
    ("policy", "outputs", "failure"),
    [
        (NEVER_AGAIN, [Lost(REF, 5.0, END), seen(State.KILLING, State.EXITED)], 1),
        (ON_FAILURE, [Lost(REF, 5.0, Restart(0.5)), seen(State.KILLING, State.BACKOFF)], None),
        (ALWAYS, [Lost(REF, 5.0, Restart(0.5)), seen(State.KILLING, State.BACKOFF)], None),
    ],
)
def test_the_restart_policy_treats_a_lost_life_as_failed(
    policy: RestartPolicy, outputs: list[Output], failure: Optional[int]
) -> None:
    instance = overdue(replace(NOTIFIES, restart=policy))

    assert tick(instance, 50.0) == outputs
    assert (instance.failure, instance.left_behind) == (failure, True)


@pytest.mark.parametrize("policy", RestartPolicy)
def test_a_life_lost_during_a_stop_first_update_is_followed_by_a_new_life(
    policy: RestartPolicy,
) -> None:
    instance = running(replace(NOTIFIES, restart=policy))
    instance.replace(20.0)
    tick(instance, 45.0)

    assert tick(instance, 50.0) == [
        Lost(REF, 5.0, NOW),
        seen(State.KILLING, State.EXITED),
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]
    assert (instance.failure, instance.replacements) == (None, 1)


@pytest.mark.parametrize("policy", RestartPolicy)
def test_no_life_follows_a_lost_life_while_the_goal_is_down(policy: RestartPolicy) -> None:
    instance = running(replace(NOTIFIES, restart=policy))
    instance.want(20.0, Goal.DOWN)
    instance.stop(20.0)
    tick(instance, 45.0)

    assert tick(instance, 50.0) == [Lost(REF, 5.0), seen(State.KILLING, State.STOPPED)]
    assert (instance.over, instance.failure, next_at(instance)) == (True, None, None)


def test_a_status_message_of_a_lost_life_does_not_lose_it_again() -> None:
    assert take(lost(), 50.0, Notified(REF, status="busy")) == [BUSY]


def test_a_lost_process_group_does_not_delay_the_next_life() -> None:
    instance = restarting()
    for now in (21.0, 22.0, 23.0, 24.0, 25.0):
        assert tick(instance, now) == [SWEEP]

    assert tick(instance, 26.0) == [
        SWEEP,
        Lost(REF, 5.0),
        Spawn(NEXT),
        seen(State.EXITED, State.STARTING),
    ]


def test_a_lost_process_group_does_not_shorten_the_backoff() -> None:
    instance = running(replace(NOTIFIES, restart=ALWAYS, backoff_initial=8.0))
    take(instance, 20.0, exited(FAILED))
    for now in (21.0, 22.0, 23.0, 24.0, 25.0):
        tick(instance, now)

    assert tick(instance, 26.0) == [SWEEP, Lost(REF, 5.0), seen(State.EXITED, State.BACKOFF)]
    assert next_at(instance) == 28.0


def test_a_lost_life_is_forgotten_once_its_process_group_is_gone() -> None:
    instance = lost()
    assert refs(instance) == [(REF, LifeState.LOST)]

    assert take(instance, 60.0, exited(KILLED), GroupGone(REF)) == [Retired(REF)]
    assert (refs(instance), instance.left_behind) == ([], False)
