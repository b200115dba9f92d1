"""What a thread does each second, beside software that may have no time for it."""

from __future__ import annotations

import time

from django_prodserver.supervisor.hints import Callable

# The clock that all processes of a machine have.
now = time.monotonic


def each_second(call: Callable[[], None]) -> None:
    """Call it now, and then once a second for as long as this process lives."""
    while True:
        call()
        time.sleep(1.0)  # noqa: TID251 - in a thread of its own, not in the supervisor
