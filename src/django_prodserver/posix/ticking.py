"""Call a function each second, in a thread: the software in the main thread may be too busy."""

from __future__ import annotations

import time

from django_prodserver.supervisor.hints import Callable

# A clock that all processes of a machine share.
now = time.monotonic


def each_second(call: Callable[[], None]) -> None:
    """Call it now, and then once a second for as long as this process lives."""
    while True:
        call()
        time.sleep(1.0)  # noqa: TID251 - in a thread of its own, not in the supervisor
