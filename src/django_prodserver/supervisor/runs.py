"""The runs of a scheduled instance: when the next one is, and whether it may begin."""

from __future__ import annotations

from .commands import PlanRun
from .hints import Optional

# In seconds: when a run is planned that is further away, the plan is made again so often, because
# clocks are set, and machines sleep.
PLAN_EVERY = 60.0


class Runs:
    """Those of one instance, of which one at a time is planned."""

    __slots__ = ("_ended", "at", "due", "planning")

    def __init__(self) -> None:
        # It is asked when the next one is.
        self.planning = False
        # When that is, once it is known; and it begins as soon as a life can.
        self.at: Optional[float] = None
        self.due = False
        # The last one has ended since the next one was planned.
        self._ended = False

    def plan(self, name: str) -> PlanRun:
        self.planning = True
        return PlanRun(name, self._ended)

    def planned(self, now: float, after: float) -> float:
        """The next one is so many seconds after `now`; returns when to begin it or ask again."""
        self.planning = self._ended = False
        self.at, self.due = now + after, after <= PLAN_EVERY
        return now + min(after, PLAN_EVERY)

    def ended(self) -> None:
        self._ended, self.due = True, False

    def cancel(self) -> None:
        """Let there be no next one."""
        self.planning, self.due, self.at = False, False, None
