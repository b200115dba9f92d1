"""What METRIC of AUTOSCALE names: whether the software tells it, or a function can be called."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.utils.module_loading import import_string

from django_prodserver.settings.findings import Finding
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
