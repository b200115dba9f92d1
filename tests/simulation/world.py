"""A `System` with virtual time: children with behaviours instead of processes.

`wait` jumps to the next happening. Time is counted in binary fractions of a second, which floats
add and subtract exactly; so what is due at the same moment is due at the same moment.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from signal import Signals
from typing import Callable, Optional, Union

from django_prodserver.supervisor.model import (
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    Measured,
    Notified,
    OutputGone,
    Probe,
    Probed,
    Signalled,
    Spec,
)

FIRST_PID = 101


@dataclass(frozen=True)
class Member:
    """A process that an instance starts in its process group; seconds count from the spawn."""

    ends_after: Optional[float] = None
    heeds_stop_signal: bool = False


@dataclass(frozen=True)
class Life:
    """What an instance does from one start to the next; None means never.

    Seconds count from the spawn, or from its stop signal.
    """

    cannot_start: str = ""
    # It says READY=1, and what else it says.
    ready_after: Optional[float] = None
    says: tuple[tuple[float, Notified], ...] = ()
    # A connection to it succeeds.
    connects_after: Optional[float] = None
    exits_after: Optional[float] = None
    status: ExitStatus = field(default=ExitStatus(code=0))
    out_of_memory: bool = False
    stops_after: Optional[float] = 0.0
    last_step_after: Optional[float] = 0.0
    stop_status: ExitStatus = field(default=ExitStatus(code=0))
    members: tuple[Member, ...] = ()
    # Of each probe in turn, the last for ever: what is wrong, nothing, or no answer.
    health: tuple[Optional[str], ...] = ("",)
    answers_after: float = 0.0
    # Of each look in turn, the last for ever; in bytes.
    memory: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class Child:
    """An instance with its lives, the last of which it leads for ever."""

    spec: Spec
    lives: tuple[Life, ...] = (Life(),)


@dataclass(eq=False)
class Process:
    pid: int
    spec: Spec
    life: Life
    since: float
    member: Optional[Member] = None
    alive: bool = True
    stop_signals: int = 0
    probes: int = 0
    looks: int = 0
    # The probe that is under way.
    probe: Optional[object] = None


class World:
    """Implements `supervisor.system.System`, with the promises that its docstrings make.

    With `adopts` orphans are reaped here, as on Linux, so that the end of a process group is
    noticed when it comes; without, when a signal finds nobody there, or when the next leader dies.
    """

    def __init__(
        self,
        children: Sequence[Child],
        signals: Sequence[tuple[float, Signals]] = (),
        *,
        output_gone_at: Optional[float] = None,
        adopts: bool = True,
        spawn_takes: float = 0.0,
        kill_takes: float = 0.25,
        jitters: Sequence[float] = (0.0,),
    ) -> None:
        self.children: Mapping[str, Child] = {child.spec.name: child for child in children}
        self.leaders: dict[int, Process] = {}
        self.members: dict[int, list[Process]] = {}
        self.reaped: set[int] = set()
        # What was done and what was said, each with its time: two runs can be compared.
        self.trace: list[tuple[float, str]] = []
        # What the supervisor was told, and when.
        self.told: list[tuple[float, Happening]] = []
        # Both, as they followed each other.
        self.history: list[tuple[float, Union[str, Happening]]] = []
        self.kills: list[tuple[float, int, Signals, bool]] = []
        self._now = 0.0
        self._adopts = adopts
        self._spawn_takes, self._kill_takes = spawn_takes, kill_takes
        self._jitters = itertools.cycle(jitters)
        self._starts: dict[str, int] = dict.fromkeys(self.children, 0)
        self._future: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pids = itertools.count(FIRST_PID)
        self._orphaned: list[int] = []
        self._somebody_died = False
        self._happened: list[Happening] = []
        self._woken_for_nothing = False
        for at, signal in signals:
            self._at(at, lambda signal=signal: self._happened.append(Signalled(signal)))
        if output_gone_at is not None:
            self._at(output_gone_at, lambda: self._happened.append(OutputGone()))

    # ---- the seam ----

    def now(self) -> float:
        return self._now

    def say(self, text: str) -> None:
        self.did(f"say {text}")

    def tell(self, message: str) -> None:
        self.did(f"tell {message}")

    def spawn(self, name: str) -> int:
        child = self.children[name]
        assert not any(process.spec.name == name for process in self.alive), "two lives at once"
        life = child.lives[min(self._starts[name], len(child.lives) - 1)]
        self._starts[name] += 1
        self._pass(self._now + self._spawn_takes)
        if life.cannot_start:
            self.did(f"spawn {name}: {life.cannot_start}")
            raise OSError(life.cannot_start)
        leader = Process(next(self._pids), child.spec, life, self._now)
        self.leaders[leader.pid] = leader
        self.members[leader.pid] = [replace(leader, member=member) for member in life.members]
        self.did(f"spawn {name} {leader.pid}")
        self._after(life.ready_after, lambda: self._says(leader, Notified(leader.pid, ready=True)))
        for after, message in life.says:
            said = replace(message, pid=leader.pid)
            self._after(after, lambda said=said: self._says(leader, said))
        self._after(life.exits_after, lambda: self._die(leader, life.status))
        for member in self.members[leader.pid]:
            assert member.member is not None
            self._after(member.member.ends_after, lambda m=member: self._die(m, life.status))
        return leader.pid

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        self.did(f"{'killpg' if group else 'kill'} {pid} {signal.name}")
        self.kills.append((self._now, pid, signal, group))
        targets = [self.leaders[pid], *(self.members[pid] if group else ())]
        if not any(target.alive for target in targets):
            self._sweep()
        for target in targets:
            if target.alive:
                self._deliver(target, signal)

    def start_probe(self, pid: int, probe: Probe) -> None:
        self.did(f"probe {pid} {probe.name}")
        leader = self.leaders[pid]
        life, leader.probe = leader.life, object()
        if probe is Probe.READY:
            after = life.connects_after
            connects = after is not None and self._now >= leader.since + after
            failure: Optional[str] = "" if connects else "connection refused"
        else:
            failure = life.health[min(leader.probes, len(life.health) - 1)]
            leader.probes += 1
        if failure is not None:
            answer, token = Probed(pid, failure), leader.probe
            self._after(life.answers_after, lambda: self._answers(leader, token, answer))

    def cancel_probe(self, pid: int) -> None:
        self.did(f"cancel {pid}")
        self.leaders[pid].probe = None

    def measure(self, pid: int) -> None:
        self.did(f"measure {pid}")
        leader = self.leaders[pid]
        memory = leader.life.memory[min(leader.looks, len(leader.life.memory) - 1)]
        leader.looks += 1
        if leader.alive:
            self._happened.append(Measured(pid, memory))

    def wait(self, timeout: Optional[float]) -> list[Happening]:
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

    # ---- the world behind it ----

    @property
    def alive(self) -> list[Process]:
        everybody = [*self.leaders.values(), *itertools.chain(*self.members.values())]
        return [process for process in everybody if process.alive]

    def did(self, what: str) -> None:
        self._woken_for_nothing = False
        self.trace.append((self._now, what))
        self.history.append((self._now, what))

    def hand_out(self, happening: Happening) -> None:
        self.told.append((self._now, happening))
        self.history.append((self._now, happening))

    def _at(self, time: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._future, (time, next(self._order), event))

    def _after(self, seconds: Optional[float], event: Callable[[], None]) -> None:
        if seconds is not None:
            self._at(self._now + seconds, event)

    def _pass(self, until: float) -> None:
        """Let time pass, and with it happen what is to happen; then look who died."""
        while self._future and self._future[0][0] <= until:
            time, _, event = heapq.heappop(self._future)
            self._now = max(self._now, time)
            event()
        self._now = until
        if self._somebody_died:
            self._somebody_died = False
            self._sweep()

    def _says(self, leader: Process, message: Notified) -> None:
        if leader.alive:
            self._happened.append(message)

    def _answers(self, leader: Process, token: object, answer: Probed) -> None:
        if leader.alive and leader.probe is token:
            leader.probe = None
            self._happened.append(answer)

    def _die(self, process: Process, status: ExitStatus) -> None:
        if not process.alive:
            return
        process.alive = False
        if process.member is None:
            self._orphaned.append(process.pid)
            starved = process.life.out_of_memory and status.signal == Signals.SIGKILL
            self._happened.append(Exited(process.pid, status, starved, next(self._jitters)))
            self._somebody_died = True
        elif self._adopts:
            self._somebody_died = True

    def _sweep(self) -> None:
        for pid in list(self._orphaned):
            if not any(member.alive for member in self.members[pid]):
                self._orphaned.remove(pid)
                self.reaped.add(pid)
                self._happened.append(GroupGone(pid))

    def _deliver(self, process: Process, signal: Signals) -> None:
        spec, life = process.spec, process.life
        if signal is Signals.SIGKILL:
            killed = ExitStatus(signal=Signals.SIGKILL)
            self._after(self._kill_takes, lambda: self._die(process, killed))
        elif signal in spec.forwards:
            assert process.member is None
        elif signal is spec.last_signal:
            self._after(life.last_step_after, lambda: self._die(process, life.stop_status))
        elif signal is not spec.stop_signal:
            self._die(process, ExitStatus(signal=signal))  # The default action.
        elif process.member is not None:
            if process.member.heeds_stop_signal:
                self._die(process, life.stop_status)
        else:
            process.stop_signals += 1
            self._after(life.stops_after, lambda: self._die(process, life.stop_status))


class _Told(list[Happening]):
    """Happenings that are written down one by one, as the supervisor takes them."""

    def __init__(self, world: World, happened: list[Happening]) -> None:
        super().__init__(happened)
        self._world = world

    def __iter__(self) -> Iterator[Happening]:
        for happening in super().__iter__():
            self._world.hand_out(happening)
            yield happening
