"""Events: what has happened lately, kept for those who ask and those who are told."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django_prodserver.logs.formats import SYSTEM
from django_prodserver.logs.recent import Memory, Reader, Ring
from django_prodserver.supervisor.hints import Any, Callable, Optional
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.spec import process_of

# As many are kept, and no more than so many bytes of them.
MOST, KEPT = 1024, 1 << 20
# What it takes to keep one, beside its texts; measured, in bytes.
OVERHEAD = 700


class Event:
    """A record of the supervisor, and when it was made, in seconds since 1970.

    `number` is that of all events of this run. `name` is that of the instance that it is about, or
    "system".
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
        """What everybody is told of it, of JSON's types. Keys are only ever added."""
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
        """It happens now."""
        self._number += 1
        event = Event(self._number, self._clock(), record)
        self._ring.add(event)
        while len(self._ring.entries) > self._most or self._ring.size > self._kept:
            self._drop_from(self._ring)
        for reader in list(self._followers):
            reader.wake(event.name)

    @property
    def number(self) -> int:
        """That of the last one."""
        return self._number

    def after(self, number: int) -> Iterator[Event]:
        return self._ring.after(number)

    def since(self, number: int, names: Optional[Collection[str]] = None) -> Reader[Event]:
        """Read what came after this event; what is lost of it is counted, whatever its name."""
        reader = self.read(names)
        number = min(number, self._number)
        dropped = self._number - len(self._ring.entries)
        reader.go_on_after(number, max(0, dropped - number))
        return reader
