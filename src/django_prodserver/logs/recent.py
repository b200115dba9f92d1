"""The last lines of each process, kept in memory for clients that ask for them.

A follower has a position in them and no queue: what is dropped before it is read is counted. Other
things that are kept, such as events, are read and followed in the same way.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterator

from django_prodserver.supervisor.hints import Callable, Generic, Optional, Protocol, TypeVar
from django_prodserver.supervisor.spec import process_of

from .lines import Block

# The most bytes kept of each process.
KEPT = 1 << 16
# The memory that an entry takes in addition to its lines, in bytes; measured.
OVERHEAD = 200
# Roughly how many bytes a reader gets at once; and how many if it asks for a number of entries.
BATCH, MOST = 1 << 14, 1 << 18


class Kept(Protocol):
    """Something that came from one instance, or from the supervisor.

    `number` counts all of its kind, in order. `size` is in bytes; `counts` is how many lines or
    events are lost with it.
    """

    number: int
    name: str

    @property
    def size(self) -> int: ...

    @property
    def counts(self) -> int: ...

    def last(self: K, count: int) -> K:
        """Only the last part of it, which `counts` as this many."""


K = TypeVar("K", bound=Kept)


class Entry:
    """Whole lines of one instance that came together. (A `Value` would take four times as long.)

    `number` counts all entries, in order; `at` is in seconds since 1970.
    """

    __slots__ = ("at", "lines", "name", "number", "stream")

    def __init__(self, number: int, at: float, name: str, stream: str, lines: bytes) -> None:
        self.number = number
        self.at = at
        self.name = name
        self.stream = stream
        self.lines = lines

    @property
    def size(self) -> int:
        return len(self.lines) + OVERHEAD

    @property
    def counts(self) -> int:
        return self.lines.count(b"\n")

    def last(self, count: int) -> Entry:
        lines = b"".join(self.lines.splitlines(keepends=True)[-count:])
        return Entry(self.number, self.at, self.name, self.stream, lines)


class Memory(Generic[K]):
    """What is kept, as its readers and followers see it."""

    def __init__(self) -> None:
        self._number = 0
        # The readers that follow; a dict, because sets have no order.
        self._followers: dict[Reader[K], None] = {}

    def after(self, number: int) -> Iterator[K]:
        """Everything kept that came after this number, in order."""
        raise NotImplementedError

    def read(
        self, names: Optional[Collection[str]] = None, last: Optional[int] = None
    ) -> Reader[K]:
        """Read what is kept of some instances and processes, or all; at most the `last` lines."""
        return Reader(self, names, last)

    def follow(self, reader: Reader[K], wake: Callable[[], object]) -> None:
        """From now on, count what the reader misses, and call `wake` when there is more for it."""
        reader.on_more = wake
        self._followers[reader] = None

    def leave(self, reader: Reader[K]) -> None:
        self._followers.pop(reader, None)

    def _drop_from(self, ring: Ring[K]) -> None:
        dropped = ring.drop()
        for reader in self._followers:
            reader.missed(dropped, dropped.counts)


class Recent(Memory[Entry]):
    """What has been logged recently; each process has its own ring."""

    def __init__(self, kept: int = KEPT) -> None:
        super().__init__()
        self._kept = kept
        # By process name, and the same rings by instance name.
        self._rings: dict[str, Ring[Entry]] = {}
        self._of_instances: dict[str, Ring[Entry]] = {}

    def add(self, at: float, name: str, stream: str, block: Block) -> None:
        """Keep what is logged now; only the last part of it if it is too much."""
        ring = self._of_instances.get(name) or self._ring_of(name)
        self._number += 1
        lines = _tail(block, self._kept - OVERHEAD)
        ring.add(Entry(self._number, at, name, stream, lines))
        while ring.size > self._kept:
            self._drop_from(ring)
        if self._followers:
            # What was cut off this entry is counted only if there are followers.
            cut = bytes(block).count(b"\n") - lines.count(b"\n")
            for reader in self._followers:
                reader.missed(ring.entries[-1], cut)
                reader.wake(name)

    def after(self, number: int) -> Iterator[Entry]:
        rings = [ring for ring in self._rings.values() if ring.ends_after(number)]
        return heapq.merge(*(ring.after(number) for ring in rings), key=lambda one: one.number)

    def _ring_of(self, name: str) -> Ring[Entry]:
        ring = self._rings.setdefault(process_of(name), Ring())
        self._of_instances[name] = ring
        return ring


class Reader(Generic[K]):
    """A position in what is kept."""

    def __init__(
        self, memory: Memory[K], names: Optional[Collection[str]], last: Optional[int]
    ) -> None:
        self._memory = memory
        self._names = names
        # The number of the last entry that it has read.
        self._read = 0
        # How much it wants of the next entry; None: all of it.
        self._part: Optional[int] = None
        self._lost = 0
        self.on_more: Callable[[], object] = lambda: None
        if last is not None:
            self._skip_to(last)

    def go_on_after(self, number: int, lost: int) -> None:
        """Read what came after this number, of which `lost` entries are gone."""
        self._read, self._lost = number, lost

    def take(self, most: Optional[int] = None) -> tuple[int, list[K]]:
        """How much was lost, and the next entries: about a `BATCH`, or at most `most` of them.

        The list is empty if there are no more.
        """
        lost, self._lost = self._lost, 0
        batch: list[K] = []
        size = 0
        for entry in self._memory.after(self._read):
            if size >= (BATCH if most is None else MOST) or len(batch) == most:
                break
            self._read = entry.number
            if not self._wants(entry.name):
                continue
            if self._part is not None:
                entry, self._part = entry.last(self._part), None
            batch.append(entry)
            size += entry.size
        return lost, batch

    def missed(self, entry: K, count: int) -> None:
        """This much of an entry is gone."""
        if entry.number > self._read and self._wants(entry.name):
            self._lost += count

    def wake(self, name: str) -> None:
        """There is more from this instance."""
        if self._wants(name):
            self.on_more()

    def _wants(self, name: str) -> bool:
        return self._names is None or name in self._names or process_of(name) in self._names

    def _skip_to(self, last: int) -> None:
        wanted = [entry for entry in self._memory.after(0) if self._wants(entry.name)]
        while wanted and last > 0:
            count = wanted[-1].counts
            if count > last:
                break
            last -= count
            wanted.pop()
        if wanted:
            # Only the last part of this entry is wanted, or nothing of it.
            self._read = wanted[-1].number - 1 if last > 0 else wanted[-1].number
            self._part = last or None


class Ring(Generic[K]):
    """Entries in order; the oldest are dropped first."""

    def __init__(self) -> None:
        self.entries: deque[K] = deque()
        self.size = 0

    def add(self, entry: K) -> None:
        self.entries.append(entry)
        self.size += entry.size

    def drop(self) -> K:
        entry = self.entries.popleft()
        self.size -= entry.size
        return entry

    def ends_after(self, number: int) -> bool:
        return bool(self.entries) and self.entries[-1].number > number

    def after(self, number: int) -> Iterator[K]:
        low, high = 0, len(self.entries)
        while low < high:
            middle = (low + high) // 2
            if self.entries[middle].number > number:
                high = middle
            else:
                low = middle + 1
        for index in range(low, len(self.entries)):
            yield self.entries[index]


def _tail(block: Block, most: int) -> bytes:
    """The last whole lines of a block, at most `most` bytes of them."""
    size = len(block.head) + block.end
    if size <= most:
        return bytes(block)
    # A single line that is longer is cut, too.
    tail = block.body[max(0, block.end - most) : block.end]
    start = tail.find(b"\n") + 1
    return tail[start:] if start < len(tail) else tail
