"""Whether an instance that exited on its own is restarted, and when."""

from __future__ import annotations

from collections import deque

from .hints import Optional
from .spec import RestartPolicy, Spec

# Software that recycles itself is restarted at once, but not sooner than this many seconds after
# its last start: if it found nothing to do, its starts would keep a processor busy.
SHORTEST_CYCLE = 0.125
# A pause is shortened by a random fraction, at most this one, so that processes that failed
# together do not restart together.
JITTER = 0.25


class Restarts:
    """The restart policy of one instance, its pauses and its start limit; times in seconds."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        # Starts in the last interval that count against the start limit.
        self._starts: deque[float] = deque()
        # The next start counts as well.
        self._counts = True
        # Consecutive restarts that did not lead to a stable run.
        self._failures = 0

    def answered(self, now: float) -> None:
        """A start was answered. It counts from now, because it may have been planned long ago."""
        if self._counts:
            self._starts.append(now)
        self._counts = False

    def wanted(self, failed: bool) -> bool:
        """Whether the policy wants a restart."""
        policy = self._spec.restart
        return policy is RestartPolicy.ALWAYS or (policy is RestartPolicy.ON_FAILURE and failed)

    def after_recycling(self, now: float, started: float) -> float:
        """When to restart: at once, and without counting against the limit."""
        return max(now, started + SHORTEST_CYCLE)

    def after_failure(self, now: float, ready_for: float, jitter: float) -> Optional[float]:
        """When to restart, after a pause; None if that would be one start too many.

        The pause doubles each time, and starts over after a stable run. `jitter`, from 0 to 1,
        shortens it a little.
        """
        spec = self._spec
        if ready_for >= spec.start_interval:
            self._failures = 0
        pause = min(spec.backoff_initial * 2.0 ** min(self._failures, 64), spec.backoff_max)
        at = now + pause * (1 - JITTER * jitter)
        while self._starts and self._starts[0] <= at - spec.start_interval:
            self._starts.popleft()
        if len(self._starts) >= spec.start_burst:
            return None
        self._failures += 1
        self._counts = True
        return at
