"""Events: what has happened recently, kept for clients that ask and for event handlers."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django_prodserver.logs.formats import SYSTEM
from django_prodserver.logs.recent import Memory, Reader, Ring
from django_prodserver.supervisor.hints import Any, Callable, Optional
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.spec import process_of

# The most events kept, and the most bytes of them.
MOST, KEPT = 1024, 1 << 20
# The memory that one takes in addition to its texts, in bytes; measured.
OVERHEAD = 700


class Event:
    """A record of the supervisor; `at` is when it was made, in seconds since 1970.

    `number` counts all events of this run. `name` is the instance that it is about, or "system".
    """

    __slots__ = ("at", "name", "number", "record", "size")

    counts = 1

    def __init__(self, number: int, at: float, record: Record) -> None:
        self.number = number
        self.at = at
        self.record = record
        self.name: str = record.fields.get("instance", SYSTEM)
        self.size = OVERHEAD + len(record.message) + len(repr(record.fields))

    def last(self, count: int) -> Event:
        return self

    def document(self, run: str, time: str) -> dict[str, Any]:
        """The event as its readers get it, in JSON types. Keys are never changed or removed."""
        fields = dict(self.record.fields)
        name = fields.pop("instance", None)
        return {
            "id": self.number,
            "run": run,
            "time": time,
            "event": self.record.event,
            "severity": self.record.severity.name,
            "process": None if name is None else process_of(name),
            "name": name,
            "pid": fields.pop("pid", None),
            **fields,
            "message": self.record.message,
        }


class RecentEvents(Memory[Event]):
    """The last events of a run."""

    def __init__(self, clock: Callable[[], float], most: int = MOST, kept: int = KEPT) -> None:
        super().__init__()
        self._clock = clock
        self._most, self._kept = most, kept
        self._ring: Ring[Event] = Ring()

    def add(self, record: Record) -> None:
        """Keep an event that happens now, and wake its followers."""
        self._number += 1
        event = Event(self._number, self._clock(), record)
        self._ring.add(event)
        while len(self._ring.entries) > self._most or self._ring.size > self._kept:
            self._drop_from(self._ring)
        for reader in list(self._followers):
            reader.wake(event.name)

    @property
    def number(self) -> int:
        """The number of the last event."""
        return self._number

    def after(self, number: int) -> Iterator[Event]:
        return self._ring.after(number)

    def since(self, number: int, names: Optional[Collection[str]] = None) -> Reader[Event]:
        """Read what came after this event; lost events are counted, whatever their names."""
        reader = self.read(names)
        number = min(number, self._number)
        dropped = self._number - len(self._ring.entries)
        reader.go_on_after(number, max(0, dropped - number))
        return reader
