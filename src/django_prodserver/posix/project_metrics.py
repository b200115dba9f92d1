"""The project's own metrics, as prometheus_client keeps them: collected by an errand."""

from __future__ import annotations

import os

from django_prodserver.supervisor import report
from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.record import Record

from . import metrics_folder
from .errands import Done, Errands

# The task, and how long it may take, in seconds.
TASK = "metrics"
WITHIN = 2.0


class ProjectMetrics:
    """Collects once for all waiting requests. Of consecutive failures the first is logged."""

    def __init__(self, errands: Errands, say: Callable[[Record], None]) -> None:
        self._errands = errands
        self._say = say
        self._waiting: list[Done] = []
        self._failed = False

    @property
    def exist(self) -> bool:
        """Whether there may be any metrics: a process without metrics creates no file."""
        folder = os.environ.get(metrics_folder.VARIABLE)
        try:
            return bool(folder and os.listdir(folder))
        except OSError:
            return True  # The errand reports the problem.

    def collect(self, done: Done) -> None:
        """Call `done` later: with the metrics as text and "", or with None and the reason."""
        self._waiting.append(done)
        if len(self._waiting) == 1:
            ours = metrics_folder.ours()
            # Only our own folder is tidied up.
            request = None if ours is None else ours.inner
            self._errands.run(TASK, request, WITHIN, self._collected)

    def _collected(self, text: Optional[bytes], why: str) -> None:
        if text is None and not self._failed:
            self._say(report.project_metrics_failed(why))
        self._failed = text is None
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(text, why)
