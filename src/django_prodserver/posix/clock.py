"""The clock: for how long this process could run, without the time in which it was frozen.

`docker pause` and SIGSTOP freeze the supervisor with everything that it supervises, so that no
process can answer in time. The clocks of Linux and macOS leave out the time in which the machine is
suspended, but not this. It shows as a sleep that took longer than requested, or as a long pause
between two readings of the clock.
"""

from __future__ import annotations

import time
from math import inf

from django_prodserver.supervisor.hints import Callable, Optional, TypeVar

_Result = TypeVar("_Result")

# In seconds. On a busy machine a sleep, or the work between two readings, may take up to TOLERANCE
# longer. A sleep with a timeout is split into pieces of LONGEST_SLEEP, so that a long freeze shows
# even if an event that the freeze has caused ends the sleep early.
TOLERANCE = 1.0
LONGEST_SLEEP = 1.0


def ago(seconds: float) -> float:
    """The moment so many seconds ago, in the clock that all processes of a machine share."""
    return time.monotonic() - seconds


def in_utc(at: float) -> str:
    """RFC 3339, in UTC, with milliseconds; `at` is in seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


class Clock:
    """Counts seconds from an arbitrary moment; `read` is a clock that goes on during a freeze.

    An interval with a freeze in it does not count at all: how much of it came before the freeze is
    unknown. If it counted, deadlines would expire at once, before any process could answer.
    """

    def __init__(self, read: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seen = read()
        self._left_out = 0.0
        # The last sleep took too long.
        self._overslept = False

    def now(self) -> float:
        self._look()
        return self._seen - self._left_out

    def sleep(
        self, wait: Callable[[Optional[float]], _Result], timeout: Optional[float]
    ) -> _Result:
        """Call `wait` with at most this many seconds, None means for ever; return its result.

        A freeze during a sleep for ever goes unnoticed, and does no harm: there was no deadline.
        """
        self._look()
        asked = None if timeout is None else min(timeout, LONGEST_SLEEP)
        result = wait(asked)
        expected = inf if asked is None else asked
        # Two in a row are not a freeze but an overloaded machine, where waits have to end as well.
        self._overslept = self._look(expected, expected if self._overslept else 0.0)
        return result

    def _look(self, expected: float = 0.0, counted: float = 0.0) -> bool:
        """Read the clock; if more time has passed than expected, only `counted` seconds count."""
        read = self._read()
        passed, self._seen = read - self._seen, read
        late = passed > expected + TOLERANCE
        if late:
            self._left_out += passed - counted
        return late
