"""Health: whether one life does its work: is ready, answers checks, and stays within limits.

Each input returns what has to be done, and a conclusion: READY, a fault, or nothing.
"""

from __future__ import annotations

import enum

from .commands import CancelProbe, Measure, ProbeKind, StartProbe
from .deadlines import Deadline
from .events import Notified, WatchdogMessage
from .facts import (
    CheckFailed,
    ChecksFailed,
    Fault,
    NoAnswer,
    NotChecked,
    NotReady,
    Output,
    ProbeFailure,
    ReportsLost,
    TooMuchMemory,
    WatchdogSilent,
    WatchdogTriggered,
)
from .hints import Optional, Union
from .spec import ReadyProbe, Ref, Spec

# In seconds: between two measurements of memory.
MEASURE_EVERY = 10.0
# The kernel accepts a connection at once, or never.
CONNECT = ReadyProbe(timeout=1.0, pause=0.125)


class Conclusion(enum.Enum):
    """What an input means if it is not a fault."""

    NOTHING = "goes on as it is"
    READY = "can do its work"
    STARTED = "counts as ready: nothing reports its readiness"


Answer = tuple[list[Output], Union[Conclusion, Fault]]
UNCHANGED: Answer = ([], Conclusion.NOTHING)


class Health:
    """The health of one life; the life owns the table of deadlines and the state.

    Before a life is ready, it may have READY probes; after that, health checks.
    """

    def __init__(self, ref: Ref, spec: Spec, deadlines: dict[Deadline, float]) -> None:
        self.ready_at: Optional[float] = None
        # Consecutive failed checks, and why the last check or READY probe failed.
        self.failures = 0
        self.last_failure: Optional[ProbeFailure] = None
        # In bytes, when last measured.
        self.memory: Optional[int] = None
        self._ref = ref
        self._spec = spec
        self._started = 0.0
        self._deadlines = deadlines
        self._ready_within = spec.ready_timeout
        self._check_succeeded = False
        # A probe could not begin, and none has been answered since.
        self._refused = False
        self._unheard = False
        self._ready_probe = spec.ready_probe or (CONNECT if spec.connects else None)

    # ---- inputs ----

    def started(self, now: float) -> Answer:
        """Its process exists. It counts as ready at once if nothing will report that it is."""
        self._started = now
        if self._spec.max_memory is not None:
            self._deadlines[Deadline.MEASURE] = now + MEASURE_EVERY
        if self._spec.oneshot:
            return UNCHANGED
        if not self._spec.reports_ready:
            return [], Conclusion.STARTED
        self._deadlines[Deadline.READY] = now + self._spec.ready_timeout
        if self._ready_probe is not None:
            self._deadlines[Deadline.PROBE] = now
        return UNCHANGED

    def became_ready(self, now: float) -> dict[Deadline, float]:
        """Mark the life as ready from now on, and return its new deadlines."""
        self.ready_at, self.last_failure = now, None
        deadlines = {}
        if self._spec.check is not None:
            deadlines[Deadline.PROBE] = now + self._spec.check.interval
        if self._spec.watchdog is not None:
            deadlines[Deadline.WATCHDOG] = now + self._spec.watchdog
        if Deadline.MEASURE in self._deadlines:
            deadlines[Deadline.MEASURE] = self._deadlines[Deadline.MEASURE]
        return deadlines

    def notified(self, now: float, message: Notified) -> Answer:
        """Handle a message from it, except what it says about its watchdog: see `pinged`."""
        # Only the time to become ready can be extended: platforms limit the time to stop.
        if message.extend_timeout is not None and Deadline.READY in self._deadlines:
            self._extend(now, message.extend_timeout)
        ready = message.ready and self.ready_at is None and not self._spec.oneshot
        return [], Conclusion.READY if ready else Conclusion.NOTHING

    def pinged(self, now: float, watchdog: Optional[WatchdogMessage]) -> Answer:
        if watchdog is WatchdogMessage.TRIGGER and self.ready_at is not None:
            return [], WatchdogTriggered()
        if watchdog is WatchdogMessage.PING and Deadline.WATCHDOG in self._deadlines:
            assert self._spec.watchdog is not None
            self._deadlines[Deadline.WATCHDOG] = now + self._spec.watchdog
        return UNCHANGED

    def flooded(self, now: float) -> Answer:
        """Its messages may have been lost, so its time to report starts again now."""
        if Deadline.WATCHDOG in self._deadlines:
            assert self._spec.watchdog is not None
            self._deadlines[Deadline.WATCHDOG] = now + self._spec.watchdog
        elif Deadline.READY in self._deadlines and self._spec.notifies:
            self._extend(now, self._spec.ready_timeout)
        else:
            return UNCHANGED
        known, self._unheard = self._unheard, True
        return [] if known else [ReportsLost(self._ref)], Conclusion.NOTHING

    def found_ready_line(self) -> Answer:
        """Its output contains the line that says it is ready."""
        ready = self.ready_at is None and not self._spec.oneshot
        return [], Conclusion.READY if ready else Conclusion.NOTHING

    def probed(self, now: float, failure: ProbeFailure) -> Answer:
        """A probe ended. Its answer is ignored if it comes too late."""
        if self._deadlines.pop(Deadline.ANSWER, None) is None:
            return UNCHANGED
        return self._answered(now, failure)

    def probe_refused(self, now: float, error: str) -> Answer:
        """A probe could not begin. That is not the life's fault, and the next one may succeed."""
        if self._deadlines.pop(Deadline.ANSWER, None) is None:
            return UNCHANGED
        self._deadlines[Deadline.PROBE] = now + self._pause
        known, self._refused = self._refused, True
        return [] if known else [NotChecked(self._ref, error)], Conclusion.NOTHING

    def measured(self, memory: int) -> Answer:
        self.memory = memory
        limit = self._spec.max_memory
        if limit is None or memory <= limit:
            return UNCHANGED
        return [], TooMuchMemory(memory, limit)

    def due(self, now: float, deadline: Deadline) -> Answer:
        """One of its deadlines has passed, and has been removed from the table."""
        if deadline is Deadline.READY:
            return [], NotReady(self._ready_within, self.last_failure)
        if deadline is Deadline.WATCHDOG:
            assert self._spec.watchdog is not None
            return [], WatchdogSilent(self._spec.watchdog)
        if deadline is Deadline.MEASURE:
            self._deadlines[Deadline.MEASURE] = now + MEASURE_EVERY
            return [Measure(self._ref)], Conclusion.NOTHING
        if deadline is Deadline.PROBE:
            self._deadlines[Deadline.ANSWER] = now + self._answer_within
            return [StartProbe(self._ref, self._kind)], Conclusion.NOTHING
        assert deadline is Deadline.ANSWER
        outputs, conclusion = self._answered(now, NoAnswer(self._answer_within))
        return [CancelProbe(self._ref), *outputs], conclusion

    def cancel_probe(self) -> list[Output]:
        """End the running probe, if any: its answer no longer matters."""
        if self._deadlines.pop(Deadline.ANSWER, None) is None:
            return []
        return [CancelProbe(self._ref)]

    # ---- decisions ----

    @property
    def _kind(self) -> ProbeKind:
        return ProbeKind.READY if self.ready_at is None else ProbeKind.HEALTH

    @property
    def _answer_within(self) -> float:
        if self.ready_at is None:
            assert self._ready_probe is not None
            return self._ready_probe.timeout
        assert self._spec.check is not None
        return self._spec.check.timeout

    @property
    def _pause(self) -> float:
        """Seconds from the answer to one probe until the next probe."""
        if self.ready_at is None:
            assert self._ready_probe is not None
            return self._ready_probe.pause
        assert self._spec.check is not None
        return self._spec.check.interval

    def _answered(self, now: float, failure: ProbeFailure) -> Answer:
        self._refused = False
        if self.ready_at is None and not failure:
            return [], Conclusion.READY
        self._deadlines[Deadline.PROBE] = now + self._pause
        if self.ready_at is None:
            if self._spec.ready_probe is not None:
                self.last_failure = failure
            return UNCHANGED
        check = self._spec.check
        assert check is not None
        if not failure:
            self.failures, self.last_failure, self._check_succeeded = 0, None, True
            return UNCHANGED
        if not self._check_succeeded and now - self._started < check.start_period:
            return UNCHANGED
        self.failures += 1
        self.last_failure = failure
        if self.failures < check.retries:
            return [
                CheckFailed(self._ref, failure, self.failures, check.retries)
            ], Conclusion.NOTHING
        return [], ChecksFailed(failure, check.retries)

    def _extend(self, now: float, seconds: float) -> None:
        if now + seconds > self._deadlines[Deadline.READY]:
            self._deadlines[Deadline.READY] = now + seconds
            self._ready_within = now + seconds - self._started
