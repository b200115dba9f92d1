"""The lock of an instance: whether this supervisor has it, and whether a life waits for it."""

from __future__ import annotations

import enum


class _Hold(enum.Enum):
    NONE = "it is not taken"
    ASKED = "it is being taken"
    HELD = "it is this supervisor's"


class Lock:
    """One lock. The instance requests it, and records the answers here."""

    __slots__ = ("_hold", "awaited", "busy")

    def __init__(self) -> None:
        self._hold = _Hold.NONE
        # The next life is due, and starts once this supervisor has the lock.
        self.awaited = False
        # Why it is not available, as last reported; or "".
        self.busy = ""

    @property
    def held(self) -> bool:
        return self._hold is _Hold.HELD

    @property
    def free(self) -> bool:
        """It is neither held nor requested."""
        return self._hold is _Hold.NONE

    def wait(self) -> bool:
        """Let a life wait for the lock; return whether it still has to be requested."""
        asked, self._hold, self.awaited = self._hold is _Hold.ASKED, _Hold.ASKED, True
        return not asked

    def taken(self) -> bool:
        """This supervisor has the lock now; return whether a life was waiting for it."""
        waited, self._hold, self.awaited, self.busy = self.awaited, _Hold.HELD, False, ""
        return waited

    def refused(self, why: str) -> bool:
        """Another supervisor has the lock; return whether a life waits and the reason is new."""
        known, self.busy = self.busy, why
        return self.awaited and known != why

    def lost(self, why: str) -> None:
        """The lock was lost, and is being taken again."""
        self._hold, self.busy = _Hold.ASKED, why

    def release(self) -> None:
        self._hold, self.awaited, self.busy = _Hold.NONE, False, ""
