"""How many health checks have succeeded, and how long they take."""

from __future__ import annotations

from django_prodserver.control.measured import Checked
from django_prodserver.posix.clock import Clock
from django_prodserver.supervisor.spec import Ref

from .probe import NotBegun, Outcome


class Checks:
    """The checks of each instance, over all of its lives."""

    def __init__(self, clock: Clock) -> None:
        self.found: dict[str, Checked] = {}
        self._clock = clock
        self._begun: dict[Ref, float] = {}

    def began(self, ref: Ref) -> None:
        self._begun[ref] = self._clock.now()

    def ended(self, ref: Ref, outcome: Outcome) -> None:
        """A probe has ended; it is ignored unless it was a health check."""
        began = self._begun.pop(ref, None)
        if began is None or isinstance(outcome, NotBegun):
            return
        count = self.found.get(ref.name, Checked()).count + (not outcome)
        self.found[ref.name] = Checked(count, self._clock.now() - began)

    def forget(self, ref: Ref) -> None:
        """Its probe has been cancelled."""
        self._begun.pop(ref, None)
