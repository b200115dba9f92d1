"""The control socket and MONITOR: their addresses, and the facts about processes for clients."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Optional

import django

from django_prodserver import __version__
from django_prodserver.backends.base import Address
from django_prodserver.control.documents import About
from django_prodserver.posix.address import UNKNOWN_HOST, Listener, bindings
from django_prodserver.posix.context import group_id, group_names
from django_prodserver.posix.control.place import BACKLOG, VARIABLE, ControlSettings, name_of
from django_prodserver.posix.marks import outer_life
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import SUPERVISOR, place_of
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.settings.texts import host_and_port
from django_prodserver.settings.wording import did_you_mean

from .addresses import conflict, listeners
from .context import contexts
from .holding import holding
from .process import ResolvedProcess, importable_here


def control_settings(
    settings: SupervisorSettings, processes: Sequence[ResolvedProcess], environ: Mapping[str, str]
) -> Optional[ControlSettings]:
    """Settings of the control socket; None without one. Raises KeyError for an unknown group."""
    if not settings.control or not hasattr(os, "geteuid"):
        return None
    path = settings.control_path
    if outer_life(environ) and path == environ.get(VARIABLE):
        path = None  # That is the socket of the outer supervisor, which started this one.
    folder = os.getcwd()
    given = environ.get("PWD", folder)
    about = {
        "uid": os.geteuid(),
        "version": __version__,
        "project": given if os.path.realpath(given) == folder else folder,
        "folder": folder,
    }
    gid = _reading_group(settings, processes)
    return ControlSettings(path, name_of(folder), gid, json.dumps(about))


def _reading_group(
    settings: SupervisorSettings, processes: Sequence[ResolvedProcess]
) -> Optional[int]:
    """The group that may read: CONTROL_GROUP, or the only group of processes with another USER."""
    if settings.control_group is not None:
        return group_id(settings.control_group)
    others = {context.gid for context in contexts(processes).values() if context.changes_user}
    return others.pop() if len(others) == 1 else None


def about(processes: Sequence[ResolvedProcess], loaded_in: float) -> About:
    """Static facts for clients of the control socket; the pid is not known yet."""
    return About(
        version=__version__,
        pid=0,
        run=os.urandom(8).hex(),
        project=os.getcwd(),
        backends={one.name: one.settings.backend for one in processes},
        replicas={one.name: one.settings.replicas for one in processes},
        only_one=_only_one(processes),
        python=platform.python_version(),
        django=django.get_version(),
        loaded_in=loaded_in,
    )


def _only_one(processes: Sequence[ResolvedProcess]) -> dict[str, str]:
    """By process, why it can have only one instance, as far as that is known here."""
    why = {}
    held = holding(processes)
    for process, address in listeners(processes, []):
        if address.exclusive and process not in held:
            why[process.name] = f"only one instance can listen at {address}"
    for process in importable_here(processes):
        for option in process.backend_class.singleton_options:
            with suppress(Exception):  # It only prints something, or a database does not answer.
                if process.option(option):
                    why[process.name] = f"each instance would have {option!r} set"
    for process in processes:
        if process.backend.singleton:
            why[process.name] = "every instance would do the same work"
    return why


def monitor(settings: SupervisorSettings) -> Optional[Listener]:
    """The listener for MONITOR, if set. Raises OSError or UnicodeError for an unknown host."""
    if settings.monitor is None:
        return None
    return Listener(settings.monitor, bindings(*host_and_port(settings.monitor)), backlog=BACKLOG)


def monitor_problems(
    settings: SupervisorSettings, processes: Sequence[ResolvedProcess]
) -> Iterator[Finding]:
    """What is wrong with MONITOR on this machine, including conflicts with these processes."""
    place = f"{SUPERVISOR}['MONITOR']"
    try:
        monitor(settings)
    except UNKNOWN_HOST as error:
        message = f"is {settings.monitor!r}, whose host is not known: {error}."
        yield Finding(place, message, "Write 127.0.0.1 or 0.0.0.0.", "E015")
        return
    if settings.monitor is not None:
        at = Address(host_and_port(settings.monitor))
        for name in dict.fromkeys(
            process.name for process, address in listeners(processes, []) if conflict(at, address)
        ):
            message = f"is {settings.monitor!r}, where {place_of(name)} listens."
            yield Finding(place, message, "Choose another port for one of them.")


def control_problems(settings: SupervisorSettings) -> Iterator[Finding]:
    """What is wrong with CONTROL_GROUP on this machine."""
    if settings.control_group is None:
        return
    try:
        group_id(settings.control_group)
    except KeyError:
        message = f"is {settings.control_group!r}, which is not a group of this machine."
        hint = f"{did_you_mean(settings.control_group, group_names())}Name one, or give an id."
        yield Finding(f"{SUPERVISOR}['CONTROL_GROUP']", message, hint, "E015")
