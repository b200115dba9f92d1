"""A Procfile, for honcho, foreman, overmind, Heroku and Dokku."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from django.core.management.base import CommandError

from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.schema import ProcessSettings


def services(processes: Mapping[str, ProcessSettings]) -> Mapping[str, ProcessSettings]:
    """Return the processes that have a line. Raises CommandError if there are none.

    Oneshots that run first are left out, because Procfile runners stop everything once one process
    exits.
    """
    found = {name: one for name, one in processes.items() if not one.runs_first}
    if not found:
        raise CommandError(
            f"A Procfile is for services, and there are only oneshots: {', '.join(processes)}."
        )
    return found


def notes(
    configuration: Configuration, services: Iterable[str], disabled: Iterable[str]
) -> Iterator[str]:
    """Yield what the lines of these services cannot express."""
    for name in disabled:
        yield f"{name} is left out: it is disabled."
    for name in services:
        given = configuration.effective(name)
        if given.user is not None:
            yield f"{name} has the USER {given.user!r}: run the Procfile as that user, or as root."
        elif given.group is not None:
            yield f"{name} has the GROUP {given.group!r}: run the Procfile as root."


def render(processes: Mapping[str, ProcessSettings], site: str, control: bool) -> str:
    """A line for each process: its name, and the command that runs it until it is stopped.

    `control`: supervisors have a control socket. Two supervisors of a project cannot share the
    default path, so each gets a path with the name of the `site`.
    """
    supervised = [name for name, one in processes.items() if is_supervised(one)]
    separate = supervised if control and len(supervised) > 1 else []
    sockets = {name: f"/tmp/{site}-{name}-control.sock" for name in separate}
    return "".join(
        line(name, argument(name, one), control=sockets.get(name, "")) + "\n"
        for name, one in processes.items()
    )


def is_supervised(process: ProcessSettings) -> bool:
    """Whether its line starts a supervisor, although the process is alone there."""
    return process.scheduled or process.needs_supervisor


def argument(name: str, process: ProcessSettings) -> str:
    """Return the argument of `prodserver` that runs the process until it is stopped.

    NAME runs a scheduled oneshot once and exits; with NAME=1, a supervisor waits for its times.
    """
    return f"{name}=1" if process.scheduled else name


def line(label: str, argument: str, folder: str = "", control: str = "") -> str:
    """Return a process's line; `folder` is that of manage.py, unless it is the Procfile's."""
    # Not this interpreter: a Procfile runs elsewhere, in an environment of its own.
    command = f"python manage.py prodserver {argument}"
    if control:
        # A shell runs the line, so a variable can precede the command.
        command = f"PRODSERVER_CONTROL={control} {command}"
    return (
        f"{label}: cd {shlex.quote(folder)} && exec {command}" if folder else f"{label}: {command}"
    )
