"""The life of one instance: inputs in, effects out, every move from one table."""

from __future__ import annotations

from collections.abc import Mapping
from signal import Signals
from types import MappingProxyType
from typing import Optional

from .model import SWEEP_AFTER, Effect, ExitStatus, Kill, Spawn, Spec, State, StateChanged

# Every legal move. Anything else is our bug, and an assertion.
MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.STOPPED: frozenset({State.STARTING}),
        State.STARTING: frozenset(
            {State.RUNNING, State.STOPPING, State.KILLING, State.EXITED, State.FATAL}
        ),
        State.RUNNING: frozenset({State.STOPPING, State.KILLING, State.EXITED}),
        State.STOPPING: frozenset({State.KILLING, State.EXITED}),
        State.KILLING: frozenset({State.EXITED}),
        State.EXITED: frozenset(),
        State.FATAL: frozenset(),
    }
)

ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.KILLING})


class Instance:
    """One running copy of a process.

    `deadline` is the one moment, in the clock of `now`, at which something is due: SIGKILL for an
    instance that is STOPPING, the sweep of what an EXITED one left in its process group. Without
    one nothing is due; there is no timer to cancel.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.state = State.STOPPED
        self.pid: Optional[int] = None
        self.deadline: Optional[float] = None
        self._started = 0.0
        self._since = 0.0

    @property
    def over(self) -> bool:
        """Nothing of it is alive, and nothing is due."""
        return self.state not in ALIVE and self.deadline is None

    def start(self, now: float) -> list[Effect]:
        self._started = now
        return [self._move(now, State.STARTING), Spawn(self.spec.name)]

    def spawned(self, now: float, pid: int) -> list[Effect]:
        assert self.state is State.STARTING
        assert self.pid is None
        self.pid = pid
        return [] if self.spec.notifies else self.ready(now)

    def spawn_failed(self, now: float, why: str) -> list[Effect]:
        assert self.pid is None
        return [self._move(now, State.FATAL, detail=why)]

    def ready(self, now: float) -> list[Effect]:
        """It said READY=1; said again, or too late, it means nothing."""
        if self.state is not State.STARTING:
            return []
        return [self._move(now, State.RUNNING)]

    def stop(self, now: float) -> list[Effect]:
        """Ask it to end, once: to much software a second stop signal means to abort its work."""
        if self.state not in (State.STARTING, State.RUNNING):
            return []
        assert self.pid is not None
        changed = self._move(now, State.STOPPING, deadline=now + self.spec.stop_timeout)
        return [changed, Kill(self.pid, self.spec.stop_signal, group=self.spec.stop_group)]

    def kill(self, now: float, why: str = "") -> list[Effect]:
        """End it and its process group at once; where the leader is dead, what is left of it."""
        if self.over or self.state is State.KILLING:
            return []
        assert self.pid is not None
        effects: list[Effect] = [Kill(self.pid, Signals.SIGKILL, group=True)]
        if self.state is State.EXITED:
            self.deadline = now + SWEEP_AFTER
        else:
            effects.insert(0, self._move(now, State.KILLING, detail=why))
        return effects

    def forward(self, signal: Signals) -> list[Effect]:
        """Pass a signal on, if it means something to this software; it would kill any other."""
        if signal not in self.spec.forwards or self.state is not State.RUNNING:
            return []
        assert self.pid is not None
        return [Kill(self.pid, signal)]

    def exited(self, now: float, status: ExitStatus, detail: str = "") -> list[Effect]:
        expected = self.state is State.STOPPING and (
            status.shell == 0
            or status.signal == self.spec.stop_signal
            or status.shell in self.spec.success
        )
        return [
            self._move(
                now,
                State.EXITED,
                deadline=now + SWEEP_AFTER,
                status=status,
                expected=expected,
                detail=detail,
            )
        ]

    def group_gone(self) -> None:
        assert self.state is State.EXITED
        self.deadline = None

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        if self.deadline is None or now < self.deadline:
            return []
        return self.kill(now, why=f"did not stop within {self.spec.stop_timeout:g} s")

    def _move(
        self,
        now: float,
        new: State,
        *,
        deadline: Optional[float] = None,
        status: Optional[ExitStatus] = None,
        expected: bool = False,
        detail: str = "",
    ) -> StateChanged:
        assert new in MOVES[self.state], f"{self.spec.name}: {self.state.name} -> {new.name}"
        changed = StateChanged(
            name=self.spec.name,
            old=self.state,
            new=new,
            pid=self.pid,
            after=now - self._started,
            lasted=now - self._since,
            status=status,
            expected=expected,
            detail=detail,
        )
        self.state, self.deadline, self._since = new, deadline, now
        return changed
