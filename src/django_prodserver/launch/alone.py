"""One process alone: the manage.py process becomes its software, without a supervisor."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Callable

from django.core.management.base import CommandError

from django_prodserver.backends.hooks.connections import close_connections
from django_prodserver.posix.context import Context, Refused, assume, enter
from django_prodserver.posix.interpreter import (
    own_command,
    path_of_program,
    restart_program,
    search_path,
)
from django_prodserver.posix.randomness import reseed_forks
from django_prodserver.posix.signals import die_as_others_do
from django_prodserver.posix.titles import set_title
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import Finding

from .context import context_of
from .examine import resolve_to_start
from .preload import preload
from .process import ResolvedProcess


def run_alone(
    configuration: Configuration,
    name: str,
    extra: Sequence[str],
    check_project: Callable[[], object],
    advise: Callable[[Finding], object],
) -> None:
    """Run a process until it exits. Raises ConfigurationError if it cannot be started."""
    before = dict(os.environ)
    env = {} if "ENV" in configuration.wrong.get(name, ()) else configuration.processes[name].env
    os.environ["PATH"] = search_path(os.environ.get("PATH"))
    os.environ.update(env)
    # Set by a supervisor that has spawned this interpreter as one of several instances. Software
    # that it has forked, and that re-executes itself, comes here too.
    instance = os.environ.get("PRODSERVER_INSTANCE", "")
    supervised = instance.startswith(f"{name}.")
    if supervised:
        # The supervisor runs the other instances.
        configuration = configuration.overridden({name: 1})
        # Alone it keeps the title that the user gave it: the command line.
        set_title(instance)
        # It has said all that there is to say, too.
        advise = _say_nothing
    (process,) = resolve_to_start(configuration, [name], extra, check_project, advise)
    if process.variables_already_read(before):
        restart_program()
    context = context_of(process.settings)
    if context.changes_user:
        # As under a supervisor: the files may not be for that user to read.
        preload([process], [])
    _assume(context, env)
    backend = process.new_backend(instance if supervised else None)
    arguments = backend.prep_server_args()
    # It may fork workers.
    close_connections()
    reseed_forks()
    die_as_others_do()
    backend.start_server(*arguments)


def _assume(context: Context, env: Mapping[str, str]) -> None:
    try:
        assume(context, os.environ)
        if context.folder is not None:
            sys.argv[0] = path_of_program()
        enter(context, os.environ)
    except Refused as error:
        raise CommandError(f"The {error.key} of the process was refused: {error.reason}.") from None
    os.environ.update(env)


def _say_nothing(finding: Finding) -> None: ...


def command_alone(process: ResolvedProcess) -> list[str]:
    """The command that runs a process alone, in a fresh interpreter like this one."""
    # Django puts --settings into the environment, but not these.
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--pythonpath")
    for option in ("--skip-checks", "--traceback"):
        parser.add_argument(option, action="append_const", const=option, dest="flags", default=[])
    given = parser.parse_known_args(sys.argv[2:])[0]
    arguments = ["prodserver", process.name, f"--stop-timeout={process.settings.stop_timeout}"]
    arguments += [f"--pythonpath={given.pythonpath}"] if given.pythonpath else []
    arguments += given.flags
    return own_command(arguments + (["--", *process.extra] if process.extra else []))
