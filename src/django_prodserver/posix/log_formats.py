"""How the log is written, according to the settings of the supervisor."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from django_prodserver.logs.formats import Format, RawFormat, TextFormat
from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value

from .clock import in_utc
from .log import DESCRIPTORS, STDERR, STDOUT

# The maximum width of instance names on a terminal. A pipe gets the full names, for searching.
TERMINAL_WIDTH = 20


class LogSettings(Value):
    """The keys of PRODUCTION_SUPERVISOR that are about the log, with their values."""

    format: str
    timestamps: bool
    color: str
    stderr: str
    # In bytes.
    max_line: int

    def formats(self, names: Sequence[str]) -> dict[str, Format]:
        """How lines are written to stdout and, if it is kept separate, to stderr."""
        kinds = [STDOUT] if self.stderr == "merge" else [STDOUT, STDERR]
        return {kind: self.format_for(names, DESCRIPTORS[kind]) for kind in kinds}

    def format_for(self, names: Sequence[str], fd: int) -> Format:
        """How lines of these instances are written to a descriptor."""
        if self.format == "raw":
            return RawFormat()
        if self.format == "json":
            from django_prodserver.logs.json_lines import JsonFormat

            return JsonFormat(clock=_utc if self.timestamps else None)
        clock = _local_time if self.timestamps else None
        width: Optional[int] = TERMINAL_WIDTH if os.isatty(fd) else None
        return TextFormat(names, clock=clock, color=_color(self.color, fd), max_width=width)


def _local_time() -> str:
    return time.strftime("%H:%M:%S")


def _utc() -> str:
    return in_utc(time.time())


def _color(when: str, fd: int) -> bool:
    """https://no-color.org/ and https://force-color.org/, then whether `fd` is a terminal."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or os.isatty(fd)
