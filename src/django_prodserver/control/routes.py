"""Routes: the whole table of what can be asked for, by its path and its method."""

from __future__ import annotations

from collections.abc import Mapping

from django_prodserver.supervisor.hints import Union
from django_prodserver.supervisor.values import Value

from .requests import VERBS, Refused

# The number of a change follows.
CHANGE = "/v1/changes/"

# By path: the method, and the name of what answers.
READ: Mapping[str, str] = {
    "/v1/status": "status",
    "/v1/logs": "logs",
    "/healthz": "healthz",
    "/readyz": "readyz",
}
WRITE: Mapping[str, str] = {f"/v1/{verb}": verb for verb in VERBS}


class Route(Value):
    """What answers a request; `argument` is what its path has beside the name."""

    name: str
    changes: bool = False
    argument: str = ""


def route(method: str, path: str) -> Union[Route, Refused]:
    """Find what answers."""
    number = path[len(CHANGE) :] if path.startswith(CHANGE) else ""
    if path in READ or number.isdecimal():
        allowed: tuple[str, ...] = ("GET", "HEAD")
    elif path in WRITE:
        allowed = ("POST",)
    else:
        return Refused(404, "not_found", f"there is nothing at {path}")
    if method not in allowed:
        message = f"{path} takes {' or '.join(allowed)}, not {method}"
        return Refused(405, "wrong_method", message)
    if number:
        return Route("change", argument=number)
    return Route(READ[path]) if path in READ else Route(WRITE[path], changes=True)
