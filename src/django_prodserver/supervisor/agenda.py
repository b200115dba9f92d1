"""The agenda: keys, and the moment at which each is due; the earliest first."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .hints import Optional

# How many outdated entries are tolerated.
FEW = 64


class Agenda:
    """Keys, each with one moment or none. Finding the first one is fast, however many there are."""

    def __init__(self) -> None:
        self._moments: dict[int, float] = {}
        # Entries whose key has a different moment by now are skipped.
        self._heap: list[tuple[float, int]] = []

    def set(self, key: int, moment: Optional[float]) -> None:
        if moment is None:
            self._moments.pop(key, None)
        elif self._moments.get(key) != moment:
            self._moments[key] = moment
            heappush(self._heap, (moment, key))
            if len(self._heap) > 2 * len(self._moments) + FEW:
                # A key that is postponed again and again leaves an entry each time.
                self._heap = [(at, one) for one, at in self._moments.items()]
                heapify(self._heap)

    @property
    def first(self) -> Optional[tuple[float, int]]:
        """The earliest moment and its key; among equals the lowest key."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0] if self._heap else None

    def take_due(self, now: float) -> list[int]:
        """Remove and return the keys whose moment has come; lowest first."""
        due = []
        while (first := self.first) is not None and first[0] <= now:
            del self._moments[first[1]]
            due.append(first[1])
        return sorted(due)
