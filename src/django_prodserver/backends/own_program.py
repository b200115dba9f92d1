"""Software as a separate program: a fresh interpreter that imports its runner, and no Django.

    python -m django_prodserver.backends.own_program '{"runner": ..., "args": [...], ...}'

The settings have been read and checked before this program runs; it gets the result. The project is
imported only when the software imports it, as under the software's own command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from django_prodserver.posix.interpreter import python
from django_prodserver.posix.randomness import reseed_forks
from django_prodserver.posix.signals import die_as_others_do
from django_prodserver.posix.titles import set_command_line, set_title

# Stands for the name of the instance if that is only known once the program is started. No argument
# of a program can contain a null character.
INSTANCE = "\0instance"


def run_with(runner: str, args: Sequence[str], more: Mapping[str, Any]) -> None:
    """Run the software until it exits: call `run` in the module `runner`, then exit."""
    sys.exit(import_module(runner).run(args, **more))


def command_line(
    runner: str,
    args: Sequence[str],
    more: Mapping[str, Any],
    argv: Sequence[str],
    title: Sequence[str] = (),
    patched_by: str = "",
) -> list[str]:
    """The command line that calls `run_with` in a fresh interpreter.

    `argv` becomes sys.argv, which software executes to restart itself. `title` is the command line
    that `ps` shows; if empty, it is the name of the instance. `patched_by` is the greenlet library
    that patches the interpreter first.
    """
    import json

    told = {
        "runner": runner,
        "args": list(args),
        "more": more,
        "argv": list(argv),
        "title": list(title),
        # The import path of this process, which manage.py may have extended.
        "path": [os.path.abspath(folder) for folder in sys.path],
    }
    program = "django_prodserver.backends.own_program"
    return python(["-m", program, json.dumps(told)], patched_by)


def main(text: str) -> None:
    import json

    instance = os.environ.get("PRODSERVER_INSTANCE", "")
    told = json.loads(text.replace(json.dumps(INSTANCE)[1:-1], instance))
    sys.argv, sys.path[:] = told["argv"], told["path"]
    if told["title"]:
        set_command_line(told["title"])
    else:
        set_title(instance)
    reseed_forks()
    die_as_others_do()
    run_with(told["runner"], told["args"], told["more"])


if __name__ == "__main__":
    main(sys.argv[1])
