"""Process titles in `ps`, `top` and /proc: the name of the instance, not the command line.

The title overwrites the arguments that the process was started with, and any secrets in them, in
the memory that the kernel shows as /proc/PID/cmdline (proc(5)). setproctitle does the same, but by
default also overwrites the environment behind the arguments. Our processes are found by their
environment, so it must stay.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache

from django_prodserver.supervisor.hints import Any

from . import areas, kernel

_PREFIX = "prodserver: "


def prepare() -> None:
    """Make the first call to setproctitle now, and undo its effects: any code may make it later.

    The first call looks for the arguments that the process was started with, checks whether it may
    overwrite the environment, and already changes the title (1.3.8). gunicorn makes that call when
    it is imported, even in a process that does not run gunicorn.
    """
    os.environ.setdefault("SPT_NOENV", "1")
    setproctitle = _setproctitle()
    if setproctitle is None:
        return
    area = areas.arguments()
    before = area and area.read()
    name = kernel.name()
    setproctitle.getproctitle()
    if area and before:
        area.write(before)
    kernel.set_name(name)


def set_title(instance: str) -> None:
    """Show this process as `prodserver: web.1`, and as `web.1` where only a name is shown."""
    prepare()
    if sys.platform != "linux":
        setproctitle = _setproctitle()
        if setproctitle is not None:
            setproctitle.setproctitle(_PREFIX + instance)
        return
    area = areas.arguments()
    # The title has to end with a zero: otherwise the kernel reads on into the environment.
    if area is not None and area.size > len(_PREFIX):
        title = _PREFIX + shortened(instance, area.size - 1 - len(_PREFIX))
        area.write(title.encode()[: area.size - 1])
    kernel.set_name(shortened(instance, kernel.NAME_LENGTH))


def set_command_line(words: Sequence[str]) -> None:
    """Show this process as if it had been started by this command line."""
    area = areas.arguments()
    if area is not None:
        area.write(b"".join(os.fsencode(word) + b"\0" for word in words)[: area.size - 1])


def shortened(instance: str, room: int) -> str:
    """The name of an instance, cut to this many characters, but with its number whole."""
    process, dot, number = instance.rpartition(".")
    return process[: max(0, room - len(dot + number))] + dot + number


@cache
def _setproctitle() -> Any:
    """setproctitle, an extra; None without it. With it, gunicorn, Celery and others set titles."""
    try:
        import setproctitle
    except ImportError:
        return None
    return setproctitle
