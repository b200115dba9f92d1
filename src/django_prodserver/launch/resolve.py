"""Resolve names into processes that can be started: import and validate their backends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Optional

from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.backends.registry import registered
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import ConfigurationError, Finding, advice, refuse
from django_prodserver.settings.names import place_of
from django_prodserver.settings.schema import DATABASE
from django_prodserver.settings.variables import Variable
from django_prodserver.settings.wording import did_you_mean

from .addresses import address_problems
from .autoscale import metric_problems
from .holding import problems as problems_of_sockets
from .locks import lock_problem
from .process import ResolvedProcess, importable_here

BASE = f"{BaseServerBackend.__module__}.{BaseServerBackend.__name__}"


# Keys that determine the software's command line: if one is wrong, do not ask the backend.
COMMAND_LINE = {"BACKEND", "ARGS", "APP", "ENV"}


def resolve(
    configuration: Configuration,
    names: Iterable[str],
    extra: Sequence[str] = (),
    *,
    starting: bool = True,
) -> list[ResolvedProcess]:
    """Import the backends of the named processes; `extra` are more arguments for their software.

    Raises ConfigurationError with every mistake, including those in the settings. Without
    `starting` the arguments are not parsed by the software, because that would import it.
    """
    processes, findings = examine(configuration, names, extra, starting=starting)
    refuse(findings)
    return processes


def examine(
    configuration: Configuration,
    names: Iterable[str],
    extra: Sequence[str] = (),
    *,
    starting: bool = True,
) -> tuple[list[ResolvedProcess], list[Finding]]:
    """Like `resolve`, but return the valid processes and all findings instead of raising.

    One mistake does not hide the next: the backend of a process is validated even if, say, its
    RESTART is wrong.
    """
    findings = list(configuration.findings)
    places = {finding.place for finding in findings}
    processes = []
    for name in names:
        wrong = configuration.wrong.get(name, frozenset())
        if "BACKEND" in wrong:
            continue
        settings = configuration.effective(name)
        try:
            backend_class = _import_with_software(settings.backend)
        except ConfigurationError as error:
            findings += [finding.within(place_of(name)) for finding in error.findings]
            continue
        if wrong & COMMAND_LINE:
            continue
        process = ResolvedProcess(name, settings, backend_class, extra)
        problems = [
            # Skip values that are reported already; and give no advice while there are mistakes.
            problem
            for problem in _backend_problems(process)
            if problem.place not in places and (problem.blocks or not wrong)
        ]
        findings += problems
        if not any(finding.blocks for finding in problems):
            processes.append(process)
    if starting:
        readable, problems = address_problems(processes)
        findings += [*problems, *problems_of_sockets(readable)]
        for process in importable_here(readable):
            findings += _option_problems(process)
        return readable, findings
    return processes, findings


def without_blocking_findings(
    processes: Iterable[ResolvedProcess], findings: Iterable[Finding]
) -> list[ResolvedProcess]:
    """The processes without a finding that prevents a start."""
    wrong = [finding.text for finding in findings if finding.blocks]
    return [one for one in processes if not any(place_of(one.name) in text for text in wrong)]


# ---- backends ----


def import_backend(backend: str) -> type[BaseServerBackend]:
    """Import a backend by its name or path, even if its software is not installed.

    Raises ConfigurationError about BACKEND.
    """
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
    if found.start_server is BaseServerBackend.start_server and not found.runner:
        raise _wrong(f"{given} does not define start_server.", f"See {BASE}.", "E007")
    return found


def _import_with_software(backend: str) -> type[BaseServerBackend]:
    """Import a backend. Raises ConfigurationError also if its software is not installed."""
    found = import_backend(backend)
    missing = [package for module, package in found.requires.items() if not _is_there(module)]
    if missing:
        needs = f"needs {' and '.join(missing)}, not installed here"
        message = f"is {backend!r}, which {needs}."
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
        raise _wrong(f"{given} is not a known backend.", hint, "E006")
    first, *others = known[backend]
    if others:
        both = " and ".join(sorted(f"{one.package} ({one.path})" for one in known[backend]))
        hint = "Write the dotted path of the one you mean."
        raise _wrong(f"{given} is claimed by {both}.", hint, "E014")
    return first.path


def _wrong(
    message: str,
    hint: str,
    id: str,
    warning: bool = False,
    cause: Optional[BaseException] = None,
) -> ConfigurationError:
    return ConfigurationError(
        [Finding("BACKEND", message, hint, id, warning, fatal=True, cause=cause)]
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # Its parent package is missing.
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
    yield from (finding.within(place) for finding in found)
    max_instances = process.settings.max_instances
    if backend.singleton and max_instances > 1:
        hint = "Use 1: every instance would do the same work."
        yield Finding(process.place_of_max, f"is {max_instances}.", hint)
    yield from metric_problems(process)
    yield from _lock_problems(process)
    if process.settings.watchdog is not None:
        yield from _watchdog_without_pings(process)
    yield from _ready_twice(process)
    yield from _service_that_finishes(process)


def _lock_problems(process: ResolvedProcess) -> Iterator[Finding]:
    given = process.settings
    found = None
    if given.singleton:
        found = lock_problem(place_of(process.name, "SINGLETON"), "")
    elif given.lock == DATABASE:
        hint = "; or write the path of a file, or None"
        found = lock_problem(place_of(process.name, "LOCK"), hint)
    if found is not None:
        yield found


def _ready_twice(process: ResolvedProcess) -> Iterator[Finding]:
    """READY is for software that does not report readiness itself: two reports could disagree."""
    if process.settings.ready is not None and process.backend.notifies:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is set, but {software} reports its readiness itself."
        yield Finding(place_of(process.name, "READY"), message, "Leave it out.", "E012")


def _service_that_finishes(process: ResolvedProcess) -> Iterator[Finding]:
    given = process.settings
    # With RESTART "always" the command is meant to run repeatedly.
    if given.type == "service" and given.restart != "always" and process.backend.args:
        command = process.backend.finishing_command()
        if command is not None and _is_understood(process):
            message = f"runs {command!r}, which exits when it is done, but is not a oneshot"
            message = f"{message}: its exit stops everything."
            hint = "Add 'TYPE': 'oneshot'."
            yield advice(place_of(process.name), message, hint, "W005")


def _is_understood(process: ResolvedProcess) -> bool:
    """Whether the software accepts its arguments."""
    try:
        _ = process.options
    except Exception:  # `address_problems` reports it.
        return False
    return True


def _option_problems(process: ResolvedProcess) -> Iterator[Finding]:
    """Options of the software that do not work under a supervisor or with several instances."""
    place, backend_class = place_of(process.name), process.backend_class
    try:
        set_options = {
            name
            for name in (*backend_class.misfits, *backend_class.singleton_options)
            if process.option(name)
        }
    except Exception:
        return  # It only prints something, or a database does not answer, which was reported.
    for name, misfit in backend_class.misfits.items():
        if name in set_options:
            message = f"has {name!r} set, {misfit.why}."
            if misfit.refused:
                yield Finding(place, message, misfit.hint, "E016")
            else:
                yield advice(place, message, misfit.hint, "W006")
    max_instances = process.settings.max_instances
    for name in set_options & set(backend_class.singleton_options):
        if max_instances > 1:
            hint = f"Use 1, or leave {name!r} to a process of its own."
            message = f"is {max_instances}, and each instance has {name!r} set."
            yield Finding(process.place_of_max, message, hint)


def _watchdog_without_pings(process: ResolvedProcess) -> Iterator[Finding]:
    place = _origin(process.name, "WATCHDOG")
    if process.backend.pings is False:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is set, but {software} does not send WATCHDOG=1."
        yield Finding(place, message, "Use HEALTHCHECK instead.", "E012")
    elif process.backend.pings is None:
        message = "is set, but it is unknown whether the process sends WATCHDOG=1."
        hint = (
            "If it does not, it will be stopped as unhealthy: use HEALTHCHECK instead. If it does, "
            "add 'prodserver.W003' to SILENCED_SYSTEM_CHECKS."
        )
        yield advice(place, message, hint, "W003")


def _origin(name: str, key: str) -> str:
    """Where the value of a key comes from: a variable, or else the setting."""
    variable = str(Variable(name, key))
    return variable if os.environ.get(variable) else place_of(name, key)
