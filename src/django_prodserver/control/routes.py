"""Routes: the table of all requests that can be made, by path and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Optional, Union
from django_prodserver.supervisor.values import Value

from .requests import VERBS, Refused

# The number of a change follows.
CHANGE = "/v1/changes/"

# By path, the name of what answers. MONITOR has only the first table.
MONITORED: Mapping[str, str] = {
    "/healthz": "healthz",
    "/readyz": "readyz",
    "/metrics": "metrics",
}
READ: Mapping[str, str] = {
    "/v1/status": "status",
    "/v1/analyze": "analyze",
    "/v1/logs": "logs",
    "/v1/events": "events",
    **MONITORED,
}
WRITE: Mapping[str, str] = {f"/v1/{verb}": verb for verb in VERBS}
READS = ("GET", "HEAD")


class Route(Value):
    """What answers a request; `argument` is the variable part of its path."""

    name: str
    changes: bool = False
    argument: str = ""


def route(method: str, path: str) -> Union[Route, Refused]:
    """Find what answers at the control socket."""
    number = path[len(CHANGE) :] if path.startswith(CHANGE) else ""
    if number.isdecimal():
        return _allowed(method, path, READS) or Route("change", argument=number)
    if path in WRITE:
        return _allowed(method, path, ("POST",)) or Route(WRITE[path], changes=True)
    return _reading(method, path, READ)


def monitored(method: str, path: str) -> Union[Route, Refused]:
    """Find what answers at MONITOR."""
    return _reading(method, path, MONITORED)


def _reading(method: str, path: str, table: Mapping[str, str]) -> Union[Route, Refused]:
    if path not in table:
        return Refused(404, "not_found", f"{path} does not exist")
    return _allowed(method, path, READS) or Route(table[path])


def _allowed(method: str, path: str, methods: Sequence[str]) -> Optional[Refused]:
    if method in methods:
        return None
    message = f"{path} takes {' or '.join(methods)}, not {method}"
    return Refused(405, "wrong_method", message)
