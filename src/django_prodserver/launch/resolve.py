"""From names to processes that can be started: backends are imported, and mistakes are found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Callable, Optional

from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.backends.registry import registered
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.variables import Variable
from django_prodserver.settings.wording import did_you_mean

from .addresses import address_problems, addresses_in_use
from .context import context_problems, contexts
from .process import ResolvedProcess
from .project import Say, failure_of, nobody_hears, refuse

BASE = f"{BaseServerBackend.__module__}.{BaseServerBackend.__name__}"


def resolve(
    configuration: Configuration,
    names: Iterable[str],
    extra: Sequence[str] = (),
    *,
    starting: bool = True,
    warn: Say = nobody_hears,
) -> list[ResolvedProcess]:
    """Import the backends of the named processes; `extra` are more arguments for their software.

    Raises ConfigurationError with every mistake. Without `starting` the software is not asked
    what it makes of its arguments, because that imports it.
    """
    findings: list[Finding] = []
    processes = []
    for name in names:
        settings = configuration.effective(name)
        try:
            backend_class = _import_backend(settings.backend)
        except ConfigurationError as error:
            findings += [finding.within(place_of(name)) for finding in error.findings]
        else:
            processes.append(ResolvedProcess(name, settings, backend_class, extra))
    for process in processes:
        findings += _backend_problems(process)
    refuse(findings, warn)
    if starting:
        refuse(address_problems(processes), warn)
    return processes


def resolve_to_start(
    configuration: Configuration,
    names: Iterable[str],
    extra: Sequence[str],
    check_project: Callable[[], object],
    warn: Say,
) -> list[ResolvedProcess]:
    """As `resolve`; then check the project, and what this machine grants at this moment.

    That is the user and the folder of each process, and that their addresses are free.
    """
    processes = resolve(configuration, names, extra, warn=warn)
    refuse(failure_of(check_project, "The system checks", "cannot run", anywhere=True), warn)
    refuse(context_problems(configuration, processes), warn)
    refuse(addresses_in_use(processes, contexts(processes)), warn)
    return processes


# ---- backends ----


def _import_backend(backend: str) -> type[BaseServerBackend]:
    """Import a backend by its name or path. Raises ConfigurationError about BACKEND."""
    given, dotted = f"is {backend!r}, which", _dotted_path(backend)
    try:
        found = import_string(dotted)
    except Exception as error:
        hint = did_you_mean(dotted, BUILT_IN.values()).strip()
        message = f"{given} cannot be imported: {describe(error)}."
        raise _wrong(message, hint, "E006", cause=error) from None
    if not (isinstance(found, type) and issubclass(found, BaseServerBackend)):
        hint = did_you_mean(dotted, BUILT_IN.values()) or f"Let it inherit from {BASE}."
        raise _wrong(f"{given} is not a backend.", hint.strip(), "E007")
    if found.start_server is BaseServerBackend.start_server:
        raise _wrong(f"{given} does not define start_server.", f"See {BASE}.", "E007")
    missing = [package for module, package in found.requires.items() if not _is_there(module)]
    if missing:
        message = f"{given} needs {' and '.join(missing)}, not installed here."
        hint = f"Run: pip install {' '.join(missing)}"
        raise _wrong(message, hint, "W002", warning=True)
    return found


def _dotted_path(backend: str) -> str:
    if "." in backend:
        return backend
    known, given = registered(), f"is {backend!r}, which"
    if backend not in known:
        hint = f"{did_you_mean(backend, known)}Known: {', '.join(known)}; or give the dotted path "
        hint += "of a class."
        raise _wrong(f"{given} is no known backend.", hint, "E006")
    first, *others = known[backend]
    if others:
        both = " and ".join(f"{one.package} ({one.path})" for one in known[backend])
        hint = "Give the dotted path of the one that is meant."
        raise _wrong(f"{given} is claimed by {both}.", hint, "E014")
    return first.path


def _wrong(
    message: str,
    hint: str,
    id: str,
    warning: bool = False,
    cause: Optional[BaseException] = None,
) -> ConfigurationError:
    return ConfigurationError([Finding("BACKEND", message, hint, id, warning, cause)])


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # The package that it would be in.
        return False


# ---- what is wrong with the settings of a process ----


def _backend_problems(process: ResolvedProcess) -> Iterator[Finding]:
    place = place_of(process.name)
    try:
        backend = process.backend
        found = list(backend.problems())
    except Exception as error:
        yield Finding(place, f"cannot be used: {describe(error)}.", cause=error)
        return
    replicas = process.settings.replicas
    if backend.singleton and replicas > 1:
        hint = "Use 1: each one would do all the work of the others again."
        found.append(Finding("REPLICAS", f"is {replicas}.", hint))
    yield from (finding.within(place) for finding in found)
    if process.settings.watchdog is not None and backend.pings is False:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is set, but {software} does not send WATCHDOG=1."
        hint = "Use HEALTHCHECK instead."
        yield Finding(_origin(process.name, "WATCHDOG"), message, hint, "E012")
    yield from _ready_problems(process)


def _ready_problems(process: ResolvedProcess) -> Iterator[Finding]:
    """READY is for what cannot tell by itself: two who tell would not agree."""
    if process.settings.ready is not None and process.backend.notifies:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is set, but {software} tells by itself when it is ready."
        yield Finding(place_of(process.name, "READY"), message, "Leave it out.", "E012")


def warnings(processes: Iterable[ResolvedProcess]) -> list[Finding]:
    """What may be a mistake, but does not prevent a start."""
    message = "is set, but it is not known whether the process sends WATCHDOG=1."
    hint = (
        "If it does not, it will be stopped as unhealthy: use HEALTHCHECK instead. If it does, "
        "add 'prodserver.W003' to SILENCED_SYSTEM_CHECKS."
    )
    return [
        Finding(_origin(process.name, "WATCHDOG"), message, hint, "W003", warning=True)
        for process in processes
        if process.settings.watchdog is not None and process.backend.pings is None
    ]


def _origin(name: str, key: str) -> str:
    """The place that the value of a key comes from: a variable, or the setting."""
    variable = str(Variable(name, key))
    return variable if os.environ.get(variable) else place_of(name, key)
