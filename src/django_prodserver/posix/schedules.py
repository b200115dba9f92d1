"""Schedules: when an instance that runs repeatedly runs next.

A cron expression uses the wall clock. An interval uses the monotonic clock, which is never set.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django_prodserver.supervisor.events import RunPlanned
from django_prodserver.supervisor.hints import Callable, Optional

from .loop import Loop
from .program import Program

# A timer may fire this many seconds early.
EARLY = 1.0
# Count no more skipped runs than this: when the wall clock is set, it may jump by years.
MANY = 1000


def prepare(cron: str, zone: str) -> None:
    """Import what a cron expression in this time zone needs."""
    next(_moments(cron, zone, time.time()))


def _moments(cron: str, zone: str, since: float) -> Iterator[float]:
    """The times of all runs after `since`, in seconds since 1970."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from cronsim import CronSim

    for moment in CronSim(cron, datetime.fromtimestamp(since, ZoneInfo(zone))):
        yield moment.timestamp()


def settings_of(program: Program) -> tuple[str, str, Optional[float]]:
    """The settings that define when it runs."""
    return program.cron, program.zone, program.every


class Schedule:
    """When one instance runs; `clock` is for tests."""

    def __init__(self, program: Program, clock: Optional[Callable[[], float]] = None) -> None:
        self.settings = settings_of(program)
        self._clock = clock or (time.monotonic if program.every is not None else time.time)
        self._next = self._after(self._clock())

    def plan(self, ended: bool) -> tuple[float, int]:
        """Return the seconds until the next run, and how many runs were skipped before it.

        A run that could not start in time is due at once. A run that became due during another run,
        which has `ended` now, is skipped.
        """
        now, left_out = self._clock(), 0
        if now < self._next - (EARLY if ended else 0.0):
            return self._next - now, 0
        following = self._after(self._next)
        while following <= now and left_out < MANY:
            self._next, following, left_out = following, self._after(following), left_out + 1
        if not ended:
            return 0.0, left_out
        self._next = following if following > now else self._after(now)
        return self._next - now, left_out

    def _after(self, moment: float) -> float:
        cron, zone, every = self.settings
        return next(_moments(cron, zone, moment)) if every is None else moment + every


class Schedules:
    """The schedules of all instances, by name."""

    def __init__(self, program_of: Callable[[str], Program], loop: Loop) -> None:
        self._program_of = program_of
        self._loop = loop
        self._schedules: dict[str, Schedule] = {}

    def plan(self, name: str, ended: bool) -> None:
        """Let the loop emit the time of the next run; `ended` is true after a run."""
        program, known = self._program_of(name), self._schedules.get(name)
        if known is None or known.settings != settings_of(program):
            self._schedules[name] = known = Schedule(program)
            ended = False
        self._loop.emit(RunPlanned(name, *known.plan(ended)))
