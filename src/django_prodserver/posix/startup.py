"""Startup times in the clock of the supervisor; templates report in that of `time.monotonic`."""

from __future__ import annotations

import time

from django_prodserver.control.analysis import document
from django_prodserver.control.documents import About, Moment
from django_prodserver.control.startup import Load, Preload, Startups
from django_prodserver.supervisor.facts import Fact
from django_prodserver.supervisor.hints import Any
from django_prodserver.supervisor.snapshot import GroupSnapshot

from .clock import Clock
from .program import Stage
from .template.plan import Plan


class TimedStartups:
    """The startups of this supervisor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._startups = Startups()
        # When the observed facts were decided. Carrying out a decision may take long: without a
        # template, a start loads the project.
        self.decided_at = 0.0

    def begin(self, plan: Plan) -> None:
        """Record the plan that is run from the start."""
        self._startups.begin(0, self._moment(plan.began))
        self.planned(0, plan)

    def planned(self, generation: int, plan: Plan) -> None:
        """Record the plan that results from a load of the project."""
        forked = {name: one.stage for name, one in plan.programs.items() if not one.execute}
        self._startups.planned(generation, plan.specs, forked)
        if plan.preload is not None:
            self.loaded(generation, plan.stage, plan.preload)

    def loaded(self, generation: int, stage: Stage, preload: Preload) -> None:
        self._startups.loaded(generation, Load(stage, self._moment(preload.began), preload))

    def observe(self, fact: Fact) -> None:
        self._startups.observe(self.decided_at, fact)

    def document(self, snapshot: GroupSnapshot, about: About, moment: Moment) -> dict[str, Any]:
        return document(self._startups, snapshot, self._clock.now(), about, moment)

    def _moment(self, monotonic: float) -> float:
        return self._clock.now() - (time.monotonic() - monotonic)
