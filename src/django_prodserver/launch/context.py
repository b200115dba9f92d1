"""Contexts: the user, group, folder and umask that a process gets from its settings.

Users, groups and folders depend on the machine, so `manage.py check` does not check them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Union

from django_prodserver.backends.base import PrintsOnly
from django_prodserver.posix.context import (
    Context,
    Refused,
    account,
    asked_within,
    current_user,
    group_id,
    group_names,
    user_names,
)
from django_prodserver.posix.interpreter import unreadable_here
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import SUPERVISOR, place_of
from django_prodserver.settings.schema import EffectiveSettings
from django_prodserver.settings.texts import octal_mask
from django_prodserver.settings.variables import Variable
from django_prodserver.settings.wording import did_you_mean

from .process import ResolvedProcess

KEYS = ("CWD", "USER", "GROUP", "UMASK")


def context_of(settings: EffectiveSettings) -> Context:
    """The context of a process. Raises KeyError for a user or group that this machine lacks."""
    gid = None if settings.group is None else group_id(settings.group)
    umask = None if settings.umask is None else octal_mask(settings.umask)
    if settings.user is None:
        return Context(gid=gid, folder=settings.folder, umask=umask)
    user = account(settings.user, gid)
    if user.uid == os.geteuid() != 0:
        # This process has that user already, and only root could change its groups.
        return Context(user.uid, gid, None, user.login, settings.folder, umask)
    return Context(user.uid, user.gid, user.groups, user.login, settings.folder, umask)


def contexts(processes: Iterable[ResolvedProcess]) -> dict[str, Context]:
    """The contexts by process name, without those whose user or group this machine lacks."""
    found = {}
    for process in processes:
        with suppress(KeyError):
            found[process.name] = context_of(process.settings)
    return found


# ---- what is wrong ----


def context_problems(
    configuration: Configuration, processes: Sequence[ResolvedProcess]
) -> list[Finding]:
    """What keeps a process from getting its USER, GROUP, UMASK or CWD."""
    # Report a wrong default of PRODUCTION_SUPERVISOR only once, not for each process.
    return list(
        dict.fromkeys(one for process in processes for one in _problems(configuration, process))
    )


def _problems(configuration: Configuration, process: ResolvedProcess) -> Iterator[Finding]:
    settings = process.settings
    unknown = [
        *_unknown("USER", settings.user, account, user_names),
        *_unknown("GROUP", settings.group, group_id, group_names),
    ]
    if not unknown:
        context = context_of(settings)
        unknown = [*_refused(settings, context), *_contradicted(process, context)]
    for one in unknown:
        yield Finding(_place(configuration, process.name, one.place), one.message, one.hint, one.id)


def _unknown(
    key: str,
    given: Union[int, str, None],
    look_up: Callable[[Union[int, str]], object],
    names: Callable[[], list[str]],
) -> Iterator[Finding]:
    if given is None:
        return
    kind = key.lower()
    if not hasattr(os, "setuid"):
        yield Finding(key, f"is {given!r}, but this platform cannot change the {kind}.")
        return
    try:
        look_up(given)
    except KeyError:
        hint = f"{did_you_mean(given, names())}Name a {kind} of this machine, or give an id."
        yield Finding(key, f"is {given!r}, which is not a {kind} of this machine.", hint, "E015")


def _refused(settings: EffectiveSettings, context: Context) -> Iterator[Finding]:
    """Try the context before anything is started, and report what the system refuses."""
    spawned = settings.start_method == "spawn" and context.changes_user
    try:
        unreadable = asked_within(context, unreadable_here if spawned else str)
        if unreadable:
            message = f"is {settings.user!r}, which cannot read {unreadable}."
            hint = (
                "Give it access: START_METHOD is 'spawn', so a fresh interpreter runs as that user."
            )
            yield Finding("USER", message, hint, "E015")
    except Refused as error:
        given = getattr(settings, error.key.lower())
        if error.key == "CWD":
            at = f" by the user {settings.user!r}" if settings.user is not None else ""
            message = f"is {given!r}, which cannot be entered{at}: {error.reason}."
            yield Finding(error.key, message, "Name a folder that exists and is readable.", "E015")
        elif error.denied and os.geteuid():
            message = f"is {given!r}, but this process runs as {current_user()!r}, and only root "
            message += "can change to another."
            yield Finding(error.key, message, "Start it as root, or leave it out.", "E015")
        else:
            hint = "A container needs the capabilities SETUID, SETGID and KILL for it."
            message = f"is {given!r}, which the system refuses: {error.reason}."
            yield Finding(error.key, message, hint if error.denied else "", "E015")


def _contradicted(process: ResolvedProcess, context: Context) -> Iterator[Finding]:
    """Keys whose values contradict the software's own options."""
    if not any(getattr(process.settings, key.lower()) is not None for key in KEYS):
        return
    with suppress(PrintsOnly, ValueError):
        for key, own in process.own_context.items():
            ours = getattr(process.settings, key.lower())
            if ours is not None and not _is_the_same(key, own, context):
                shown = f"{own:04o}" if key == "UMASK" and isinstance(own, int) else own
                message = f"is {ours!r}, but its own options say {shown!r}."
                yield Finding(key, message, "Leave one of them out.", "E012")


def _is_the_same(key: str, own: object, context: Context) -> bool:
    if key == "CWD":
        return os.path.realpath(str(own)) == os.path.realpath(str(context.folder))
    if key == "UMASK":
        return own == context.umask
    word = own if isinstance(own, int) else str(own)
    try:
        if key == "USER":
            return account(word).uid == context.uid
        return group_id(word) == context.gid
    except KeyError:
        return False


def _place(configuration: Configuration, name: str, key: str) -> str:
    """Where a value comes from: a variable or a setting, of the process or of the supervisor."""
    inherited = getattr(configuration.processes[name], key.lower()) is None
    variable = str(Variable(None if inherited else name, key))
    if os.environ.get(variable):
        return variable
    return f"{SUPERVISOR}[{key!r}]" if inherited else place_of(name, key)
