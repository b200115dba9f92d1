"""Log lines in the supervisor's answers: the parts that look the same wherever they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django_prodserver.supervisor.hints import Any

from . import table

# The escape sequences for colours.
_COLORS = re.compile(r"\x1b\[[0-9;:]*m")


def missing(gap: Mapping[str, Any], verb: str = "logs") -> str:
    """Return the text to show in place of lost lines or events."""
    return f"... {gap['lost']} {'events' if verb == 'events' else 'lines'} are missing here ..."


def clock(entry: Mapping[str, Any]) -> str:
    """Return when an entry was logged, in the local time zone."""
    return f"{table.moment(entry['time']).astimezone():%H:%M:%S}"


def without_colors(text: str) -> str:
    return _COLORS.sub("", text)
