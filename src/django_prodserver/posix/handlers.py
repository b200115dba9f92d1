"""The handlers of ON_EVENT: errands deliver events to them, one batch after the other.

Events wait in the bounded history of recent events, so a flood drops the oldest. Each event is
delivered at most once: what a handler did with a batch before it failed or was killed is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from signal import Signals

from django_prodserver.control.events import Event, RecentEvents
from django_prodserver.logs.recent import Reader
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import Signalled
from django_prodserver.supervisor.hints import Any, Callable, Optional, Protocol
from django_prodserver.supervisor.record import Record

from .clock import in_utc
from .loop import Loop

# The task of the errands.
TASK = "handlers"
# A batch is delivered once it has this many events, or its first event is this many seconds old.
BATCH, AGE = 100, 1.0
# How long a batch may take, and at the end all batches that are left, in seconds.
WITHIN, LAST_WITHIN = 30.0, 5.0

Done = Callable[[Optional[bytes], str], None]


class Errands(Protocol):
    """Runs a task in a process that has loaded the project; see `posix.errands`."""

    def run(self, task: str, request: Any, within: float, done: Done) -> object: ...


class Handlers:
    """The handlers of one supervisor; `say` logs a line that is not an event."""

    def __init__(
        self,
        events: RecentEvents,
        errands: Errands,
        loop: Loop,
        say: Callable[[Record], None],
    ) -> None:
        self._events = events
        self._errands = errands
        self._loop = loop
        self._say = say
        # The run that the events name.
        self.run = ""
        # The dotted paths of the handlers.
        self._paths: Sequence[str] = ()
        self._reader: Optional[Reader[Event]] = None
        # How many events wait for delivery, and since when.
        self._waiting = 0
        self._since = 0.0
        # A batch is being delivered.
        self._delivering = False
        # Totals, for metrics: events that were dropped because too many were waiting, and events
        # with which a handler failed.
        self.dropped = 0
        self.failures = 0

    def use(self, paths: Sequence[str]) -> None:
        """Deliver to these handlers from now on, including events that are still waiting."""
        self._paths = paths
        if paths and self._reader is None:
            self._reader = self._events.since(self._events.number)
            self._events.follow(self._reader, self._happened)
        elif not paths and self._reader is not None:
            self._events.leave(self._reader)
            self._reader, self._waiting = None, 0

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` is due next, in the clock of the loop."""
        return self._since + AGE if self._waiting and not self._delivering else None

    def tick(self) -> None:
        """Deliver a batch if one is due. Call it before each poll."""
        if self._delivering or not self._waiting:
            return
        if self._waiting >= BATCH or self._loop.clock.now() >= self._since + AGE:
            self._deliver(WITHIN)

    def deliver_rest(self) -> None:
        """Deliver what is left and wait for that, at the end, while there is still a template.

        Stops after `LAST_WITHIN` seconds, or when a signal other than SIGHUP arrives.
        """
        end = self._loop.clock.now() + LAST_WITHIN
        while (self._waiting or self._delivering) and (left := end - self._loop.clock.now()) > 0:
            if not self._delivering:
                self._deliver(left)
            if any(map(_is_urgent, self._loop.wait(left))):
                return

    def _happened(self) -> None:
        if not self._waiting:
            self._since = self._loop.clock.now()
        self._waiting += 1

    def _deliver(self, within: float) -> None:
        assert self._reader is not None
        lost, batch = self._reader.take(BATCH)
        self.dropped += lost
        self._waiting = max(0, self._waiting - lost - len(batch))
        self._since = self._loop.clock.now()
        if not batch:
            self._waiting = 0
            return
        if lost:
            self._say(report.events_dropped(lost))
        documents = [event.document(self.run, in_utc(event.at)) for event in batch]
        self._delivering = True
        paths = list(self._paths)

        def done(answer: Optional[bytes], why: str) -> None:
            self._delivered(paths, len(batch), answer, why)

        self._errands.run(TASK, {"paths": paths, "events": documents}, within, done)

    def _delivered(
        self, paths: Sequence[str], count: int, answer: Optional[bytes], why: str
    ) -> None:
        self._delivering = False
        self._since = self._loop.clock.now()
        if answer is None:
            self.failures += count
            self._say(report.handlers_failed(count, why))
            return
        for path, failed, error in _failures(answer, paths):
            self.failures += failed
            self._say(report.handler_failed(path, failed, count, error))


def _failures(answer: bytes, paths: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """The handlers that have failed, from one line each: path, how often, and the first error.

    Other lines may have been written by a handler, and are skipped.
    """
    for line in answer.decode(errors="replace").splitlines():
        path, _, rest = line.partition(" ")
        failed, _, error = rest.partition(" ")
        if path in paths and failed.isdecimal():
            yield path, int(failed[:9]), error


def _is_urgent(event: Any) -> bool:
    return isinstance(event, Signalled) and event.signal is not Signals.SIGHUP
