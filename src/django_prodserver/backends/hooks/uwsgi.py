"""Starts uWSGI: run as a program, by its path and with what to do as JSON. Imports no Django.

uWSGI is a program with a Python inside, and no module that could be called in a fork. Where it
comes as an extension module (pyuwsgi), a fresh interpreter becomes it.

uWSGI sends READY=1 before its workers have loaded the application, where these do (`lazy-apps`),
and before its master handles signals. So the socket is taken from it, and one of its processes
sends READY=1 later. That, like a graceful stop, is done by functions of uWSGI's own, which its
hooks call by their names.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

# Set while an interpreter is replaced by another one, so that this is done once.
REPLACED = "_PRODSERVER_REPLACED"


def main(text: str) -> None:
    told = json.loads(text)
    if sys.prefix != told["prefix"] and os.environ.pop(REPLACED, None) is None:
        # pyuwsgi executes itself again at a reload, by the interpreter that the virtual
        # environment was made of, which has no pyuwsgi.
        os.environ[REPLACED] = "1"
        os.execv(told["python"][0], [*told["python"], *sys.argv])
    os.environ.pop(REPLACED, None)
    arguments = [*told["args"], *ready_hooks(told["ready"], os.environ.pop("NOTIFY_SOCKET", ""))]
    if told["program"]:
        os.execv(told["program"], [told["program"], *arguments])
    sys.path[:] = told["path"]
    _show(told["title"])
    # Its hooks find only functions that the whole program can see.
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    import pyuwsgi

    pyuwsgi.run(arguments)


def ready_hooks(hook: str, address: str) -> list[str]:
    if not address:
        return []
    calls = (f"uwsgi_systemd_init {address}", "uwsgi_systemd_notify_ready")
    return [f"--hook-{hook}=call:{call}" for call in calls]


def _show(title: Any) -> None:
    """What `ps` shows: the instance, or the command line that the user gave."""
    from django_prodserver.posix.titles import set_title, show_words

    instance = os.environ.get("PRODSERVER_INSTANCE")
    if title:
        show_words(title)
    elif instance:
        set_title(instance)


if __name__ == "__main__":
    main(sys.argv[1])
