"""The lock of an instance: what this supervisor has of it, and whether a life waits for it."""

from __future__ import annotations

import enum


class _Hold(enum.Enum):
    NONE = "it is not taken"
    ASKED = "it is being taken"
    HELD = "it is this supervisor's"


class Lock:
    """One lock. The instance asks for it, and is told what has become of that."""

    __slots__ = ("_hold", "awaited", "busy")

    def __init__(self) -> None:
        self._hold = _Hold.NONE
        # The next life is due, and starts once this supervisor has the lock.
        self.awaited = False
        # What has been said of why it cannot be had; or "".
        self.busy = ""

    @property
    def held(self) -> bool:
        return self._hold is _Hold.HELD

    @property
    def free(self) -> bool:
        """It is neither held nor asked for."""
        return self._hold is _Hold.NONE

    def wait(self) -> bool:
        """Let a life wait for it; whether it has to be asked for, which has not been done yet."""
        asked, self._hold, self.awaited = self._hold is _Hold.ASKED, _Hold.ASKED, True
        return not asked

    def taken(self) -> bool:
        """This supervisor has it; whether a life waits for that."""
        waited, self._hold, self.awaited, self.busy = self.awaited, _Hold.HELD, False, ""
        return waited

    def refused(self, why: str) -> bool:
        """Another one has it; whether that is new, and a life waits."""
        known, self.busy = self.busy, why
        return self.awaited and known != why

    def lost(self, why: str) -> None:
        """It is asked for again."""
        self._hold, self.busy = _Hold.ASKED, why

    def release(self) -> None:
        self._hold, self.awaited, self.busy = _Hold.NONE, False, ""
