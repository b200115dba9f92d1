"""A Procfile, for honcho, foreman, overmind, Heroku and Dokku."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from django.core.management.base import CommandError

from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.schema import ProcessSettings


def services(processes: Mapping[str, ProcessSettings]) -> list[str]:
    """Return the names of the services. Raises CommandError if there are none.

    Oneshots are left out, because Procfile runners stop everything once one process exits.
    """
    found = [name for name, process in processes.items() if not process.runs_first]
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


def render(names: Iterable[str]) -> str:
    """A line for each process: its name, and the command that runs it alone."""
    return "".join(line(name, name) + "\n" for name in names)


def line(label: str, name: str, folder: str = "") -> str:
    """Return a process's line; `folder` is that of manage.py, unless it is the Procfile's."""
    # Not this interpreter: a Procfile runs elsewhere, in an environment of its own.
    command = f"python manage.py prodserver {name}"
    return (
        f"{label}: cd {shlex.quote(folder)} && exec {command}" if folder else f"{label}: {command}"
    )
