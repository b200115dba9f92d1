"""What may come next on a command line of `prodctl`, for a shell that asks.

Names are those that the supervisor has now. Where none answers there are none, and no message.
"""

from __future__ import annotations

import os
from argparse import Action
from collections.abc import Sequence
from contextlib import suppress
from signal import Signals

from django_prodserver.completion import answer
from django_prodserver.posix.control.client import Client, Failure
from django_prodserver.supervisor.hints import Callable, Optional

from . import table
from .parser import COUNT, NAME, SIGNAL, parser
from .verbs import ALL, DONE, FAILED, status_of

# As the option `--socket` says which, or by None.
Find = Callable[[Optional[str]], Client]


def complete(words: Sequence[str], find: Find) -> int:
    """Print an answer to the shell; fails where the shell knows better."""

    def values_of(action: Action) -> Optional[list[str]]:
        if action.metavar == SIGNAL:
            return [signal.name[len("SIG") :] for signal in Signals]
        if action.metavar not in (NAME, COUNT):
            return None
        processes, instances = _names(find, _socket(words))
        if action.metavar == COUNT:
            return [f"{name}=" for name in processes]
        several = [ALL] if action.nargs in ("*", "+") else []
        return [*processes, *instances, *several]

    text = answer(parser("prodctl"), words, values_of)
    print(text or "", end="")
    return FAILED if text is None else DONE


def _names(find: Find, socket: Optional[str]) -> tuple[list[str], list[str]]:
    """Those of processes, and those of instances."""
    with suppress(Failure, OSError):
        status = status_of(find(socket), usage=False)
        return table.processes(status), [one["name"] for one in table.instances(status)]
    return [], []


def _socket(words: Sequence[str]) -> Optional[str]:
    """What the line says behind --socket."""
    for word, following in zip(words, words[1:]):
        option, equals, value = word.partition("=")
        if option == "--socket":
            return os.path.expanduser(value if equals else following)
    return None
