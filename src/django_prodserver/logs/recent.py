"""The last lines of each process, kept in memory for those who ask for them.

Whoever follows them has a place in them and no queue: what is dropped before it is read is counted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterator

from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.spec import process_of

from .lines import Block

# What is kept of each process, in bytes.
KEPT = 1 << 16
# What it takes to keep one entry, beside its lines; measured, in bytes.
OVERHEAD = 200
# What a reader is given at once, in bytes, or a little more.
BATCH = 1 << 14


class Entry:
    """Whole lines of one instance, which came at once. (A `Value` would take four times as long.)

    `number` is that of all entries, in order; `at` is in seconds since 1970.
    """

    __slots__ = ("at", "lines", "name", "number", "stream")

    def __init__(self, number: int, at: float, name: str, stream: str, lines: bytes) -> None:
        self.number = number
        self.at = at
        self.name = name
        self.stream = stream
        self.lines = lines


class Recent:
    """What has been logged lately, by processes, of which each has its own room."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        # By the names of processes, and the same ones by the names of instances.
        self._rings: dict[str, _Ring] = {}
        self._of_instances: dict[str, _Ring] = {}
        self._number = 0
        # Those who follow; a dict, because sets have no order.
        self._followers: dict[Reader, None] = {}

    def add(self, at: float, name: str, stream: str, block: Block) -> None:
        """Keep what is logged now; a part of it where it is too much."""
        ring = self._of_instances.get(name) or self._ring_of(name)
        self._number += 1
        lines = _tail(block, self._kept - OVERHEAD)
        ring.add(Entry(self._number, at, name, stream, lines))
        while ring.size > self._kept:
            dropped = ring.drop()
            for reader in self._followers:
                reader.missed(dropped, dropped.lines.count(b"\n"))
        if self._followers:
            # What is missing of this one is counted only where somebody wants to know.
            cut = bytes(block).count(b"\n") - lines.count(b"\n")
            for reader in self._followers:
                reader.missed(ring.entries[-1], cut)
                reader.wake(name)

    def read(self, names: Optional[Collection[str]] = None, last: Optional[int] = None) -> Reader:
        """Read what is there, of some instances and processes; only so many `last` lines of it."""
        return Reader(self, names, last)

    def follow(self, reader: Reader, wake: Callable[[], object]) -> None:
        """Tell the reader from now on what it misses, and call `wake` when there is more for it."""
        reader.on_more = wake
        self._followers[reader] = None

    def leave(self, reader: Reader) -> None:
        self._followers.pop(reader, None)

    def after(self, number: int) -> Iterator[Entry]:
        """All entries that came after this one, in order."""
        rings = [ring for ring in self._rings.values() if ring.ends_after(number)]
        return heapq.merge(*(ring.after(number) for ring in rings), key=lambda one: one.number)

    def _ring_of(self, name: str) -> _Ring:
        ring = self._rings.setdefault(process_of(name), _Ring())
        self._of_instances[name] = ring
        return ring


class Reader:
    """A place in what was logged lately."""

    def __init__(
        self, recent: Recent, names: Optional[Collection[str]], last: Optional[int]
    ) -> None:
        self._recent = recent
        self._names = names
        # The entry before those that it has not read.
        self._read = 0
        # Lines of the next entry that it does not want.
        self._skipped = 0
        self._lost = 0
        self.on_more: Callable[[], object] = lambda: None
        if last is not None:
            self._skip_to(last)

    def take(self) -> tuple[int, list[Entry]]:
        """What comes next: how many lines were lost before it, and about a `BATCH` of entries.

        No entries where there is no more.
        """
        lost, self._lost = self._lost, 0
        batch: list[Entry] = []
        size = 0
        for entry in self._recent.after(self._read):
            if size >= BATCH:
                break
            self._read = entry.number
            if not self._wants(entry.name):
                continue
            if self._skipped:
                lines = b"".join(entry.lines.splitlines(keepends=True)[self._skipped :])
                entry = Entry(entry.number, entry.at, entry.name, entry.stream, lines)
                self._skipped = 0
            batch.append(entry)
            size += len(entry.lines)
        return lost, batch

    def missed(self, entry: Entry, count: int) -> None:
        """So many lines of this entry are gone."""
        if entry.number > self._read and self._wants(entry.name):
            self._lost += count

    def wake(self, name: str) -> None:
        """There is more from this instance."""
        if self._wants(name):
            self.on_more()

    def _wants(self, name: str) -> bool:
        return self._names is None or name in self._names or process_of(name) in self._names

    def _skip_to(self, last: int) -> None:
        wanted = [entry for entry in self._recent.after(0) if self._wants(entry.name)]
        while wanted and last > 0:
            count = wanted[-1].lines.count(b"\n")
            if count > last:
                break
            last -= count
            wanted.pop()
        if wanted:
            # Of this one the last lines are wanted, or none.
            self._read = wanted[-1].number - 1 if last > 0 else wanted[-1].number
            self._skipped = wanted[-1].lines.count(b"\n") - last if last > 0 else 0


class _Ring:
    """The entries of one process."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.size = 0

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.size += len(entry.lines) + OVERHEAD

    def drop(self) -> Entry:
        entry = self.entries.popleft()
        self.size -= len(entry.lines) + OVERHEAD
        return entry

    def ends_after(self, number: int) -> bool:
        return bool(self.entries) and self.entries[-1].number > number

    def after(self, number: int) -> Iterator[Entry]:
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
    """The last whole lines of a block, at most so many bytes of them."""
    size = len(block.head) + block.end
    if size <= most:
        return bytes(block)
    # A longer line than that is cut, too.
    tail = block.body[max(0, block.end - most) : block.end]
    start = tail.find(b"\n") + 1
    return tail[start:] if start < len(tail) else tail
