"""A `System` with virtual time: children with behaviours instead of processes.

`wait` jumps to the next happening. Time is counted in quarters of a second, which floats add and
subtract exactly; so what is due at the same moment is due at the same moment.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from signal import Signals
from typing import Callable, Optional

from django_prodserver.supervisor.model import (
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    OutputGone,
    Ready,
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
class Child:
    """What an instance does; seconds count from the spawn, or from its stop signal. None: never."""

    spec: Spec
    cannot_start: str = ""
    ready_after: Optional[float] = None
    exits_after: Optional[float] = None
    status: ExitStatus = field(default=ExitStatus(code=0))
    stops_after: Optional[float] = 0.0
    stop_status: ExitStatus = field(default=ExitStatus(code=0))
    members: tuple[Member, ...] = ()


@dataclass(eq=False)
class Process:
    pid: int
    child: Child
    member: Optional[Member] = None
    alive: bool = True
    stop_signals: int = 0


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
    ) -> None:
        self.children: Mapping[str, Child] = {child.spec.name: child for child in children}
        self.leaders: dict[int, Process] = {}
        self.members: dict[int, list[Process]] = {}
        self.reaped: set[int] = set()
        # What was done and what was said, each with its time: two runs can be compared.
        self.trace: list[tuple[float, str]] = []
        # What the supervisor was told, and when.
        self.told: list[tuple[float, Happening]] = []
        self.kills: list[tuple[float, int, Signals, bool]] = []
        self._now = 0.0
        self._adopts = adopts
        self._spawn_takes, self._kill_takes = spawn_takes, kill_takes
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
        self._did(f"say {text}")

    def spawn(self, name: str) -> int:
        child = self.children[name]
        self._pass(self._now + self._spawn_takes)
        if child.cannot_start:
            self._did(f"spawn {name}: {child.cannot_start}")
            raise OSError(child.cannot_start)
        leader = Process(next(self._pids), child)
        self.leaders[leader.pid] = leader
        self.members[leader.pid] = [Process(leader.pid, child, member) for member in child.members]
        self._did(f"spawn {name} {leader.pid}")
        self._after(child.ready_after, lambda: self._is_ready(leader))
        self._after(child.exits_after, lambda: self._die(leader, child.status))
        for member in self.members[leader.pid]:
            assert member.member is not None
            self._after(member.member.ends_after, lambda m=member: self._die(m, child.status))
        return leader.pid

    def kill(self, pid: int, signal: Signals, group: bool) -> None:
        self._did(f"{'killpg' if group else 'kill'} {pid} {signal.name}")
        self.kills.append((self._now, pid, signal, group))
        targets = [self.leaders[pid], *(self.members[pid] if group else ())]
        if not any(target.alive for target in targets):
            self._sweep()
        for target in targets:
            if target.alive:
                self._deliver(target, signal)

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
        self.told += [(self._now, happening) for happening in happened]
        return happened

    # ---- the world behind it ----

    @property
    def alive(self) -> list[Process]:
        everybody = [*self.leaders.values(), *itertools.chain(*self.members.values())]
        return [process for process in everybody if process.alive]

    def _did(self, what: str) -> None:
        self._woken_for_nothing = False
        self.trace.append((self._now, what))

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

    def _is_ready(self, leader: Process) -> None:
        if leader.alive:
            self._happened.append(Ready(leader.pid))

    def _die(self, process: Process, status: ExitStatus) -> None:
        if not process.alive:
            return
        process.alive = False
        if process.member is None:
            self._orphaned.append(process.pid)
            self._happened.append(Exited(process.pid, status))
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
        child = process.child
        if signal is Signals.SIGKILL:
            killed = ExitStatus(signal=Signals.SIGKILL)
            self._after(self._kill_takes, lambda: self._die(process, killed))
        elif signal in child.spec.forwards:
            assert process.member is None
        elif signal is not child.spec.stop_signal:
            self._die(process, ExitStatus(signal=signal))  # The default action.
        elif process.member is not None:
            if process.member.heeds_stop_signal:
                self._die(process, child.stop_status)
        else:
            process.stop_signals += 1
            self._after(child.stops_after, lambda: self._die(process, child.stop_status))
