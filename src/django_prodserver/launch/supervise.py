"""The supervisor for a project: preload it, then fork its processes from here."""

from __future__ import annotations

import gc
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Callable

import django
from django.core.cache import close_caches
from django.db import connections

from django_prodserver.backends.application import describe
from django_prodserver.logs.formats import Format, JsonFormat, RawFormat, TextFormat
from django_prodserver.posix.log import DESCRIPTORS, STDERR, STDOUT
from django_prodserver.posix.notify import watchdog_interval
from django_prodserver.posix.output import open_standard_descriptors
from django_prodserver.posix.signals import leaving_on
from django_prodserver.posix.system import PosixSystem
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import SUPERVISOR, place_of
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.supervisor import report
from django_prodserver.supervisor.group import HANDLED, STOP_SIGNALS, Group
from django_prodserver.supervisor.pump import run

from .plan import plan
from .resolve import Process, importable_here


def preload(processes: Sequence[Process], modules: Sequence[str]) -> None:
    """Import once what every process needs. Raises ConfigurationError if that is impossible."""
    findings = []
    if "default" in connections.settings:
        # Django imports it with the first query, which is in each process otherwise: half a MB.
        import_module("django.db.models.sql.compiler")
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            message = f"names {module!r}, which cannot be imported: {describe(error)}."
            findings.append(Finding(f"{SUPERVISOR}['PRELOAD']", message, id="E011"))
    for process in importable_here(processes):
        try:
            process.backend.preload()
        except Exception as error:
            message = f"cannot be loaded: {describe(error)}."
            findings.append(Finding(place_of(process.name), message, id="E011"))
    if findings:
        raise ConfigurationError(findings)


def supervise(find: Callable[[], Sequence[Process]], settings: SupervisorSettings) -> int:
    """Run every instance of the processes found until all have ended; returns the exit status."""
    open_standard_descriptors()
    with leaving_on(STOP_SIGNALS):
        return _supervise(find, settings)


def _supervise(find: Callable[[], Sequence[Process]], settings: SupervisorSettings) -> int:
    # A collection would cost time now, and later: what it frees are holes between the objects
    # that forked processes share, and the first to fill one copies a page.
    gc.disable()
    try:
        processes = find()
        # A fresh interpreter has no use for what this one has loaded.
        forked = [p for p in processes if p.settings.start_method != "spawn"]
        preload(forked, settings.preload if forked else [])
        _leave_nothing_open()
        gc.freeze()
    finally:
        gc.enable()
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    spawned = {p.name for p in processes if _is_spawned(p, threads)}
    specs, programs = plan(processes, spawned)
    names = [spec.name for spec in specs]
    program_of = {program.name: program for program in programs}.__getitem__
    with PosixSystem(program_of, _formats(settings, names), HANDLED, settings.max_line) as system:
        age = _age()
        group = Group(specs, began=system.now() - age, watchdog=watchdog_interval())
        python, framework = platform.python_version(), django.get_version()
        system.say(report.supervising(names, python, framework, age))
        for line in _said_of_threads(processes, threads):
            system.say(line)
        for line in _said_of_environment(processes):
            system.say(line)
        to_log = report.to_log(system.say, system)
        to_service_manager = report.to_service_manager(system.tell, system)
        status = run(group, system, [to_log, to_service_manager])
    # What even SIGKILL has not ended is known once the system is closed.
    return 1 if system.left_behind else status


def _is_spawned(process: Process, threads: Sequence[str]) -> bool:
    if process.settings.start_method == "auto":
        return _auto(process, threads) or bool(process.read_already(os.environ))
    return process.settings.start_method == "spawn"


def _auto(process: Process, threads: Sequence[str]) -> bool:
    """A fork has no threads but the one that forks, and what they hold locked stays locked."""
    return process.settings.start_method == "auto" and bool(threads)


def _said_of_threads(processes: Sequence[Process], threads: Sequence[str]) -> Iterator[str]:
    """What follows from threads that the preload left running."""
    spawned = [process.name for process in processes if _auto(process, threads)]
    if spawned:
        whom = "" if len(spawned) == len(processes) else f" {', '.join(spawned)}"
        which = f"thread{'s' * (len(threads) > 1)} {', '.join(map(repr, threads))}"
        yield f"starting{whom} by spawn: the preload left the {which} running"
    if any(process.settings.start_method == "fork" for process in processes):
        for name in threads:
            yield (
                f"the preload left the thread {name!r} running, which no process will "
                "have: start it in the processes instead"
            )


def _said_of_environment(processes: Sequence[Process]) -> Iterator[str]:
    """Where a fork would have what the supervisor's environment said."""
    for process in processes:
        names = ", ".join(process.read_already(os.environ))
        if names and process.settings.start_method == "auto":
            yield f"starting {process.name} by spawn: its ENV sets {names}, which is read already"
        elif names and process.settings.start_method == "fork":
            yield f"{process.name} will not see the {names} of its ENV, which is read already"


def _age() -> float:
    """Seconds since this program began to run.

    The kernel knows when its process began, which is too early after an exec, as at the end of a
    container's entry script. Python's earliest memory is when logging was loaded, with Django's
    first modules.
    """
    return logging.makeLogRecord({}).relativeCreated / 1000


def _leave_nothing_open() -> None:
    """Close what the preload may have connected: forked processes would share the connection."""
    connections.close_all()
    close_caches()


def _formats(settings: SupervisorSettings, names: Sequence[str]) -> dict[str, Format]:
    """How lines are written to stdout and, where it is kept apart, to stderr."""
    kinds = [STDOUT] if settings.stderr == "merge" else [STDOUT, STDERR]
    return {kind: _format(settings, names, DESCRIPTORS[kind]) for kind in kinds}


def _format(settings: SupervisorSettings, names: Sequence[str], fd: int) -> Format:
    if settings.log_format == "raw":
        return RawFormat()
    if settings.log_format == "json":
        return JsonFormat(clock=_utc if settings.timestamps else None)
    clock = _local_time if settings.timestamps else None
    return TextFormat(names, clock=clock, color=_color(settings.color, fd))


def _local_time() -> str:
    return time.strftime("%H:%M:%S")


def _utc() -> str:
    """Date and time of RFC 3339, to the millisecond."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def _color(when: str, fd: int) -> bool:
    """https://no-color.org/ and https://force-color.org/, then whether a terminal reads it."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or os.isatty(fd)
