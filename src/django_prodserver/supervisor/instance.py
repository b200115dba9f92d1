"""The life of one instance: inputs in, effects out, every move from one table."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from types import MappingProxyType
from typing import Callable, Optional

from .model import (
    CONNECT_EVERY,
    CONNECT_TIMEOUT,
    LAST_SIGNAL_AFTER,
    MEASURE_EVERY,
    SLOW_STOP,
    SWEEP_AFTER,
    CancelProbe,
    Effect,
    Exited,
    ExitStatus,
    Kill,
    LastStep,
    Measure,
    Notified,
    Probe,
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
from .restarts import Restarts

# Every legal move. Anything else is our bug, and an assertion.
MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.STOPPED: frozenset({State.WAITING, State.STARTING}),
        State.WAITING: frozenset({State.STARTING, State.STOPPED}),
        State.STARTING: frozenset(
            {State.RUNNING, State.STOPPING, State.KILLING, State.EXITED, State.FATAL}
        ),
        State.RUNNING: frozenset({State.STOPPING, State.KILLING, State.EXITED}),
        State.STOPPING: frozenset({State.KILLING, State.EXITED}),
        State.KILLING: frozenset({State.EXITED}),
        State.EXITED: frozenset({State.STARTING, State.BACKOFF, State.FATAL}),
        State.BACKOFF: frozenset({State.STARTING, State.STOPPED}),
        State.FATAL: frozenset(),
    }
)

ALIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING, State.KILLING})

STOPPING_EVERYTHING = "stopping everything"


class Due(enum.Enum):
    """What may be due at a moment; two at the same moment are done in this order."""

    START = "the pause before a restart is over"
    READY = "it should have been ready by now"
    ANSWER = "the probe should have been answered by now"
    PROBE = "begin a probe"
    WATCHDOG = "it should have said WATCHDOG=1 by now"
    MEASURE = "look at its memory"
    KILL = "SIGKILL"
    LAST_SIGNAL = "take the second step of a stop"
    NOTICE = "say that it is still running"
    SWEEP = "SIGKILL for what it has left in its process group"


class Outcome(enum.Enum):
    """What came of an instance, for those who wait for it."""

    OPEN = "nothing that would be final"
    FINISHED = "a oneshot did what it had to do"
    FAILED = "it ended unasked, and is not to be started anew"


@dataclass
class _Life:
    """From one start to the next."""

    started: float
    ready: Optional[float] = None
    ready_within: float = 0.0
    # Why it is asked to stop, if the reason lies with itself.
    fault: str = ""
    # What it said about itself.
    error: str = ""
    stopping: bool = False
    # Probes that failed since one succeeded, and whether one has.
    failures: int = 0
    healthy: bool = False
    # The last that was seen, in bytes.
    memory: Optional[int] = None


class Instance:
    """One running copy of a process.

    What is due, and when in the clock of `now`, stands in one table, which every move empties:
    there is no timer to cancel, and none that fires late into a state it was not meant for.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.state = State.STOPPED
        self.pid: Optional[int] = None
        self.outcome = Outcome.OPEN
        self.restarts = 0
        # The last life ended by SIGKILL, because the stop signal was not obeyed in time.
        self.overdue = False
        self._due: dict[Due, float] = {}
        self._life = _Life(0.0)
        self._since = 0.0
        self._restarts = Restarts(spec)
        # When to start anew, once nobody is left in the process group.
        self._restart_at: Optional[float] = None

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something is due, or None."""
        return min(self._due.values(), default=None)

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    @property
    def over(self) -> bool:
        """Nothing of it is alive, and nothing is due."""
        return not self.alive and not self._due

    @property
    def fulfilled(self) -> bool:
        """What comes after it may be started."""
        return self.state is State.RUNNING or self.outcome is Outcome.FINISHED

    # ---- inputs ----

    def wait(self, now: float) -> list[Effect]:
        """Let it be started later, after others."""
        return [self._move(now, State.WAITING)]

    def start(self, now: float) -> list[Effect]:
        self._restarts.started(now)
        return self._begin(now)

    def spawned(self, now: float, pid: int) -> list[Effect]:
        assert self.state is State.STARTING
        assert self.pid is None
        self.pid = pid
        if self.spec.max_memory is not None:
            self._due[Due.MEASURE] = now + MEASURE_EVERY
        if self.spec.oneshot:
            return []
        if not (self.spec.notifies or self.spec.connects):
            return self.ready(now)
        self._life.ready_within = self.spec.ready_timeout
        self._due[Due.READY] = now + self.spec.ready_timeout
        if self.spec.connects:
            self._due[Due.PROBE] = now
        return []

    def spawn_failed(self, now: float, why: str) -> list[Effect]:
        assert self.pid is None
        self.outcome = Outcome.FAILED
        return [self._move(now, State.FATAL, reason=why, consequence=STOPPING_EVERYTHING)]

    def ready(self, now: float) -> list[Effect]:
        """It can do its work; said again, or too late, that means nothing."""
        if self.state is not State.STARTING or self.spec.oneshot:
            return []
        self._life.ready = now
        due = {}
        if self.spec.healthcheck is not None:
            due[Due.PROBE] = now + self.spec.healthcheck.interval
        if self.spec.watchdog is not None:
            due[Due.WATCHDOG] = now + self.spec.watchdog
        if Due.MEASURE in self._due:
            due[Due.MEASURE] = self._due[Due.MEASURE]
        return [*self._without_probe(), self._move(now, State.RUNNING, due)]

    def notified(self, now: float, said: Notified) -> list[Effect]:
        """It said something about itself."""
        effects: list[Effect] = []
        self._life.error = said.error or self._life.error
        self._life.stopping = said.stopping or self._life.stopping
        if said.status is not None:
            effects.append(StatusTold(self.spec.name, said.status))
        # Only the time to get ready is the instance's to extend: when everything has to stop,
        # somebody else is counting.
        if said.extend_timeout is not None and Due.READY in self._due:
            self._extend(now, said.extend_timeout)
        if said.ready:
            effects += self.ready(now)
        if said.watchdog is Watchdog.TRIGGER and self.state is State.RUNNING:
            effects += self._fail(now, "is unhealthy: it said WATCHDOG=trigger")
        elif said.watchdog is Watchdog.PING and Due.WATCHDOG in self._due:
            assert self.spec.watchdog is not None
            self._due[Due.WATCHDOG] = now + self.spec.watchdog
        return effects

    def probed(self, now: float, failure: str) -> list[Effect]:
        """A probe was answered; one that nobody waits for any more means nothing."""
        if self._due.pop(Due.ANSWER, None) is None:
            return []
        return self._answered(now, failure)

    def measured(self, now: float, memory: int) -> list[Effect]:
        if self.state not in (State.STARTING, State.RUNNING):
            return []
        self._life.memory = memory
        limit = self.spec.max_memory
        if limit is None or memory <= limit:
            return []
        return self._fail(
            now, f"uses {memory / 1e6:.0f} MB, its MAX_MEMORY is {limit / 1e6:.0f} MB"
        )

    def call_off(self, now: float) -> list[Effect]:
        """Everything is about to stop: do not start it any more, nor mind how well it is."""
        self._restart_at = None
        if self.state in (State.WAITING, State.BACKOFF):
            return [self._move(now, State.STOPPED)]
        if self.state not in (State.STARTING, State.RUNNING):
            return []
        unprobed = self._without_probe()
        self._due.clear()
        return unprobed

    def stop(self, now: float) -> list[Effect]:
        """Ask it to end, once: to much software a second stop signal means to abort its work."""
        # Without a pid it is being forked this moment, and asked as soon as it is.
        if self.state not in (State.STARTING, State.RUNNING) or self.pid is None:
            return []
        return self._ask(now)

    def kill(self, now: float, why: str = "") -> list[Effect]:
        """End it and its process group at once; where the leader is dead, what is left of it."""
        if Due.SWEEP in self._due:
            return self._sweep(now)
        if not self.alive or self.state is State.KILLING:
            return []
        assert self.pid is not None
        unprobed = self._without_probe()
        killing = self._move(now, State.KILLING, reason=why)
        return [*unprobed, killing, Kill(self.pid, Signals.SIGKILL, group=True)]

    def forward(self, signal: Signals) -> list[Effect]:
        """Pass a signal on, if it means something to this software; it would kill any other."""
        if signal not in self.spec.forwards or self.state is not State.RUNNING:
            return []
        assert self.pid is not None
        return [Kill(self.pid, signal)]

    def exited(self, now: float, ended: Exited, *, ending: bool) -> list[Effect]:
        """Its leader ended. With `ending` everything is being stopped, and it is not restarted."""
        if self.spec.oneshot and self.state is State.STARTING and ended.status.code == 0:
            self.outcome = Outcome.FINISHED
            return [self._bury(now, ended, expected=True)]
        if ending:
            return [self._bury(now, ended)]
        return self._ended_unasked(now, ended)

    def group_gone(self, now: float) -> list[Effect]:
        """Nobody is left in its process group."""
        del self._due[Due.SWEEP]
        if self._restart_at is None:
            return []
        if self._restart_at <= now:
            return self._begin(now)
        return [self._move(now, State.BACKOFF, {Due.START: self._restart_at})]

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        while self._due:
            due = next((due for due in Due if due in self._due and self._due[due] <= now), None)
            if due is None:
                break
            del self._due[due]
            effects += _ACTIONS[due](self, now)
        return effects

    # ---- what is due ----

    def _begin(self, now: float) -> list[Effect]:
        self._life, self._restart_at, self.pid = _Life(now), None, None
        return [self._move(now, State.STARTING), Spawn(self.spec.name)]

    def _not_ready(self, now: float) -> list[Effect]:
        return self._fail(now, f"was not ready within {self._life.ready_within:.10g} s")

    def _probe(self, now: float) -> list[Effect]:
        assert self.pid is not None
        if self.state is State.STARTING:
            self._due[Due.ANSWER] = now + CONNECT_TIMEOUT
            return [StartProbe(self.pid, Probe.READY)]
        assert self.spec.healthcheck is not None
        self._due[Due.ANSWER] = now + self.spec.healthcheck.timeout
        return [StartProbe(self.pid, Probe.HEALTH)]

    def _unanswered(self, now: float) -> list[Effect]:
        assert self.pid is not None
        check = self.spec.healthcheck
        within = check.timeout if check and self.state is State.RUNNING else CONNECT_TIMEOUT
        return [CancelProbe(self.pid), *self._answered(now, f"no answer within {within:g} s")]

    def _silent(self, now: float) -> list[Effect]:
        assert self.spec.watchdog is not None
        return self._fail(now, f"is unhealthy: no WATCHDOG=1 for {self.spec.watchdog:g} s")

    def _measure(self, now: float) -> list[Effect]:
        assert self.pid is not None
        self._due[Due.MEASURE] = now + MEASURE_EVERY
        return [Measure(self.pid)]

    def _still_running(self, now: float) -> list[Effect]:
        end = self._due[Due.KILL]
        half = end - self.spec.stop_timeout / 2
        if now < half:
            self._due[Due.NOTICE] = half
        return [StillRunning((self.spec.name,), end - now)]

    def _last_step(self, now: float) -> list[Effect]:
        assert self.pid is not None
        assert self.spec.last_signal is not None
        signal = self.spec.last_signal
        return [LastStep(self.spec.name, signal), Kill(self.pid, signal)]

    def _sweep(self, now: float) -> list[Effect]:
        assert self.pid is not None
        self._due[Due.SWEEP] = now + SWEEP_AFTER
        return [Kill(self.pid, Signals.SIGKILL, group=True)]

    def _overrun(self, now: float) -> list[Effect]:
        self.overdue = True
        return self.kill(now, f"did not stop within {self.spec.stop_timeout:g} s")

    # ---- decisions ----

    def _answered(self, now: float, failure: str) -> list[Effect]:
        if self.state is State.STARTING:
            if not failure:
                return self.ready(now)
            self._due[Due.PROBE] = now + CONNECT_EVERY
            return []
        check, life = self.spec.healthcheck, self._life
        assert check is not None
        self._due[Due.PROBE] = now + check.interval
        if not failure:
            life.failures, life.healthy = 0, True
            return []
        if not life.healthy and now - life.started < check.start_period:
            return []
        life.failures += 1
        if life.failures < check.retries:
            return [Unwell(self.spec.name, failure, life.failures, check.retries)]
        times = f", {check.retries} times in a row" if check.retries > 1 else ""
        return self._fail(now, f"is unhealthy: {failure}{times}")

    def _extend(self, now: float, seconds: float) -> None:
        if now + seconds > self._due[Due.READY]:
            self._due[Due.READY] = now + seconds
            self._life.ready_within = now + seconds - self._life.started

    def _fail(self, now: float, fault: str) -> list[Effect]:
        """Ask it to stop because something is wrong with it, which counts as a failure."""
        self._life.fault = fault
        return self._ask(now, fault)

    def _ask(self, now: float, why: str = "") -> list[Effect]:
        assert self.pid is not None
        timeout = self.spec.stop_timeout
        due = {Due.KILL: now + timeout}
        if timeout > SLOW_STOP:
            due[Due.NOTICE] = now + SLOW_STOP
        if self.spec.last_signal is not None:
            due[Due.LAST_SIGNAL] = now + LAST_SIGNAL_AFTER * timeout
        unprobed = self._without_probe()
        asked = self._move(now, State.STOPPING, due, reason=why)
        return [*unprobed, asked, Kill(self.pid, self.spec.stop_signal, self.spec.stop_group)]

    def _without_probe(self) -> list[Effect]:
        if Due.ANSWER not in self._due:
            return []
        assert self.pid is not None
        return [CancelProbe(self.pid)]

    def _obeyed(self, status: ExitStatus) -> bool:
        """It ended by its stop signal, and in a way that means success."""
        return self.state is State.STOPPING and (
            status.shell == 0
            or status.signal == self.spec.stop_signal
            or status.shell in self.spec.success
        )

    def _ended_unasked(self, now: float, ended: Exited) -> list[Effect]:
        life = self._life
        failed = bool(life.fault) or ended.status.shell != 0
        recycled = self.spec.recycles and self.state is State.RUNNING and not failed
        if not self._restarts.wanted(failed or recycled):
            self.outcome = Outcome.FAILED
            return [self._bury(now, ended, consequence=STOPPING_EVERYTHING)]
        if recycled:
            return [self._restart(now, self._restarts.after_recycling(now, life.started), ended)]
        ready_for = 0.0 if life.ready is None else now - life.ready
        at = self._restarts.after_failure(now, ready_for, ended.jitter)
        if at is not None:
            return [self._restart(now, at, ended)]
        self.outcome = Outcome.FAILED
        return [self._bury(now, ended), self._give_up(now)]

    def _restart(self, now: float, at: float, ended: Exited) -> StateChanged:
        pause = at - now
        consequence = f"restarting in {pause:.2f} s" if pause else "restarting"
        buried = self._bury(
            now, ended, sweep_after=min(pause, SWEEP_AFTER), consequence=consequence
        )
        self._restart_at, self.overdue = at, False
        self.restarts += 1
        return buried

    def _give_up(self, now: float) -> StateChanged:
        limit = f"{self.spec.start_burst} starts in {self.spec.start_interval:g} s"
        return self._move(
            now,
            State.FATAL,
            dict(self._due),
            reason=f"{limit}, its START_LIMIT",
            consequence=STOPPING_EVERYTHING,
        )

    def _bury(
        self,
        now: float,
        ended: Exited,
        *,
        sweep_after: float = SWEEP_AFTER,
        expected: bool = False,
        consequence: str = "",
    ) -> StateChanged:
        life = self._life
        return self._move(
            now,
            State.EXITED,
            {Due.SWEEP: now + sweep_after},
            status=ended.status,
            expected=expected or self._obeyed(ended.status),
            reason=life.error or ("STOPPING=1" if life.stopping else ""),
            consequence=consequence,
            out_of_memory=ended.out_of_memory,
            memory=life.memory,
        )

    def _move(
        self,
        now: float,
        new: State,
        due: Mapping[Due, float] = MappingProxyType({}),
        *,
        status: Optional[ExitStatus] = None,
        expected: bool = False,
        reason: str = "",
        consequence: str = "",
        out_of_memory: bool = False,
        memory: Optional[int] = None,
    ) -> StateChanged:
        assert new in MOVES[self.state], f"{self.spec.name}: {self.state.name} -> {new.name}"
        changed = StateChanged(
            name=self.spec.name,
            old=self.state,
            new=new,
            pid=self.pid,
            after=now - self._life.started,
            lasted=now - self._since,
            ready=self.state is not State.STARTING or self.spec.oneshot,
            restarts=self.restarts,
            status=status,
            expected=expected,
            reason=reason,
            consequence=consequence,
            out_of_memory=out_of_memory,
            memory=memory,
        )
        self.state, self._due, self._since = new, dict(due), now
        return changed


_ACTIONS: Mapping[Due, Callable[[Instance, float], list[Effect]]] = MappingProxyType(
    {
        Due.START: Instance._begin,
        Due.READY: Instance._not_ready,
        Due.ANSWER: Instance._unanswered,
        Due.PROBE: Instance._probe,
        Due.WATCHDOG: Instance._silent,
        Due.MEASURE: Instance._measure,
        Due.NOTICE: Instance._still_running,
        Due.LAST_SIGNAL: Instance._last_step,
        Due.KILL: Instance._overrun,
        Due.SWEEP: Instance._sweep,
    }
)
