"""Errands: what the supervisor asks the project's code to do, in a process forked for that.

Its databases and caches are closed in what it is forked from, as for all that is forked.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from . import handlers, load, locks, metrics, warm, watching

# How long Sentry may take to send what a task has brought about, in seconds.
SENTRY_WITHIN = 2.0

# Each takes its request, and returns the parts of its answer.
TASKS: Mapping[str, Callable[[Any], Iterable[bytes]]] = {
    "handlers": lambda request: [handlers.tell(request)],
    "load": lambda request: [load.measure(request)],
    "lock": locks.hold,
    "metrics": lambda request: [metrics.collect(request)],
    "warm": lambda everything: [warm.tell(everything)],
    "watch": watching.watch,
}


def run(task: str, request: bytes) -> Iterator[bytes]:
    """Do a task; the request is packed by `marshal`. Raises SystemExit if that fails."""
    try:
        yield from TASKS[task](marshal.loads(request))
    except Exception:
        # As at the end of an interpreter; Sentry takes note of it there.
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        sentry: Any = sys.modules.get("sentry_sdk")
        if sentry is not None:
            sentry.flush(SENTRY_WITHIN)
