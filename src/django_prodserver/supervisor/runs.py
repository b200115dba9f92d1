"""The runs of a scheduled instance: when the next one is, and whether it may begin."""

from __future__ import annotations

from .commands import PlanRun
from .hints import Optional

# In seconds: a run that is further away than this is planned again this often, because clocks are
# set and machines sleep.
PLAN_EVERY = 60.0


class Runs:
    """The runs of one instance; one at a time is planned."""

    __slots__ = ("_ended", "at", "due", "planning")

    def __init__(self) -> None:
        # `PlanRun` has not been answered yet.
        self.planning = False
        # When the next run is, if known; and whether it begins as soon as a life can.
        self.at: Optional[float] = None
        self.due = False
        # A run has ended since the last plan was made.
        self._ended = False

    def plan(self, name: str) -> PlanRun:
        self.planning = True
        return PlanRun(name, self._ended)

    def planned(self, now: float, after: float) -> float:
        """The next run is `after` seconds after `now`; return when to begin it or ask again."""
        self.planning = self._ended = False
        self.at, self.due = now + after, after <= PLAN_EVERY
        return now + min(after, PLAN_EVERY)

    def ended(self) -> None:
        self._ended, self.due = True, False

    def cancel(self) -> None:
        """Cancel the next run."""
        self.planning, self.due, self.at = False, False, None
