"""Measure the load for AUTOSCALE, if its METRIC needs the project's code.

That is the queue of a worker, which its software knows, or a function of the project.
"""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.module_loading import import_string

from django_prodserver.posix.loads import OF_INSTANCES, UNKNOWN, VALUE
from django_prodserver.settings.errors import describe
from django_prodserver.settings.load import read

from .resolve import resolve


def measure(request: Mapping[str, Any]) -> bytes:
    """The task: measure the load of a `process` by its `metric`.

    The answer has a line with the load, and one for each instance whose load is known; or one line
    on why the load is unknown. With `explain`, the log gets the traceback of an error in a function
    of the project.
    """
    metric = request["metric"]
    try:
        lines = _of_function(metric) if "." in metric else _of_queue(request["process"], metric)
        return "\n".join(lines).encode()
    except Exception as error:
        if "." in metric and request["explain"]:
            traceback.print_exception(*sys.exc_info())
        why = " ".join((str(error) or describe(error)).split())
        return f"{UNKNOWN} {why}".encode(errors="replace")


def _of_function(path: str) -> Iterator[str]:
    value = import_string(path)()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{path} returned {value!r}, which is not a number")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{path} returned {value!r}, which is not a finite number, 0 or more")
    yield f"{VALUE} {float(value)!r}"


def _of_queue(name: str, metric: str) -> Iterator[str]:
    (process,) = resolve(read(), [name], starting=False)
    queue = process.backend.queue()
    if metric == "queue":
        yield f"{VALUE} {float(queue.ready + queue.running)!r}"
    elif queue.age is None:
        raise ValueError("the oldest task does not say when it was queued")
    else:
        yield f"{VALUE} {float(queue.age)!r}"
    for instance, count in (queue.of_instances or {}).items():
        yield f"{OF_INSTANCES} {instance} {float(count)!r}"
