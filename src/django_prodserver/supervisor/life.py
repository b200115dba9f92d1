"""Life: one operating-system process of an instance, from its spawn until its group is empty.

Every input is a cause, and one table maps each state and cause to the next state. A cause without
an entry has no effect. If it can come only from the operating system, a missing entry is a bug of
ours, and an assertion fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from signal import Signals
from types import MappingProxyType

from .commands import CancelSpawn, Kill
from .deadlines import Deadline
from .events import Exited, ExitStatus, Measured, Notified, Probed, ProbeRefused
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
from .hints import Optional
from .spec import Ref, Spec

# All in seconds. After its leader has exited, the rest of a process group may take this long to
# exit on its own.
SWEEP_AFTER = 1.0
# A stop that takes longer than this is reported.
SLOW_STOP = 1.0
# During a stop a line is logged at least this often, so that an operator who waits for minutes sees
# which tasks and how much time are left.
REPORT_EVERY = 30.0
# SIGKILL takes effect at once, or not for a long time (a process in uninterruptible sleep, or of
# another user).
LOSE_AFTER = 5.0
# The escalation signal is sent after this fraction of the stop timeout.
ESCALATE_AFTER = 0.7


class Cause(Enum):
    """What may change the state of a life."""

    SPAWNED = "the operating system started it"
    REFUSED = "the operating system could not start it"
    READY = "it can do its work"
    STOP = "it is asked to stop"
    KILL = "it must be killed"
    EXITED = "its leader exited"
    EMPTIED = "its process group is empty"
    EXPIRED = "it survived SIGKILL"


# The next state, by state and cause.
TABLE: Mapping[LifeState, Mapping[Cause, LifeState]] = MappingProxyType(
    {
        LifeState.SPAWNING: {
            Cause.SPAWNED: LifeState.STARTING,
            Cause.REFUSED: LifeState.GONE,
            Cause.STOP: LifeState.CANCELLING,
            Cause.KILL: LifeState.DISCARDING,
        },
        LifeState.CANCELLING: {
            Cause.SPAWNED: LifeState.STOPPING,
            Cause.REFUSED: LifeState.GONE,
            Cause.KILL: LifeState.DISCARDING,
        },
        LifeState.DISCARDING: {
            Cause.SPAWNED: LifeState.KILLING,
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
        # It may still exit, for example when its uninterruptible sleep ends.
        LifeState.LOST: {
            Cause.EXITED: LifeState.LOST,
            Cause.EMPTIED: LifeState.GONE,
        },
    }
)
# These come only from the operating system, and only in states for which the table has them.
REPORTED = frozenset({Cause.SPAWNED, Cause.REFUSED, Cause.EXITED, Cause.EMPTIED})

# Its start is not answered yet, so it cannot be signalled.
UNANSWERED = frozenset({LifeState.SPAWNING, LifeState.CANCELLING, LifeState.DISCARDING})
ALIVE = frozenset(
    {
        *UNANSWERED,
        LifeState.STARTING,
        LifeState.RUNNING,
        LifeState.STOPPING,
        LifeState.KILLING,
    }
)
# Something stopped it, or tried to.
ASKED = frozenset({LifeState.STOPPING, LifeState.KILLING, LifeState.LOST})
# It is working, or about to.
WORKING = frozenset({LifeState.STARTING, LifeState.RUNNING})


def obeys(spec: Spec, status: ExitStatus) -> bool:
    """Whether this is a normal exit status after its stop signal."""
    return (
        status.shell == 0
        or status.signal == spec.stop_signal
        or status.shell in spec.success_exit_statuses
    )


class Life:
    """One life: it knows its spec and its health, but not the restart policy or any other life.

    It has one table of deadlines, on the clock of `now`; every change of state replaces them all.
    """

    def __init__(self, ref: Ref, spec: Spec, now: float) -> None:
        self.ref = ref
        self.state = LifeState.SPAWNING
        self.started = self.since = now
        self.deadlines: dict[Deadline, float] = {}
        self.health = Health(ref, spec, self.deadlines)
        # Why it has to stop, if the reason is its own fault.
        self.fault: Optional[Fault] = None
        # It was sent SIGKILL because it exceeded its stop timeout.
        self.overran = False
        self._spec = spec
        self._stop_timeout = spec.stop_timeout
        # Signals that were sent to it at the request of operators.
        self._sent: set[int] = set()
        # What it reported about its end.
        self._error = ""
        self._said_stopping = False
        # Its last STATUS=, and the last one since it was asked to stop.
        self.message: Optional[str] = None
        self._message_of_stop = ""

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something has to be done, or None."""
        return min(self.deadlines.values(), default=None)

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    @property
    def reports_ready(self) -> bool:
        """Something reports when it is ready."""
        return self._spec.reports_ready

    @property
    def asked(self) -> bool:
        """It was stopped on request, not because of a fault; it may have exited just before."""
        return self.state in ASKED and self.fault is None

    # ---- the operating system reports ----

    def spawned(self, now: float) -> list[Output]:
        """Its process exists, and its time begins. A cancellation of its start was too late."""
        self.started = now
        if self.state is LifeState.CANCELLING:
            return self._ask_to_stop(now, Cause.SPAWNED)
        if self.state is LifeState.DISCARDING:
            return self._kill(now, Cause.SPAWNED)
        self._move(now, Cause.SPAWNED)
        return self._conclude(now, self.health.started(now))

    def refused(self, now: float) -> None:
        self._move(now, Cause.REFUSED)

    def exited(self, now: float, sweep_after: float) -> None:
        """Its leader exited; the rest of its process group has this many seconds to exit too."""
        lost = self.state is LifeState.LOST
        self._move(now, Cause.EXITED, {} if lost else {Deadline.SWEEP: now + sweep_after})

    def group_gone(self, now: float) -> None:
        self._move(now, Cause.EMPTIED)

    def notified(self, now: float, message: Notified, health_matters: bool) -> list[Output]:
        """Handle a message from it.

        What it says about its health counts only if `health_matters`.
        """
        self._error = message.error or self._error
        self._said_stopping = message.stopping or self._said_stopping
        outputs: list[Output] = []
        if message.status is not None:
            self.message = message.status
            if self.state is LifeState.STOPPING:
                self._message_of_stop = message.status
            outputs.append(StatusReported(self.ref, message.status))
        if health_matters:
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

    def stop(
        self, now: float, fault: Optional[Fault] = None, within: Optional[float] = None
    ) -> list[Output]:
        """Ask it to stop, once: for much software, a second stop signal means "drop your work".

        A start that is not answered yet is cancelled. The life gets its stop timeout, but at most
        `within` seconds from now, even if it is already stopping.
        """
        if within is not None:
            self._limit(now, within)
        if self.state in UNANSWERED:
            return self._cancel(now, Cause.STOP)
        return self._ask_to_stop(now, Cause.STOP, fault)

    def kill(self, now: float, overran: Optional[float] = None) -> list[Output]:
        """Kill it and its process group at once, or what is left of the group of a dead leader."""
        if self.state in UNANSWERED:
            return self._cancel(now, Cause.KILL)
        if self.state is LifeState.SWEEPING:
            return self._sweep(now)
        return self._kill(now, Cause.KILL, overran)

    def forward(self, signal: Signals) -> list[Output]:
        """Pass a signal on if its software handles it; other software would be killed by it."""
        if signal not in self._spec.forwards or self.state is not LifeState.RUNNING:
            return []
        return [Kill(self.ref, signal)]

    def send(self, signal: Signals) -> list[Output]:
        """Send a signal that an operator has chosen, whatever it does to this software."""
        if self.state not in WORKING:
            return []
        self._sent.add(signal)
        return [Kill(self.ref, signal)]

    def ignore_health(self) -> list[Output]:
        """It will be stopped anyway, so its health no longer matters."""
        if self.state not in WORKING:
            return []
        cancelled = self.health.cancel_probe()
        self.deadlines.clear()
        return cancelled

    def let_finish(self, now: float) -> list[Output]:
        """Let a oneshot finish, within its stop timeout; reported once."""
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
        """How it ended. Call this before `exited`, which changes the state."""
        status, spec = exited.status, self._spec
        finished = spec.oneshot and self.state is LifeState.STARTING and status.code == 0
        obeyed = self.state is LifeState.STOPPING and obeys(spec, status)
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
            meaning="" if status.code is None else spec.exit_meanings.get(status.code, ""),
            sent=status.signal in self._sent,
            reported=self._error or ("STOPPING=1" if self._said_stopping else ""),
        )

    # ---- how ----

    def _due(self, now: float, due: Deadline) -> list[Output]:
        if due is Deadline.KILL:
            return self.kill(now, overran=self._stop_timeout)
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

    def _cancel(self, now: float, cause: Cause) -> list[Output]:
        first = self.state is LifeState.SPAWNING
        self._move(now, cause)
        return [CancelSpawn(self.ref)] if first else []

    def _limit(self, now: float, within: float) -> None:
        end = self.deadlines.get(Deadline.KILL) if self.state is LifeState.STOPPING else None
        if end is None:
            self._stop_timeout = min(within, self._stop_timeout)
        elif now + within < end:
            self._stop_timeout = now + within - self.since
            self.deadlines[Deadline.KILL] = now + within
            self.deadlines.pop(Deadline.NOTICE, None)
            if Deadline.ESCALATE in self.deadlines:
                again = now + ESCALATE_AFTER * within
                self.deadlines[Deadline.ESCALATE] = min(again, self.deadlines[Deadline.ESCALATE])

    def _ask_to_stop(self, now: float, cause: Cause, fault: Optional[Fault] = None) -> list[Output]:
        timeout, escalation = self._stop_timeout, self._spec.escalation_signal
        deadlines = {Deadline.KILL: now + timeout}
        if timeout > SLOW_STOP:
            deadlines[Deadline.NOTICE] = now + SLOW_STOP
        if escalation is not None:
            deadlines[Deadline.ESCALATE] = now + ESCALATE_AFTER * timeout
        cancelled = self.health.cancel_probe()
        if not self._move(now, cause, deadlines):
            return cancelled
        self.fault = fault
        asked = self._ask(self._spec.stop_signal, self._spec.stop_group)
        return [*cancelled, Stopping(self.ref, fault), *asked]

    def _kill(self, now: float, cause: Cause, overran: Optional[float] = None) -> list[Output]:
        cancelled = self.health.cancel_probe()
        if not self._move(now, cause, {Deadline.LOSE: now + LOSE_AFTER}):
            return cancelled
        self.overran = overran is not None
        kill = Kill(self.ref, Signals.SIGKILL, group=True)
        return [*cancelled, Killing(self.ref, overran), kill]

    def _ask(self, signal: Signals, group: bool = False) -> list[Output]:
        """Ask it to stop, and send SIGCONT: a paused process (SIGSTOP, Ctrl-Z) could not react.

        SIGCONT goes to its whole group, because the leader may wait for its workers. systemd does
        the same, see systemd.kill(5). SIGCONT has no effect on a process that is not paused.
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
        half = end - self._stop_timeout / 2
        again = min(now + REPORT_EVERY, half if now < half else end)
        if again < end:
            self.deadlines[Deadline.NOTICE] = again
        said = self._message_of_stop
        reported = {self.ref.name: said} if said else {}
        return [StillRunning((self.ref.name,), end - now, reported)]

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
        """Move as the table says; False if the cause has no effect in this state."""
        new = TABLE[self.state].get(cause)
        if new is None:
            assert cause not in REPORTED, f"{self.ref}: {cause.name} while {self.state.name}"
            return False
        if new is not self.state:
            self.state, self.since = new, now
        self.deadlines.clear()
        self.deadlines.update(deadlines)
        return True
