"""The load of a process, as far as the project's code has to be asked for it: METRIC of AUTOSCALE.

The queue of a worker is known to its software, and what a function of the project counts to that.
"""

from __future__ import annotations

import inspect
import math
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from django.utils.module_loading import import_string

from django_prodserver.posix.loads import OF_INSTANCES, UNKNOWN, VALUE
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.load import read
from django_prodserver.settings.names import place_of

from .process import ResolvedProcess
from .project import failure_of


def metric_problems(process: ResolvedProcess) -> Iterator[Finding]:
    """What its software does not tell, and a function that cannot be called."""
    autoscale = process.settings.autoscale
    if autoscale is None:
        return
    metric, place = autoscale.metric, f"{place_of(process.name, 'AUTOSCALE')}['METRIC']"
    if "." in metric:
        yield from _function_problems(metric, place)
        return
    told = ("cpu", "memory", *sorted(process.backend.measures))
    if metric not in told:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is {metric!r}, which {software} does not tell."
        hint = f"Use {', '.join(told)}, or the dotted path of a function."
        yield Finding(place, message, hint, "E012")


def _function_problems(path: str, place: str) -> Iterator[Finding]:
    key, within = "METRIC", place.removesuffix("['METRIC']")
    found = failure_of(
        partial(import_string, path), key, f"is {path!r}, which cannot be imported", "E017"
    )
    yield from (finding.within(within) for finding in found)
    wrong = "" if found else _wrong(import_string(path))
    if wrong:
        hint = "Name a function that takes no arguments and returns a number."
        yield Finding(place, f"is {path!r}, which {wrong}.", hint, "E017")


def _wrong(function: Any) -> str:
    if not callable(function):
        return "cannot be called"
    if inspect.iscoroutinefunction(function):
        return "is asynchronous"
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        return f"cannot be called without arguments ({error})"
    except ValueError:
        return ""  # Written in C: it does not say.
    return ""


def measure(request: Mapping[str, Any]) -> bytes:
    """The task: find out the load of a `process`, in the words of its `metric`.

    The answer has a line for the load, and one for each instance of which it is known; or one that
    says why it is not known. If it is to `explain`, the log gets what a function of the project
    raises.
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
        raise ValueError(f"{path} returned {value!r}, which is not a number from 0 on")
    yield f"{VALUE} {float(value)!r}"


def _of_queue(name: str, metric: str) -> Iterator[str]:
    from .resolve import resolve

    (process,) = resolve(read(), [name], starting=False)
    queue = process.backend.queue()
    if metric == "queue":
        yield f"{VALUE} {float(queue.ready + queue.running)!r}"
    elif queue.age is None:
        raise ValueError("the oldest task does not say since when it waits")
    else:
        yield f"{VALUE} {float(queue.age)!r}"
    for instance, count in (queue.of_instances or {}).items():
        yield f"{OF_INSTANCES} {instance} {float(count)!r}"
