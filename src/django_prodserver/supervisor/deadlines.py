"""Deadlines: what a life may have to do at a given moment."""

from __future__ import annotations

import enum


class Deadline(enum.Enum):
    """If several are due at the same moment, they are handled in this order."""

    READY = "it should be ready by now"
    ANSWER = "the probe should be answered by now"
    PROBE = "begin a probe"
    WATCHDOG = "it should have sent WATCHDOG=1 by now"
    MEASURE = "measure its memory"
    FINISH = "the oneshot should have finished by now"
    KILL = "send SIGKILL"
    ESCALATE = "send the escalation signal"
    NOTICE = "report that it is still running"
    SWEEP = "send SIGKILL to the rest of its process group"
    LOSE = "give it up: it survived SIGKILL"
