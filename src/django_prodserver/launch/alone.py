"""One process alone: the manage.py process becomes its software, without a supervisor."""

from __future__ import annotations

import gc
import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

from django.core.management.base import CommandError

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.backends.hooks.connections import close_connections
from django_prodserver.backends.own_program import command_line
from django_prodserver.posix import imports
from django_prodserver.posix.context import Context, Refused, assume, enter
from django_prodserver.posix.interpreter import (
    own_command,
    path_of_program,
    replace_program,
    search_path,
    start_words,
    unreadable_here,
)
from django_prodserver.posix.patched import is_patched
from django_prodserver.posix.randomness import reseed_forks
from django_prodserver.posix.signals import die_as_others_do
from django_prodserver.posix.titles import set_title
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import Finding

from .context import context_of
from .examine import resolve_to_start
from .preload import preload
from .process import SETTINGS_MODULE, ResolvedProcess
from .selection import is_life_of

# Set while the interpreter restarts because ENV sets a variable that had been read already.
STARTED_AGAIN = "_PRODSERVER_STARTED_AGAIN"


def run_alone(
    configuration: Configuration,
    name: str,
    extra: Sequence[str],
    check_project: Callable[[], object],
    advise: Callable[[Finding], object],
) -> None:
    """Run a process until it exits. Raises ConfigurationError if it cannot be started."""
    imports.end()  # The durations of its imports are not needed.
    before = dict(os.environ)
    env = {} if "ENV" in configuration.wrong.get(name, ()) else configuration.processes[name].env
    env = {"PRODSERVER_PROCESS": name, **env}
    os.environ["PATH"] = search_path(os.environ.get("PATH"))
    os.environ.update(env)
    # Set by a supervisor that spawned this interpreter to run an instance. Forked software that
    # re-executes itself also gets here.
    instance = os.environ.get("PRODSERVER_INSTANCE", "")
    supervised = is_life_of(name)
    if not supervised:
        # The variable belongs to an instance of another process, which started this program.
        os.environ.pop("PRODSERVER_INSTANCE", None)
    else:
        # The supervisor runs the other instances.
        configuration = configuration.overridden({name: 1})
        # Without a supervisor the title stays the command line that the user typed.
        set_title(instance)
        # The supervisor has given all advice already.
        advise = _say_nothing
    (process,) = resolve_to_start(configuration, [name], extra, check_project, advise)
    _restart_for_env(process, before)
    _patch_first(process)
    context = context_of(process.settings)
    if context.changes_user:
        # Import first, as under a supervisor: that user may not be able to read the files.
        preload([process], [])
    _assume(context, env)
    backend = process.new_backend(instance if supervised else None)
    program = own_program(backend, sys.argv, () if supervised else start_words())
    if program is not None and not unreadable_here():
        replace_program(program)
    arguments = backend.prep_server_args()
    # The software may fork workers.
    close_connections()
    reseed_forks()
    die_as_others_do()
    gc.enable()
    backend.start_server(*arguments)


def _restart_for_env(process: ResolvedProcess, before: Mapping[str, str]) -> None:
    """Restart the interpreter if ENV sets variables that were read from `before` already."""
    again = os.environ.pop(STARTED_AGAIN, None)
    variables = process.variables_already_read(before)
    if not variables:
        return
    if again is not None:
        one = variables[0]
        raise CommandError(
            f"The ENV of {process.name} sets {one} to {os.environ[one]!r}, but {sys.argv[0]} "
            f"overwrites it. Make it set only a default: os.environ.setdefault({one!r}, ...)."
        )
    os.environ[STARTED_AGAIN] = process.name
    arguments = sys.argv[1:]
    if SETTINGS_MODULE in variables:
        arguments = _without_settings(arguments)
    replace_program(own_command(arguments))


def _patch_first(process: ResolvedProcess) -> None:
    """Restart the interpreter if a greenlet library must patch Python before Django is imported."""
    if _is_code_to_patch(process) and not is_patched(process.patched_by):
        replace_program(own_command(sys.argv[1:], process.patched_by))


def _is_code_to_patch(process: ResolvedProcess) -> bool:
    """Whether manage.py has to run patched. Software with its own program is patched there."""
    return bool(process.patched_by) and not _has_own_program(process.backend)


def _without_settings(arguments: Sequence[str]) -> list[str]:
    """Remove Django's option --settings, which would set the variable again."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    return [*parser.parse_known_args(arguments[:end])[1], *arguments[end:]]


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


def own_program(
    backend: BaseServerBackend, argv: Sequence[str], title: Sequence[str] = ()
) -> Optional[list[str]]:
    """The command that runs it in a fresh interpreter without Django; None if it needs Django.

    `argv` and `title` are those of `backends.own_program.command_line`.
    """
    if not _has_own_program(backend):
        return None
    return command_line(
        *(backend.runner, backend.prep_server_args(), backend.runner_arguments(), argv, title)
    )


def _has_own_program(backend: BaseServerBackend) -> bool:
    # A backend that overrides start_server needs it to be called.
    start_server = type(backend).start_server
    return bool(backend.runner) and start_server is BaseServerBackend.start_server


def command_alone(process: ResolvedProcess) -> list[str]:
    """The command that runs a process alone, in a fresh interpreter like this one."""
    # Django passes --settings on in the environment, but not these options.
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--pythonpath")
    for option in ("--skip-checks", "--traceback"):
        parser.add_argument(option, action="append_const", const=option, dest="flags", default=[])
    given = parser.parse_known_args(sys.argv[2:])[0]
    arguments = ["prodserver", process.name, f"--stop-timeout={process.settings.stop_timeout}"]
    arguments += [f"--pythonpath={given.pythonpath}"] if given.pythonpath else []
    arguments += given.flags
    arguments += ["--", *process.extra] if process.extra else []
    return own_command(arguments, process.patched_by if _is_code_to_patch(process) else "")
