"""Check METRIC of AUTOSCALE: the software must report it, or the function must be callable."""

from __future__ import annotations

from collections.abc import Iterator

from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import place_of

from .process import ResolvedProcess
from .project import function_problems


def metric_problems(process: ResolvedProcess) -> Iterator[Finding]:
    """A metric that the software does not report, or a function that cannot be called."""
    autoscale = process.settings.autoscale
    if autoscale is None:
        return
    metric, place = autoscale.metric, f"{place_of(process.name, 'AUTOSCALE')}['METRIC']"
    if "." in metric:
        hint = "Name a function that takes no arguments and returns a number."
        yield from function_problems(metric, place, "is", hint)
        return
    told = ("cpu", "memory", *sorted(process.backend.measures))
    if metric not in told:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is {metric!r}, which {software} does not report."
        hint = f"Use {', '.join(told)}, or the dotted path of a function."
        yield Finding(place, message, hint, "E012")
