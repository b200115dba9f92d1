"""The handlers of ON_EVENT: check that they can be called, and call them in an errand."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Optional

from django.utils.module_loading import import_string

from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import SUPERVISOR

from .project import function_problems

Handler = Callable[[Mapping[str, Any]], object]

# The socket timeout, in seconds, for handlers that set none themselves. Django sets none for mail
# servers.
SOCKET_TIMEOUT = 10.0


def handler_problems(paths: Sequence[str]) -> Iterator[Finding]:
    """What is wrong with the handlers. This imports them, so forks of this process have them."""
    hint = "Name a function that takes an event, which is a dict."
    for path in paths:
        found = function_problems(path, "ON_EVENT", "names", hint, {})
        yield from (finding.within(SUPERVISOR) for finding in found)


def deliver(request: Mapping[str, Any]) -> bytes:
    """The task: call each handler with each event; the answer has a line per failed handler.

    A handler that fails still gets the next event, and does not affect other handlers. The log gets
    the traceback of its first failure.
    """
    socket.setdefaulttimeout(SOCKET_TIMEOUT)
    lines = []
    for path in request["paths"]:
        errors = [error for event in request["events"] if (error := _call(path, event))]
        for error in errors[:1]:
            traceback.print_exception(type(error), error, error.__traceback__)
            sentence = " ".join(f"{type(error).__name__}: {error}".split())
            lines.append(f"{path} {len(errors)} {sentence}")
    return "\n".join(lines).encode(errors="replace")


def _call(path: str, event: Mapping[str, Any]) -> Optional[BaseException]:
    """Call the handler; return the error, if any."""
    try:
        handler: Handler = import_string(path)
        handler({**event})
    except (Exception, SystemExit) as error:
        return error
    return None
