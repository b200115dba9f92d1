"""The pump: commands reach the system, facts reach every observer, and the loop sleeps in time."""

from __future__ import annotations

from signal import SIGTERM, Signals
from typing import Optional, Union

import pytest

from django_prodserver.supervisor.commands import ProbeKind
from django_prodserver.supervisor.events import (
    Event,
    Exited,
    ExitStatus,
    GroupGone,
    Measured,
    Notified,
    Probed,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.facts import (
    AllReady,
    AllStopped,
    Ended,
    Fact,
    Killing,
    LifeState,
    Ready,
    SignalEffect,
    SignalReceived,
    State,
    StateChanged,
    Stopping,
    StoppingAll,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.pump import run
from django_prodserver.supervisor.spec import CheckSchedule, Ref, Spec

WEB, WORKER = Ref("web.1", 0, 1), Ref("worker.1", 0, 1)
ZERO, BY_SIGKILL = ExitStatus(code=0), ExitStatus(signal=9)
# No event, only the answer to a start or a deadline.
LOOK: tuple[float, list[Event]] = (0.0, [])


class Script:
    """A `System` in which each sleep ends with the next events of the script, at their time.

    The next sleep answers each start, before all other events. `seen` holds what was done to the
    system and what was observed, in order.
    """

    def __init__(self, *script: tuple[float, list[Event]], refuses: str = "") -> None:
        self.seen: list[Union[str, Fact]] = []
        self._script = list(script)
        self._now = 0.0
        self._refuses = refuses
        self._answers: list[Event] = []
        # Whether starts are answered before they are cancelled.
        self.answers = True

    def now(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    def spawn(self, ref: Ref) -> None:
        self.seen.append(f"spawn {ref.name}")
        refused = ref.name == self._refuses
        if self.answers:
            self._answers.append(SpawnFailed(ref, "no memory") if refused else Spawned(ref))

    def cancel_spawn(self, ref: Ref) -> None:
        self.seen.append(f"cancel the start of {ref.name}")
        self._answers = [SpawnFailed(ref, "cancelled")]

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        self.seen.append(f"{'killpg' if group else 'kill'} {ref.name} {signal.name}")

    def start_probe(self, ref: Ref, kind: ProbeKind) -> None:
        self.seen.append(f"probe {ref.name} {kind.name}")

    def cancel_probe(self, ref: Ref) -> None:
        self.seen.append(f"cancel {ref.name}")

    def measure(self, ref: Ref) -> None:
        self.seen.append(f"measure {ref.name}")

    def load(self, generation: int) -> None:
        self.seen.append(f"load {generation}")

    def adopt(self, generation: int) -> None:
        self.seen.append(f"adopt {generation}")

    def drop(self, generation: int) -> None:
        self.seen.append(f"drop {generation}")

    def unlisten(self, process: str) -> None:
        self.seen.append(f"unlisten {process}")

    def wait(self, timeout: Optional[float]) -> list[Event]:
        self.seen.append("sleep" if timeout is None else f"sleep {timeout:g}")
        self._now, events = self._script.pop(0)
        answers, self._answers = self._answers, []
        return answers + events


def asked(name: str) -> list[str]:
    return [f"kill {name} SIGTERM", f"killpg {name} SIGCONT"]


def test_each_command_reaches_the_system_and_each_fact_the_observer_in_order() -> None:
    system = Script(
        LOOK,
        LOOK,
        (0.5, [Notified(WEB, ready=True)]),
        (10.0, [Signalled(SIGTERM)]),
        (10.5, [Exited(WEB, ZERO), GroupGone(WEB)]),
    )

    status = run(Group([Spec("web.1", notifies=True)]), system, [system.seen.append])

    assert status == 0
    assert system.seen == [
        "sleep 0",
        "spawn web.1",
        StateChanged("web.1", State.STOPPED, State.STARTING),
        # Until the start is answered there is no deadline.
        "sleep",
        "sleep 60",
        Ready(WEB, 0.5),
        StateChanged("web.1", State.STARTING, State.RUNNING),
        AllReady(1, 0.5),
        # There is no deadline.
        "sleep",
        SignalReceived(SIGTERM, SignalEffect.STOP),
        StoppingAll(),
        Stopping(WEB),
        *asked("web.1"),
        StateChanged("web.1", State.RUNNING, State.STOPPING),
        "sleep 1",
        Ended(WEB, LifeState.STOPPING, ZERO, after=10.5, lasted=0.5, expected=True),
        StateChanged("web.1", State.STOPPING, State.EXITED),
        StateChanged("web.1", State.EXITED, State.STOPPED),
        AllStopped(0, 0.5),
    ]


def test_every_observer_gets_each_fact_before_the_next_command_runs() -> None:
    system = Script(LOOK, LOOK, (1.0, [Signalled(SIGTERM), Exited(WEB, ZERO), GroupGone(WEB)]))

    def first(fact: Fact) -> None:
        system.seen.append(f"first: {type(fact).__name__}")

    def second(fact: Fact) -> None:
        system.seen.append(f"second: {type(fact).__name__}")

    run(Group([Spec("web.1")]), system, [first, second])

    facts = ["StateChanged", "Started", "StateChanged", "AllReady"]
    assert [what for what in system.seen if what != "sleep"][:10] == [
        "sleep 0",
        "spawn web.1",
        *(f"{observer}: {fact}" for fact in facts for observer in ("first", "second")),
    ]
    stopping = system.seen.index("second: Stopping")
    assert system.seen[stopping - 1 : stopping + 3] == [
        "first: Stopping",
        "second: Stopping",
        *asked("web.1"),
    ]
    assert system.seen[-2:] == ["first: AllStopped", "second: AllStopped"]


def test_a_refused_start_stops_the_processes_started_before_it() -> None:
    system = Script(
        LOOK, LOOK, LOOK, (1.0, [Exited(WEB, ZERO), GroupGone(WEB)]), refuses="worker.1"
    )

    status = run(Group([Spec("web.1"), Spec("worker.1")]), system, [])

    assert status == 1
    assert system.seen == [
        "sleep 0",
        "spawn web.1",
        "sleep 0",
        "spawn worker.1",
        "sleep",
        *asked("web.1"),
        "sleep 1",
    ]


@pytest.mark.parametrize("happens", [Signalled(SIGTERM), Exited(WEB, ExitStatus(code=3))], ids=repr)
def test_a_signal_or_exit_during_startup_prevents_the_remaining_starts(
    happens: Event,
) -> None:
    names = [f"web.{number}" for number in range(1, 301)]
    end = [Exited(WEB, ZERO), GroupGone(WEB)]
    exits = isinstance(happens, Exited)
    system = Script(LOOK, (0.5, [happens]), (1.0, [end[1]] if exits else list(end)))

    status = run(Group([Spec(name) for name in names]), system, [])

    assert status == (3 if exits else 0)
    assert system.seen == [
        "sleep 0",
        "spawn web.1",
        "sleep 0",
        *([] if exits else asked("web.1")),
        "sleep 1",
    ]


def test_a_status_message_between_two_starts_does_not_delay_the_next_start() -> None:
    ends = [Exited(ref, ZERO) for ref in (WEB, WORKER)] + [GroupGone(ref) for ref in (WEB, WORKER)]
    system = Script(
        LOOK, (0.5, [Notified(WEB, status="busy")]), LOOK, (1.0, [Signalled(SIGTERM)]), (1.5, ends)
    )

    run(Group([Spec("web.1"), Spec("worker.1")]), system, [])

    assert system.seen[:5] == ["sleep 0", "spawn web.1", "sleep 0", "spawn worker.1", "sleep"]


def test_probes_and_measurements_reach_the_system() -> None:
    spec = Spec(
        "web.1",
        connects=True,
        check=CheckSchedule(interval=4.0, timeout=3.0, retries=1),
        max_memory=100,
    )
    system = Script(
        LOOK,
        LOOK,
        (0.25, [Probed(WEB)]),
        (4.25, []),
        (7.25, []),
        (10.0, [Exited(WEB, ZERO), GroupGone(WEB)]),
    )

    run(Group([spec]), system, [])

    assert system.seen == [
        "sleep 0",
        "spawn web.1",
        "sleep",
        "probe web.1 READY",
        "sleep 1",
        "sleep 4",
        "probe web.1 HEALTH",
        "sleep 3",
        "cancel web.1",
        *asked("web.1"),
        "sleep 1",
    ]


def test_memory_is_measured_when_due_and_stops_a_process_over_its_limit() -> None:
    system = Script(
        LOOK,
        LOOK,
        (10.0, []),
        (10.0, [Measured(WEB, 200)]),
        (11.0, [Exited(WEB, ZERO), GroupGone(WEB)]),
    )

    run(Group([Spec("web.1", max_memory=100)]), system, [])

    assert system.seen == [
        *("sleep 0", "spawn web.1", "sleep", "sleep 10", "measure web.1", "sleep 10"),
        *asked("web.1"),
        "sleep 1",
    ]


def test_a_deadline_that_passes_in_a_slow_observer_is_handled_immediately() -> None:
    system = Script(
        LOOK,
        LOOK,
        (1.0, [Signalled(SIGTERM)]),
        (26.0, []),
        (40.0, []),
        (41.0, [Exited(WEB, BY_SIGKILL), GroupGone(WEB)]),
    )

    def slow(fact: Fact) -> None:
        if isinstance(fact, Killing):
            system.pass_time(10.0)

    assert run(Group([Spec("web.1")]), system, [slow]) == 1
    assert system.seen == [
        "sleep 0",
        "spawn web.1",
        *("sleep", "sleep"),
        *asked("web.1"),
        "sleep 1",
        "killpg web.1 SIGKILL",
        # It was to be given up after 5 s, and 10 s have passed.
        "sleep 0",
    ]


def test_all_events_of_one_sleep_are_handled_before_the_next_sleep() -> None:
    system = Script(
        LOOK,
        LOOK,
        LOOK,
        (1.0, [Exited(WEB, ExitStatus(code=3)), Exited(WORKER, ZERO)]),
        (1.5, [GroupGone(WEB), GroupGone(WORKER)]),
    )

    assert run(Group([Spec("web.1"), Spec("worker.1")]), system, []) == 3
    assert system.seen == [
        "sleep 0",
        "spawn web.1",
        "sleep 0",
        "spawn worker.1",
        *("sleep", "sleep"),
        *asked("worker.1"),
        "sleep 1",
    ]


def test_a_signal_during_a_pending_start_cancels_the_start_in_the_system() -> None:
    system = Script(LOOK, (1.0, [Signalled(SIGTERM)]), LOOK)
    system.answers = False

    assert run(Group([Spec("web.1")]), system, []) == 0
    assert system.seen == ["sleep 0", "spawn web.1", "sleep", "cancel the start of web.1", "sleep"]
