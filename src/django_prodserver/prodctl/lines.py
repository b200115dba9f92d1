"""Lines of the log, as the supervisor answers with them: what of them is shown everywhere alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django_prodserver.supervisor.hints import Any

from . import table

# Colours, as a terminal is told them.
_COLORS = re.compile(r"\x1b\[[0-9;:]*m")


def missing(gap: Mapping[str, Any], verb: str = "logs") -> str:
    """What is shown where lines, or events, are lost."""
    return f"... {gap['lost']} {'events' if verb == 'events' else 'lines'} are missing here ..."


def clock(entry: Mapping[str, Any]) -> str:
    """When it was logged, in the time zone of who looks at it."""
    return f"{table.moment(entry['time']).astimezone():%H:%M:%S}"


def without_colors(text: str) -> str:
    return _COLORS.sub("", text)
