"""The clock: how long this process could run, which leaves out the time in which it was frozen.

`docker pause` and SIGSTOP freeze the supervisor with all that it supervises, and nothing in there
can answer in time. Linux and macOS leave out what a machine sleeps through, but not this: it shows
as a sleep that took longer than it was asked to, or as a long pause between two looks at the clock.
"""

from __future__ import annotations

import time
from math import inf

from django_prodserver.supervisor.hints import Callable, Optional, TypeVar

_Result = TypeVar("_Result")

# In seconds. A machine may be so busy that a sleep, or work between two looks, takes this much
# longer. And a sleep with an end is taken in pieces of this length, so that a long freeze shows
# although what it brought about ends the sleep early.
TOLERANCE = 1.0
LONGEST_SLEEP = 1.0


def ago(seconds: float) -> float:
    """The moment that was so long ago, in the clock that all processes of a machine have."""
    return time.monotonic() - seconds


def in_utc(at: float) -> str:
    """RFC 3339, in UTC, with milliseconds; `at` is in seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


class Clock:
    """Counts seconds from any moment; `read` is the clock that goes on.

    A piece of time with a freeze in it does not count at all: how much of it came before the freeze
    is unknown. Otherwise deadlines would expire at once, before any process had a chance to answer.
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

        A sleep for ever may have been one in a freeze: then nothing was due, and nothing is.
        """
        self._look()
        asked = None if timeout is None else min(timeout, LONGEST_SLEEP)
        result = wait(asked)
        expected = inf if asked is None else asked
        # One after another is no freeze but a machine that has no time: there, too, waits end.
        self._overslept = self._look(expected, expected if self._overslept else 0.0)
        return result

    def _look(self, expected: float = 0.0, counted: float = 0.0) -> bool:
        """Read the clock; if it went on for longer than expected, only `counted` seconds count."""
        read = self._read()
        passed, self._seen = read - self._seen, read
        late = passed > expected + TOLERANCE
        if late:
            self._left_out += passed - counted
        return late
