"""Shell completion for `prodctl`.

The names come from the running supervisor. If none answers, there are no names and no message.
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

# Finds the supervisor; the argument is the value of `--socket`, or None.
Find = Callable[[Optional[str]], Client]


def complete(words: Sequence[str], find: Find) -> int:
    """Print the candidates; fails if the shell is to complete the word itself."""

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
    """Return the names of the processes, and those of the instances."""
    with suppress(Failure, OSError):
        status = status_of(find(socket), usage=False)
        return table.processes(status), [one["name"] for one in table.instances(status)]
    return [], []


def _socket(words: Sequence[str]) -> Optional[str]:
    """Return the value of --socket on the command line."""
    for word, following in zip(words, words[1:]):
        option, equals, value = word.partition("=")
        if option == "--socket":
            return os.path.expanduser(value if equals else following)
    return None
