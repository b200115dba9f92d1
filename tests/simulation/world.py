"""A `System` with virtual time, and children with scripted behaviours instead of processes.

`wait` jumps to the next event. Times are binary fractions of a second, which floats add and
subtract exactly, so events planned for the same moment happen at the same moment.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from signal import Signals
from typing import Any, Callable, Optional, Union

from django_prodserver.supervisor import report
from django_prodserver.supervisor.commands import ProbeKind
from django_prodserver.supervisor.events import (
    Event,
    Exited,
    ExitStatus,
    GroupGone,
    Loaded,
    LoadFailed,
    LoadMeasured,
    LockBusy,
    LockLost,
    LockTaken,
    LockUsed,
    Measured,
    Notified,
    NotifyFlooded,
    OutputGone,
    OutputResumed,
    OutputStalled,
    PreloadFailed,
    Probed,
    ProbeRefused,
    ReadyLine,
    Request,
    RunPlanned,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.facts import Fact, Observer, StateChanged
from django_prodserver.supervisor.spec import Exclusion, Ref, Spec, process_of
from django_prodserver.supervisor.values import replace as changed

FIRST_PID = 101
# In seconds: how long a lost lock stays unavailable.
LOST_FOR = 6.0
# For messages that are written before there is a life to send them.
NOBODY = Ref("", 0, 0)


@dataclass(frozen=True)
class Member:
    """A process in the process group of a life; seconds count from the spawn."""

    ends_after: Optional[float] = None
    heeds_stop_signal: bool = False
    # SIGKILL has no effect: it runs as another user, or never returns from a system call.
    unkillable: bool = False
    # Stopped by SIGSTOP, until SIGCONT.
    stopped: bool = False


@dataclass(frozen=True)
class Behaviour:
    """What one life of an instance does; None means never.

    Seconds count from the moment when the life exists, or from its stop signal.
    """

    # Seconds from the request to start it; without a template, from when there is one again.
    exists_after: Optional[float] = 0.0
    # It already exists when its start is cancelled, so it starts after all.
    cancelled_too_late: bool = False
    cannot_start: str = ""
    # When it sends READY=1, and its other messages.
    ready_after: Optional[float] = None
    says: tuple[tuple[float, Notified], ...] = ()
    # When other processes fill its notify socket.
    flooded_at: tuple[float, ...] = ()
    # When it prints its ready line.
    prints_after: Optional[float] = None
    # From when on its readiness probe succeeds.
    connects_after: Optional[float] = None
    exits_after: Optional[float] = None
    status: ExitStatus = field(default=ExitStatus(code=0))
    out_of_memory: bool = False
    stops_after: Optional[float] = 0.0
    escalation_after: Optional[float] = 0.0
    stop_status: ExitStatus = field(default=ExitStatus(code=0))
    unkillable: bool = False
    # By SIGSTOP, until SIGCONT; what it would do in between happens at SIGCONT.
    stopped_after: Optional[float] = None
    members: tuple[Member, ...] = ()
    # The result of each probe in turn, the last one repeated: an error, "", or None: no answer.
    health: tuple[Optional[str], ...] = ("",)
    answers_after: float = 0.0
    # Numbers of the probes that the system refuses to start; both kinds are counted, from 0.
    refused_probes: frozenset[int] = frozenset()
    # Each measurement in turn, the last one repeated; in bytes.
    memory: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Child:
    """An instance, and what it does in each of its lives, the last behaviour repeated."""

    spec: Spec
    behaviours: tuple[Behaviour, ...] = (Behaviour(),)
    # When another supervisor holds its lock (from, until), and when ours is lost.
    rivals: tuple[tuple[float, float], ...] = ()
    lock_lost_at: tuple[float, ...] = ()
    # Seconds from each plan to the run, if it is scheduled; and the measured loads of its process.
    # Each in turn, the last one repeated.
    runs_after: tuple[float, ...] = (10.0,)
    loads: tuple[Optional[float], ...] = (1.0,)


@dataclass(eq=False)
class Fake:
    """A process: the leader of a life, or a member of its group."""

    pid: int
    ref: Ref
    spec: Spec
    behaviour: Behaviour
    since: float
    member: Optional[Member] = None
    alive: bool = True
    stopped: bool = False
    # What it does after SIGCONT.
    held_back: list[Callable[[], None]] = field(default_factory=list)
    stop_signals: int = 0
    begun: int = 0
    probes: int = 0
    looks: int = 0
    # The running probe.
    probe: Optional[object] = None

    @property
    def unkillable(self) -> bool:
        return (self.behaviour if self.member is None else self.member).unkillable


class World:
    """Implements `supervisor.system.System` and `Processes` as their docstrings promise.

    With `adopts`, orphans are reaped here, as on Linux, so the end of a process group is noticed at
    once. Without it, it is noticed when a signal finds no process left, or when the next leader
    dies.

    Starting a life blocks the supervisor for `spawn_takes` seconds, as it does where the supervisor
    itself forks. `without_template` has pairs: when the template dies, and when it is replaced.
    After `preload_fails_at` there is no other template. `platform` has pairs: when every process
    gets SIGTERM from outside, and how much later the supervisor does. `loads` has the outcome of
    each reload in turn: how long it takes, and its children; None means that it fails.
    """

    def __init__(
        self,
        children: Sequence[Child],
        signals: Sequence[tuple[float, Signals]] = (),
        *,
        requests: Sequence[tuple[float, Request]] = (),
        output_gone_at: Optional[float] = None,
        stalls: Sequence[tuple[float, float]] = (),
        adopts: bool = True,
        spawn_takes: float = 0.0,
        cancel_takes: float = 0.0,
        without_template: Sequence[tuple[float, float]] = (),
        preload_fails_at: Optional[float] = None,
        platform: Sequence[tuple[float, float]] = (),
        kill_takes: float = 0.25,
        jitters: Sequence[float] = (0.0,),
        loads: Sequence[tuple[float, Optional[Sequence[Child]]]] = ((0.0, None),),
    ) -> None:
        self.children: Mapping[str, Child] = {child.spec.name: child for child in children}
        # The children of each load of the project, the current load, and all loads so far.
        self.generations: dict[int, Mapping[str, Child]] = {0: self.children}
        self.generation = 0
        self.loaded = {0}
        self._loads = loads
        # The locks that the supervisor wants; True once the supervisor knows that it holds one.
        self.locks: dict[str, bool] = {}
        # How many values of each process and instance `_next` has returned.
        self._asked: dict[str, int] = {}
        self.leaders: dict[int, Fake] = {}
        self.members_of: dict[int, list[Fake]] = {}
        self.pids: dict[Ref, int] = {}
        # The processes whose held sockets are open.
        self.listening = {child.spec.process for child in children if child.spec.holds}
        self.reaped: set[int] = set()
        # What was done and logged, with its time, so that two runs can be compared.
        self.trace: list[tuple[float, str]] = []
        # The events that the supervisor received, with their times.
        self.told: list[tuple[float, Event]] = []
        # `trace` and `told`, in order.
        self.history: list[tuple[float, Union[str, Event]]] = []
        self.kills: list[tuple[float, int, Signals, bool]] = []
        self.observers: Sequence[Observer] = [
            report.to_log(lambda record: self.did(f"say {record.message}"), self),
            report.to_service_manager(lambda message: self.did(f"tell {message}"), self),
            self._saw,
        ]
        self._now = 0.0
        self._adopts = adopts
        self.spawn_takes, self._kill_takes = spawn_takes, kill_takes
        self._cancel_takes = cancel_takes
        self._without_template = [*without_template]
        # Starts that are not answered yet, each with its behaviour.
        self.unanswered: dict[Ref, Behaviour] = {}
        # Cancelled starts, and those of them that will be answered by SpawnFailed.
        self.cancelled: list[Ref] = []
        self.giving_up: list[Ref] = []
        self._jitters = itertools.cycle(jitters)
        self._starts: dict[str, int] = dict.fromkeys(self.children, 0)
        self._future: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pids = itertools.count(FIRST_PID)
        self._orphaned: list[int] = []
        self._somebody_died = False
        self._happened: list[Event] = []
        self._woken_for_nothing = False
        for at, signal in signals:
            self._at(at, partial(self._happens, Signalled(signal)))
        for at, later in platform:
            self._at(at, self._stop_from_outside)
            self._at(at + later, partial(self._happens, Signalled(Signals.SIGTERM)))
        for at, request in requests:
            self._at(at, partial(self._happens, request))
        for child in children:
            for at in child.lock_lost_at:
                self._at(at, partial(self._lose_lock, child.spec.name))
        for at, until in stalls:
            self._at(at, lambda: self._happened.append(OutputStalled()))
            self._at(until, lambda: self._happened.append(OutputResumed()))
        if preload_fails_at is not None:
            failed = PreloadFailed("It cannot be loaded.")
            self._without_template.append((preload_fails_at, inf))
            self._at(preload_fails_at, lambda: self._happened.append(failed))
        if output_gone_at is not None:
            self._at(output_gone_at, lambda: self._happened.append(OutputGone()))

    # ---- System and Processes ----

    def now(self) -> float:
        return self._now

    def spawn(self, ref: Ref) -> None:
        child = self._child(ref.name, ref.generation)
        assert not self._doubled(child.spec), f"two lives of {ref.name} at once"
        starts = self._starts.get(ref.name, 0)
        behaviour = child.behaviours[min(starts, len(child.behaviours) - 1)]
        self._starts[ref.name] = starts + 1
        if child.spec.exclusion is not Exclusion.NONE:
            assert self.locks.get(ref.name), f"{ref.name} is started without its lock"
        if child.spec.holds:
            self.listening.add(child.spec.process)
        self.unanswered[ref] = behaviour
        self._pass(self._now + self.spawn_takes)
        if behaviour.exists_after == 0.0 and not self._template_gone_until():
            self._begin(ref)
            return
        self.did(f"ask for {ref.name}")
        self._after(behaviour.exists_after, lambda: self._begin_by_template(ref))

    def cancel_spawn(self, ref: Ref) -> None:
        assert ref not in self.cancelled, f"the start of {ref.name} is cancelled twice"
        self.cancelled.append(ref)
        self.did(f"cancel the start of {ref.name}")
        behaviour = self.unanswered.get(ref)
        if behaviour is None:
            return  # The answer is on its way.
        if behaviour.cancelled_too_late:
            self._after(self._cancel_takes, lambda: self._begin(ref))
        else:
            del self.unanswered[ref]
            self.giving_up.append(ref)
            self._after(self._cancel_takes, lambda: self._give_up(ref))

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        pid = self._leader(ref).pid
        targets = [self.leaders[pid], *(self.members_of[pid] if group else ())]
        if signal is Signals.SIGCONT and not any(target.stopped for target in targets):
            return  # SIGCONT means nothing to a process that is not stopped.
        self.did(f"{'killpg' if group else 'kill'} {pid} {signal.name}")
        self.kills.append((self._now, pid, signal, group))
        if not any(target.alive for target in targets):
            self._sweep()
        for target in targets:
            if target.alive:
                self._deliver(target, signal)

    def start_probe(self, ref: Ref, kind: ProbeKind) -> None:
        leader = self._leader(ref)
        self.did(f"probe {leader.pid} {kind.name}")
        behaviour, leader.probe, number = leader.behaviour, object(), leader.begun
        leader.begun += 1
        if number in behaviour.refused_probes:
            leader.probe = None
            self._happened.append(ProbeRefused(ref, "no descriptor"))
            return
        if kind is ProbeKind.READY:
            after = behaviour.connects_after
            connects = after is not None and self._now >= leader.since + after
            failure: Optional[str] = "" if connects else "connection refused"
        else:
            failure = behaviour.health[min(leader.probes, len(behaviour.health) - 1)]
            leader.probes += 1
        if failure is not None:
            answer, token = Probed(ref, failure), leader.probe
            self._after(behaviour.answers_after, lambda: self._answers(leader, token, answer))

    def cancel_probe(self, ref: Ref) -> None:
        leader = self._leader(ref)
        self.did(f"cancel {leader.pid}")
        leader.probe = None

    def measure(self, ref: Ref) -> None:
        leader = self._leader(ref)
        self.did(f"measure {leader.pid}")
        memory = leader.behaviour.memory[min(leader.looks, len(leader.behaviour.memory) - 1)]
        leader.looks += 1
        if leader.alive:
            self._happened.append(Measured(ref, memory))

    def plan_run(self, name: str, ended: bool) -> None:
        self.did(f"plan {name}")
        after = self._next(name, self._newest(name).runs_after)
        self._happened.append(RunPlanned(name, after))

    def measure_load(self, process: str, metric: str) -> None:
        self.did(f"measure the load of {process}")
        child = self._newest(f"{process}.1")
        self._happened.append(LoadMeasured(process, self._next(process, child.loads)))

    def take_lock(self, name: str) -> None:
        assert name not in self.locks, f"the lock of {name} is taken twice"
        self.did(f"take the lock of {name}")
        self.locks[name] = False
        self._try_lock(name)

    def release_lock(self, name: str, done: bool) -> None:
        assert name in self.locks, f"the lock of {name} is released, and was not taken"
        left = [one for one in self.alive if one.ref.name == name]
        assert all(one.unkillable for one in left), f"the lock of {name} is released too early"
        self.did(f"release the lock of {name}")
        del self.locks[name]

    def load(self, generation: int) -> None:
        self.did(f"load generation {generation}")
        after, children = self._loads[(generation - 1) % len(self._loads)]
        answer: Event = LoadFailed(generation, "it cannot be loaded")
        if children is not None:
            self.generations[generation] = {child.spec.name: child for child in children}
            self.loaded.add(generation)
            answer = Loaded(generation, tuple(child.spec for child in children))
        self._after(after, lambda: self._happened.append(answer))

    def adopt(self, generation: int) -> None:
        self.did(f"adopt generation {generation}")
        self.generation = generation
        for older in [one for one in self.generations if one < generation]:
            self._forget(older)

    def drop(self, generation: int) -> None:
        self.did(f"drop generation {generation}")
        self._forget(generation)

    def _forget(self, generation: int) -> None:
        self.generations.pop(generation, None)
        left = [one for one in self.alive if one.ref.generation == generation]
        assert all(one.unkillable for one in left), f"{left} run what is forgotten"
        assert not [ref for ref in self.unanswered if ref.generation == generation]

    def unlisten(self, process: str) -> None:
        # The held sockets of a dropped load may be closed twice.
        reloaded = len(self.loaded) > 1
        assert process in self.listening or reloaded, f"{process} has no open socket"
        self.listening.discard(process)

    def wait(self, timeout: Optional[float]) -> list[Event]:
        assert not self._woken_for_nothing, "the supervisor woke up and did nothing"
        end = float("inf") if timeout is None else self._now + timeout
        self._pass(self._now)
        while not self._happened and self._future and self._future[0][0] <= end:
            self._pass(self._future[0][0])
        if not self._happened:
            assert timeout is not None, "the supervisor would sleep for ever"
            self._now = end
            self._woken_for_nothing = True
        happened, self._happened = self._happened, []
        return _Told(self, happened)

    def pid(self, ref: Ref) -> int:
        return self._leader(ref).pid

    def members(self, ref: Ref) -> list[tuple[str, int]]:
        leader = self._leader(ref)
        everybody = [leader, *self.members_of[leader.pid]]
        return [("member" if one.member else "leader", one.pid) for one in everybody if one.alive]

    # ---- the simulated processes ----

    @property
    def alive(self) -> list[Fake]:
        everybody = [*self.leaders.values(), *itertools.chain(*self.members_of.values())]
        return [one for one in everybody if one.alive]

    def did(self, what: str) -> None:
        self._woken_for_nothing = False
        self.trace.append((self._now, what))
        self.history.append((self._now, what))

    def _saw(self, fact: Fact) -> None:
        """A change of state counts as work, even if it is not logged."""
        if isinstance(fact, StateChanged):
            self._woken_for_nothing = False

    def hand_out(self, event: Event) -> None:
        if isinstance(event, (LockTaken, LockLost)) and event.name in self.locks:
            self.locks[event.name] = isinstance(event, LockTaken)
        elif isinstance(event, LockUsed):
            self.locks.pop(event.name, None)
        self.told.append((self._now, event))
        self.history.append((self._now, event))

    def _next(self, name: str, values: Sequence[Any]) -> Any:
        """Each of these values in turn, the last one repeated."""
        number = self._asked.get(name, 0)
        self._asked[name] = number + 1
        return values[min(number, len(values) - 1)]

    def _try_lock(self, name: str) -> None:
        """Take the lock, or try again once the rival releases it; with ONCE, find it used then."""
        if self.locks.get(name) is not False:
            return
        child = self._newest(name)
        until = max((end for at, end in child.rivals if at <= self._now < end), default=0.0)
        if not until:
            self._happened.append(LockTaken(name))
            return
        self._happened.append(LockBusy(name, "web-2 has it"))
        if child.spec.exclusion is Exclusion.ONCE:
            self._at(until, lambda: self._find_used(name))
        else:
            self._at(until, lambda: self._try_lock(name))

    def _find_used(self, name: str) -> None:
        if self.locks.get(name) is False:
            self._happened.append(LockUsed(name))

    def _lose_lock(self, name: str) -> None:
        if self.locks.get(name):
            self._happened.append(LockLost(name, "connection reset"))
            self._after(LOST_FOR, lambda: self._try_lock(name))

    def _template_gone_until(self) -> float:
        """When there will be a template again; 0 if there is one."""
        return max(
            (until for at, until in self._without_template if at <= self._now < until), default=0.0
        )

    def _begin_by_template(self, ref: Ref) -> None:
        """Begin a start, once there is a template."""
        until = self._template_gone_until()
        if not until:
            self._begin(ref)
        elif until < inf:
            self._at(until, lambda: self._begin_by_template(ref))

    def _give_up(self, ref: Ref) -> None:
        self.giving_up.remove(ref)
        self._happened.append(SpawnFailed(ref, "cancelled", next(self._jitters)))

    def _begin(self, ref: Ref) -> None:
        """Answer a start: the life exists from now on, or it could not be started."""
        if ref not in self.unanswered:
            return
        child, behaviour = self._child(ref.name, ref.generation), self.unanswered.pop(ref)
        if behaviour.cannot_start:
            self.did(f"spawn {ref.name}: {behaviour.cannot_start}")
            failed = SpawnFailed(ref, behaviour.cannot_start, next(self._jitters))
            self._happened.append(failed)
            return
        leader = Fake(next(self._pids), ref, child.spec, behaviour, self._now)
        members = [
            replace(leader, member=member, stopped=member.stopped, held_back=[])
            for member in behaviour.members
        ]
        self.leaders[leader.pid], self.members_of[leader.pid] = leader, members
        self.pids[ref] = leader.pid
        self.did(f"spawn {ref.name} {leader.pid}")
        self._after(behaviour.ready_after, lambda: self._says(leader, Notified(ref, ready=True)))
        if child.spec.ready_line:
            self._after(behaviour.prints_after, lambda: self._says(leader, ReadyLine(ref)))
        for after, message in behaviour.says:
            self._after(after, partial(self._says, leader, changed(message, ref=ref)))
        for after in behaviour.flooded_at:
            self._after(after, lambda: self._is_flooded(leader))
        self._after(behaviour.stopped_after, lambda: self._stop(leader))
        self._after(behaviour.exits_after, lambda: self._end(leader, behaviour.status))
        for member in members:
            assert member.member is not None
            self._after(member.member.ends_after, partial(self._end, member, behaviour.status))
        self._happened.append(Spawned(ref))

    def _child(self, name: str, generation: int = 0) -> Child:
        """An instance that scaling added behaves like the first one of its process."""
        children = self.generations[generation]
        if name in children:
            return children[name]
        sibling = children[f"{name.rpartition('.')[0]}.1"]
        return Child(changed(sibling.spec, name=name), sibling.behaviours)

    def _newest(self, name: str) -> Child:
        """The child of the newest load that has its process."""
        process = process_of(name)
        having = [
            generation
            for generation, children in self.generations.items()
            if any(process_of(one) == process for one in children)
        ]
        return self._child(name, max(having))

    def _doubled(self, spec: Spec) -> bool:
        """Whether too many lives of it are running; only a start-first update may have two."""
        leaders = [one for one in self.alive if one.spec.name == spec.name and not one.member]
        others = [one.ref for one in leaders if not one.unkillable]
        others += [ref for ref in (*self.unanswered, *self.giving_up) if ref.name == spec.name]
        return len(others) > (1 if spec.start_first else 0)

    def _leader(self, ref: Ref) -> Fake:
        return self.leaders[self.pids[ref]]

    def _at(self, time: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._future, (time, next(self._order), event))

    def _happens(self, event: Event) -> None:
        self._happened.append(event)

    def _after(self, seconds: Optional[float], event: Callable[[], None]) -> None:
        if seconds is not None:
            self._at(self._now + seconds, event)

    def _pass(self, until: float) -> None:
        """Run everything that is due until then, then reap what died."""
        while self._future and self._future[0][0] <= until:
            time, _, event = heapq.heappop(self._future)
            self._now = max(self._now, time)
            event()
        self._now = until
        if self._somebody_died:
            self._somebody_died = False
            self._sweep()

    def _stop(self, one: Fake) -> None:
        if one.alive:
            one.stopped = True

    def _continue(self, one: Fake) -> None:
        one.stopped, held_back, one.held_back = False, one.held_back, []
        for does in held_back:
            does()

    def _says(self, leader: Fake, message: Event) -> None:
        if leader.stopped:
            leader.held_back.append(lambda: self._says(leader, message))
        elif leader.alive:
            self._happened.append(message)

    def _is_flooded(self, leader: Fake) -> None:
        if leader.alive:
            self._happened.append(NotifyFlooded(leader.ref))

    def _end(self, one: Fake, status: ExitStatus) -> None:
        """Exit; a stopped process exits after SIGCONT."""
        if one.stopped:
            one.held_back.append(lambda: self._end(one, status))
        else:
            self._die(one, status)

    def _answers(self, leader: Fake, token: object, answer: Probed) -> None:
        if leader.alive and not leader.stopped and leader.probe is token:
            leader.probe = None
            self._happened.append(answer)

    def _die(self, one: Fake, status: ExitStatus) -> None:
        if not one.alive:
            return
        one.alive = False
        if one.member is None:
            self._orphaned.append(one.pid)
            starved = one.behaviour.out_of_memory and status.signal == Signals.SIGKILL
            self._happened.append(Exited(one.ref, status, starved, next(self._jitters)))
            self._somebody_died = True
        elif self._adopts:
            self._somebody_died = True

    def _sweep(self) -> None:
        for pid in list(self._orphaned):
            if not any(member.alive for member in self.members_of[pid]):
                self._orphaned.remove(pid)
                self.reaped.add(pid)
                self._happened.append(GroupGone(self.leaders[pid].ref))

    def _stop_from_outside(self) -> None:
        for one in self.alive:
            self._deliver(one, Signals.SIGTERM)

    def _deliver(self, one: Fake, signal: Signals) -> None:
        spec, behaviour = one.spec, one.behaviour
        if signal is Signals.SIGKILL:
            if not one.unkillable:
                killed = ExitStatus(signal=Signals.SIGKILL)
                self._after(self._kill_takes, lambda: self._die(one, killed))
        elif signal is Signals.SIGCONT:
            self._continue(one)
        elif one.stopped:
            one.held_back.append(lambda: self._deliver(one, signal))
        elif signal in spec.forwards:
            assert one.member is None
        elif signal is spec.escalation_signal:
            self._after(behaviour.escalation_after, lambda: self._end(one, behaviour.stop_status))
        elif signal is not spec.stop_signal:
            self._die(one, ExitStatus(signal=signal))  # The default action.
        elif one.member is not None:
            if one.member.heeds_stop_signal:
                self._die(one, behaviour.stop_status)
        else:
            one.stop_signals += 1
            self._after(behaviour.stops_after, lambda: self._end(one, behaviour.stop_status))


class _Told(list[Event]):
    """Events that are recorded one by one, as the supervisor takes them."""

    def __init__(self, world: World, happened: list[Event]) -> None:
        super().__init__(happened)
        self._world = world

    def __iter__(self) -> Iterator[Event]:
        for event in super().__iter__():
            self._world.hand_out(event)
            yield event
