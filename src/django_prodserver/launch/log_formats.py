"""How the log is written, as the settings of the supervisor have it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from django_prodserver.logs.formats import Format, JsonFormat, RawFormat, TextFormat
from django_prodserver.posix.log import DESCRIPTORS, STDERR, STDOUT
from django_prodserver.settings.schema import SupervisorSettings

# Columns for the names of instances on a terminal; a pipe has them whole, for those who search.
TERMINAL_WIDTH = 20


def formats_of(settings: SupervisorSettings, names: Sequence[str]) -> dict[str, Format]:
    """How lines are written to stdout and, where it is kept apart, to stderr."""
    kinds = [STDOUT] if settings.stderr == "merge" else [STDOUT, STDERR]
    return {kind: format_of(settings, names, DESCRIPTORS[kind]) for kind in kinds}


def format_of(settings: SupervisorSettings, names: Sequence[str], fd: int) -> Format:
    if settings.log_format == "raw":
        return RawFormat()
    if settings.log_format == "json":
        return JsonFormat(clock=_utc if settings.timestamps else None)
    clock = _local_time if settings.timestamps else None
    width = TERMINAL_WIDTH if os.isatty(fd) else None
    return TextFormat(names, clock=clock, color=_color(settings.color, fd), max_width=width)


def _local_time() -> str:
    return time.strftime("%H:%M:%S")


def _utc() -> str:
    """Date and time of RFC 3339, to the millisecond."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def _color(when: str, fd: int) -> bool:
    """https://no-color.org/ and https://force-color.org/, then whether a terminal reads it."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or os.isatty(fd)
