"""Errands: tasks of the supervisor that need the project's code, each in a forked process.

As for all forks, connections to databases and caches are closed before the fork.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from . import handlers, load, locks, metrics, warm, watching

# How long Sentry may take to send the events of a task, in seconds.
SENTRY_WITHIN = 2.0

# Each task takes its request, and returns the parts of its answer.
TASKS: Mapping[str, Callable[[Any], Iterable[bytes]]] = {
    "handlers": lambda request: [handlers.deliver(request)],
    "load": lambda request: [load.measure(request)],
    "lock": locks.hold,
    "metrics": lambda request: [metrics.collect(request)],
    "warm": lambda everything: [warm.describe_warm_up(everything)],
    "watch": watching.watch,
}


def run(task: str, request: bytes) -> Iterator[bytes]:
    """Run a task; `request` is marshalled. Raises SystemExit if the task fails."""
    try:
        yield from TASKS[task](marshal.loads(request))
    except Exception:
        # As an interpreter does before it exits: Sentry hooks in there.
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:
        sentry: Any = sys.modules.get("sentry_sdk")
        if sentry is not None:
            sentry.flush(SENTRY_WITHIN)
