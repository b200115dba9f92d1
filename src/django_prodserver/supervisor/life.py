"""Life: one operating-system process of an instance, from its spawn until its group is empty.

Every input is a cause, and one table says where it leads from each state. What means nothing in a
state has no effect there; what cannot come there is our bug, and an assertion.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from signal import Signals
from types import MappingProxyType
from typing import Optional

from .commands import Kill
from .deadlines import Deadline
from .events import Exited, Measured, Notified, Probed, ProbeRefused
from .facts import (
    Ended,
    Escalated,
    Fault,
    Killing,
    LifeState,
    Output,
    Ready,
    Started,
    StatusReported,
    StillRunning,
    Stopping,
    WaitingToFinish,
)
from .health import Answer, Conclusion, Health
from .spec import Ref, Spec

# In seconds: the rest of a dead leader's process group may take this long to end by itself; a stop
# that takes longer than this is reported; SIGKILL takes at once, or not for a long time (a process
# in uninterruptible sleep, or of another user).
SWEEP_AFTER = 1.0
SLOW_STOP = 1.0
LOSE_AFTER = 5.0
# The escalation signal is sent after this part of the stop timeout.
ESCALATE_AFTER = 0.7


class Cause(Enum):
    """What may change the state of a life."""

    SPAWNED = "the operating system started it"
    REFUSED = "the operating system could not start it"
    READY = "it can do its work"
    STOP = "it is asked to stop"
    KILL = "it is to be killed"
    EXITED = "its leader exited"
    EMPTIED = "its process group is empty"
    EXPIRED = "SIGKILL did not take in time"


# By state and cause the next state.
TABLE: Mapping[LifeState, Mapping[Cause, LifeState]] = MappingProxyType(
    {
        LifeState.SPAWNING: {
            Cause.SPAWNED: LifeState.STARTING,
            Cause.REFUSED: LifeState.GONE,
        },
        LifeState.STARTING: {
            Cause.READY: LifeState.RUNNING,
            Cause.STOP: LifeState.STOPPING,
            Cause.KILL: LifeState.KILLING,
            Cause.EXITED: LifeState.SWEEPING,
        },
        LifeState.RUNNING: {
            Cause.STOP: LifeState.STOPPING,
            Cause.KILL: LifeState.KILLING,
            Cause.EXITED: LifeState.SWEEPING,
        },
        LifeState.STOPPING: {
            Cause.KILL: LifeState.KILLING,
            Cause.EXITED: LifeState.SWEEPING,
        },
        LifeState.KILLING: {
            Cause.EXITED: LifeState.SWEEPING,
            Cause.EXPIRED: LifeState.LOST,
        },
        LifeState.SWEEPING: {
            Cause.EMPTIED: LifeState.GONE,
            Cause.EXPIRED: LifeState.LOST,
        },
        LifeState.GONE: {},
        # It may end after all, when whatever held it lets it go.
        LifeState.LOST: {
            Cause.EXITED: LifeState.LOST,
            Cause.EMPTIED: LifeState.GONE,
        },
    }
)
# These come from the operating system alone, and only where the table has them.
REPORTED = frozenset({Cause.SPAWNED, Cause.REFUSED, Cause.EXITED, Cause.EMPTIED})

ALIVE = frozenset(
    {
        LifeState.SPAWNING,
        LifeState.STARTING,
        LifeState.RUNNING,
        LifeState.STOPPING,
        LifeState.KILLING,
    }
)
# Something stopped it, or tried to.
ASKED = frozenset({LifeState.STOPPING, LifeState.KILLING, LifeState.LOST})
# It does its work, or is about to.
WORKING = frozenset({LifeState.STARTING, LifeState.RUNNING})


class Life:
    """One life. Its deadlines, in the clock of `now`, are one table, which every move empties.

    It knows its spec and its health; neither the restart policy nor any other life.
    """

    def __init__(self, ref: Ref, spec: Spec, now: float) -> None:
        self.ref = ref
        self.state = LifeState.SPAWNING
        self.started = self.since = now
        self.deadlines: dict[Deadline, float] = {}
        self.health = Health(ref, spec, now, self.deadlines)
        # Why it has to stop, where the reason is its own.
        self.fault: Optional[Fault] = None
        # It was sent SIGKILL because it exceeded its stop timeout.
        self.overran = False
        self._spec = spec
        # What it reported about its end.
        self._error = ""
        self._said_stopping = False

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something has to be done, or None."""
        return min(self.deadlines.values(), default=None)

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    @property
    def tells(self) -> bool:
        """Something tells when it is ready."""
        return self._spec.tells

    @property
    def asked(self) -> bool:
        """It was stopped on request, for no fault of its own; or the request was in vain."""
        return self.state in ASKED and self.fault is None

    # ---- the operating system reports ----

    def spawned(self, now: float) -> list[Output]:
        self._move(now, Cause.SPAWNED)
        return self._conclude(now, self.health.started(now))

    def refused(self, now: float) -> None:
        self._move(now, Cause.REFUSED)

    def exited(self, now: float, sweep_after: float) -> None:
        """Its leader exited: the rest of the group has so many seconds to do so, too."""
        lost = self.state is LifeState.LOST
        self._move(now, Cause.EXITED, {} if lost else {Deadline.SWEEP: now + sweep_after})

    def group_gone(self, now: float) -> None:
        self._move(now, Cause.EMPTIED)

    def notified(self, now: float, message: Notified, minded: bool) -> list[Output]:
        """It reported something; what that says of its health counts only where it is minded."""
        self._error = message.error or self._error
        self._said_stopping = message.stopping or self._said_stopping
        outputs: list[Output] = []
        if message.status is not None:
            outputs.append(StatusReported(self.ref, message.status))
        if minded:
            outputs += self._conclude(now, self.health.notified(now, message))
            outputs += self._conclude(now, self.health.pinged(now, message.watchdog))
        return outputs

    def flooded(self, now: float) -> list[Output]:
        return self._conclude(now, self.health.flooded(now))

    def found_ready_line(self, now: float) -> list[Output]:
        return self._conclude(now, self.health.found_ready_line())

    def probed(self, now: float, probed: Probed) -> list[Output]:
        return self._conclude(now, self.health.probed(now, probed.failure))

    def probe_refused(self, now: float, refused: ProbeRefused) -> list[Output]:
        return self._conclude(now, self.health.probe_refused(now, refused.error))

    def measured(self, now: float, measured: Measured) -> list[Output]:
        return self._conclude(now, self.health.measured(measured.memory))

    # ---- the supervisor decides ----

    def stop(self, now: float, fault: Optional[Fault] = None) -> list[Output]:
        """Ask it to end, once: to much software a second stop signal means to drop its work."""
        timeout, escalation = self._spec.stop_timeout, self._spec.escalation_signal
        deadlines = {Deadline.KILL: now + timeout}
        if timeout > SLOW_STOP:
            deadlines[Deadline.NOTICE] = now + SLOW_STOP
        if escalation is not None:
            deadlines[Deadline.ESCALATE] = now + ESCALATE_AFTER * timeout
        cancelled = self.health.cancel_probe()
        if not self._move(now, Cause.STOP, deadlines):
            return cancelled
        self.fault = fault
        asked = self._ask(self._spec.stop_signal, self._spec.stop_group)
        return [*cancelled, Stopping(self.ref, fault), *asked]

    def kill(self, now: float, overran: Optional[float] = None) -> list[Output]:
        """End it and its process group at once; where its leader is dead, the rest of the group."""
        if self.state is LifeState.SWEEPING:
            return self._sweep(now)
        cancelled = self.health.cancel_probe()
        if not self._move(now, Cause.KILL, {Deadline.LOSE: now + LOSE_AFTER}):
            return cancelled
        self.overran = overran is not None
        kill = Kill(self.ref, Signals.SIGKILL, group=True)
        return [*cancelled, Killing(self.ref, overran), kill]

    def forward(self, signal: Signals) -> list[Output]:
        """Pass a signal on, if it means something to this software; it would kill any other."""
        if signal not in self._spec.forwards or self.state is not LifeState.RUNNING:
            return []
        return [Kill(self.ref, signal)]

    def ignore_health(self) -> list[Output]:
        """It is going to be stopped anyway: its health no longer matters."""
        if self.state not in WORKING:
            return []
        cancelled = self.health.cancel_probe()
        self.deadlines.clear()
        return cancelled

    def let_finish(self, now: float) -> list[Output]:
        """Let a oneshot finish its work, for as long as a stop may take. Said once."""
        if self.state is not LifeState.STARTING or Deadline.FINISH in self.deadlines:
            return []
        self.deadlines[Deadline.FINISH] = now + self._spec.stop_timeout
        return [WaitingToFinish((self.ref.name,), self._spec.stop_timeout)]

    def tick(self, now: float) -> list[Output]:
        """Do what is due."""
        outputs: list[Output] = []
        while self.deadlines:
            due = next((one for one in Deadline if self.deadlines.get(one, now + 1) <= now), None)
            if due is None:
                break
            del self.deadlines[due]
            outputs += self._due(now, due)
        return outputs

    def ended(self, now: float, exited: Exited) -> Ended:
        """How it ended, before `exited` moves it on."""
        status, spec = exited.status, self._spec
        finished = spec.oneshot and self.state is LifeState.STARTING and status.code == 0
        obeyed = self.state is LifeState.STOPPING and (
            status.shell == 0
            or status.signal == spec.stop_signal
            or status.shell in spec.success_exit_statuses
        )
        return Ended(
            ref=self.ref,
            old=self.state,
            status=status,
            after=now - self.started,
            lasted=now - self.since,
            expected=finished or obeyed,
            oneshot=spec.oneshot,
            out_of_memory=exited.out_of_memory,
            memory=self.health.memory,
            reported=self._error or ("STOPPING=1" if self._said_stopping else ""),
        )

    # ---- how ----

    def _due(self, now: float, due: Deadline) -> list[Output]:
        if due is Deadline.KILL:
            return self.kill(now, overran=self._spec.stop_timeout)
        if due is Deadline.FINISH:
            return self.stop(now)
        if due is Deadline.ESCALATE:
            signal = self._spec.escalation_signal
            assert signal is not None
            return [Escalated(self.ref, signal), *self._ask(signal)]
        if due is Deadline.NOTICE:
            return self._still_running(now)
        if due is Deadline.SWEEP:
            return self._sweep(now)
        if due is Deadline.LOSE:
            self._move(now, Cause.EXPIRED)
            return []
        return self._conclude(now, self.health.due(now, due))

    def _ask(self, signal: Signals, group: bool = False) -> list[Output]:
        """Ask it to end. What is stopped (SIGSTOP, Ctrl-Z) goes on, or it could not obey.

        All of its group: a leader that obeys may wait for its workers. systemd.kill(5) does it for
        whatever it asks to end; to a process that is not stopped SIGCONT means nothing.
        """
        return [Kill(self.ref, signal, group), Kill(self.ref, Signals.SIGCONT, group=True)]

    def _conclude(self, now: float, answer: Answer) -> list[Output]:
        outputs, conclusion = answer
        if conclusion is Conclusion.NOTHING:
            return outputs
        if not isinstance(conclusion, Conclusion):
            return [*outputs, *self.stop(now, conclusion)]
        cancelled = self.health.cancel_probe()
        self._move(now, Cause.READY, self.health.became_ready(now))
        if conclusion is Conclusion.STARTED:
            return [*outputs, Started(self.ref)]
        return [*outputs, *cancelled, Ready(self.ref, now - self.started)]

    def _still_running(self, now: float) -> list[Output]:
        end = self.deadlines[Deadline.KILL]
        half = end - self._spec.stop_timeout / 2
        if now < half:
            self.deadlines[Deadline.NOTICE] = half
        return [StillRunning((self.ref.name,), end - now)]

    def _sweep(self, now: float) -> list[Output]:
        self.deadlines[Deadline.SWEEP] = now + SWEEP_AFTER
        self.deadlines.setdefault(Deadline.LOSE, now + LOSE_AFTER)
        return [Kill(self.ref, Signals.SIGKILL, group=True)]

    def _move(
        self,
        now: float,
        cause: Cause,
        deadlines: Mapping[Deadline, float] = MappingProxyType({}),
    ) -> bool:
        """Go where the table leads; False where the cause means nothing in this state."""
        new = TABLE[self.state].get(cause)
        if new is None:
            assert cause not in REPORTED, f"{self.ref}: {cause.name} while {self.state.name}"
            return False
        if new is not self.state:
            self.state, self.since = new, now
        self.deadlines.clear()
        self.deadlines.update(deadlines)
        return True
