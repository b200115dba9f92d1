"""What a process is called in `ps`, `top` and /proc: by its instance, not by how it was started.

The title is written over the arguments that the process was started with, in the memory that the
kernel shows as /proc/PID/cmdline (proc(5)); what was there, secrets among it, is gone. setproctitle
does the same, and takes the environment behind it as well unless told otherwise. What is started
by us is found by its environment, so that stays.
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
    """Have setproctitle, which anything may call later, leave environment and title as they are.

    At its first call it looks for the arguments that the process was started with, asks whether it
    may have the environment, and already changes the title (1.3.8). gunicorn calls it when it is
    imported, in a process that is not gunicorn's.
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
    # It has to end with a zero: without one the kernel reads on, into the environment.
    if area is not None and area.size > len(_PREFIX):
        title = _PREFIX + shortened(instance, area.size - 1 - len(_PREFIX))
        area.write(title.encode()[: area.size - 1])
    kernel.set_name(shortened(instance, kernel.NAME_LENGTH))


def show_words(words: Sequence[str]) -> None:
    """Show this process as if it had been started by this command line."""
    area = areas.arguments()
    if area is not None:
        area.write(b"".join(os.fsencode(word) + b"\0" for word in words)[: area.size - 1])


def shortened(instance: str, room: int) -> str:
    """The name of an instance, cut to this many characters, with its whole number."""
    process, dot, number = instance.rpartition(".")
    return process[: max(0, room - len(dot + number))] + dot + number


@cache
def _setproctitle() -> Any:
    """An extra, None without it. Where it is, gunicorn, Celery and others give titles, too."""
    try:
        import setproctitle
    except ImportError:
        return None
    return setproctitle
