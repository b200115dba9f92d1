"""Starts uWSGI. Run as a program, by its path, with its instructions as JSON; imports no Django.

uWSGI is a program that embeds Python, and not a module that a fork could call. If it is installed
as an extension module (pyuwsgi), a fresh interpreter becomes uWSGI.

uWSGI sends READY=1 before its master handles signals, and with `lazy-apps` before its workers have
loaded the application. So NOTIFY_SOCKET is hidden from it, and one of its processes sends READY=1
later. Like a graceful stop, that is done by functions of uWSGI's own, which its hooks call by name.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# Set while one interpreter replaces another, so that this happens only once.
REPLACED = "_PRODSERVER_REPLACED"


def main(text: str) -> None:
    told = json.loads(text)
    if sys.prefix != told["prefix"] and os.environ.pop(REPLACED, None) is None:
        # At a reload pyuwsgi executes itself again with the interpreter from which the virtual
        # environment was made, and that one has no pyuwsgi.
        os.environ[REPLACED] = "1"
        os.execv(told["python"][0], [*told["python"], *sys.argv])
    os.environ.pop(REPLACED, None)
    arguments = [*told["args"], *ready_hooks(told["ready"], os.environ.pop("NOTIFY_SOCKET", ""))]
    if told["program"]:
        os.execv(told["program"], [told["program"], *arguments])
    sys.path[:] = told["path"]
    _show(told["title"])
    # uWSGI's hooks only find functions that are visible to the whole program.
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    import pyuwsgi

    pyuwsgi.run(arguments)


def ready_hooks(hook: str, address: str) -> list[str]:
    if not address:
        return []
    calls = (f"uwsgi_systemd_init {address}", "uwsgi_systemd_notify_ready")
    return [f"--hook-{hook}=call:{call}" for call in calls]


def _show(title: Any) -> None:
    """Set what `ps` shows: the instance, or the command line that the user gave."""
    from django_prodserver.posix.titles import set_command_line, set_title

    instance = os.environ.get("PRODSERVER_INSTANCE")
    if title:
        set_command_line(title)
    elif instance:
        set_title(instance)


if __name__ == "__main__":
    main(sys.argv[1])
