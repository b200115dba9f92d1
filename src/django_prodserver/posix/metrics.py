"""Metrics, measured only on request."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

from django_prodserver.control.documents import About
from django_prodserver.control.measured import Checked, Usage
from django_prodserver.control.tally import Tally
from django_prodserver.supervisor.hints import Callable
from django_prodserver.supervisor.snapshot import GroupSnapshot

from .handlers import Handlers
from .log import Log
from .usage import Meter, of_process

Measured = Mapping[str, Usage]


class Metrics:
    """All metrics of the supervisor and its processes."""

    def __init__(
        self,
        snapshot: Callable[[], GroupSnapshot],
        tally: Tally,
        meter: Meter,
        log: Log,
        checked: Mapping[str, Checked],
        handlers: Handlers,
        templates_lost: Callable[[], int],
    ) -> None:
        self._snapshot = snapshot
        self._tally = tally
        self._meter = meter
        self._log = log
        self._checked = checked
        self._handlers = handlers
        self._templates_lost = templates_lost

    def measure(self, done: Callable[[Measured], None]) -> None:
        """Call `done` with what `text` needs, now or in a later turn of the loop."""
        self._meter.measure(done)

    def text(self, about: About, measured: Measured) -> Iterator[str]:
        """The current metrics in the text format of Prometheus, in pieces."""
        # Imported here: most supervisors are never asked for metrics.
        from django_prodserver.control.exposition import rendered
        from django_prodserver.control.metrics import Readings, families

        log = self._log
        readings = Readings(
            now=time.time(),
            about=about,
            snapshot=self._snapshot(),
            tally=self._tally,
            counts=log.counts,
            supervisor=of_process(os.getpid(), shared=False),
            usage=measured,
            checked=self._checked,
            stalled_seconds=log.stalled_seconds,
            backlog_bytes=log.backlog,
            lost_bytes=log.lost,
            templates_lost=self._templates_lost(),
            events_dropped=self._handlers.dropped,
            handler_failures=self._handlers.failures,
        )
        return map(rendered, families(readings))
