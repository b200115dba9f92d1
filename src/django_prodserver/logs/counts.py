"""How much has been logged, by instance and stream."""

from __future__ import annotations

from collections.abc import Mapping

from .lines import Block


class Count:
    """What one instance has written to one of its streams, also in earlier lives."""

    __slots__ = ("bytes", "cut", "lines")

    def __init__(self) -> None:
        self.lines = 0
        self.bytes = 0
        # How often a line was cut because it was too long.
        self.cut = 0

    def add(self, block: Block, cut: int) -> None:
        self.lines += block.body.count(b"\n", 0, block.end)
        self.bytes += len(block.head) + block.end
        self.cut += cut


class Counts:
    """The counts of all instances."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, Count]] = {}

    def of(self, name: str, stream: str) -> Count:
        """The count of a stream, which every life of the instance continues."""
        return self._counts.setdefault(name, {}).setdefault(stream, Count())

    def of_instance(self, name: str) -> Mapping[str, Count]:
        """The counts of an instance, by stream."""
        return self._counts.get(name, {})
