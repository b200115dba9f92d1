"""The supervisor for a project: preload it, then fork its processes from here."""

from __future__ import annotations

import gc
import logging
import os
import platform
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Callable

import django
from django.core.cache import close_caches
from django.db import connections

from .backends.application import describe
from .backends.base import BaseServerBackend
from .conf import SUPERVISOR, ConfigurationError, Finding, SupervisorSettings, path
from .posix.child import Program
from .posix.output import open_standard_descriptors
from .posix.signals import leaving_on
from .posix.system import PosixSystem
from .processes import Process, importable_here
from .supervisor import report
from .supervisor.lines import TextFormat
from .supervisor.model import Spec
from .supervisor.run import run
from .supervisor.supervisor import HANDLED, STOP_SIGNALS, Supervisor


def preload(processes: Sequence[Process], modules: Sequence[str]) -> None:
    """Import once what every process needs. Raises ConfigurationError if that is impossible."""
    findings = []
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            message = f"{SUPERVISOR}['PRELOAD'] names {module!r}, which cannot be imported: "
            findings.append(Finding("E011", f"{message}{describe(error)}."))
    for process in importable_here(processes):
        try:
            process.probe.preload()
        except Exception as error:
            message = f"{path(process.name)} cannot be loaded: {describe(error)}."
            findings.append(Finding("E011", message))
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
        preload(processes, settings.preload)
        _leave_nothing_open()
        gc.freeze()
    finally:
        gc.enable()
    instances = [
        (process, process.backend(name), name)
        for process in processes
        for name in process.instances
    ]
    specs = [_spec(*instance) for instance in instances]
    programs = [_program(*instance) for instance in instances]
    names = [spec.name for spec in specs]
    lines = TextFormat(names, timestamps=settings.timestamps, color=_color(settings.color))
    with PosixSystem(programs, lines, HANDLED, settings.max_line) as system:
        age = _age()
        supervisor = Supervisor(specs, began=system.now() - age)
        system.say(
            f"supervising {', '.join(names)} (python {platform.python_version()}, "
            f"django {django.get_version()}, preloaded in {report.seconds(age)})"
        )
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                system.say(
                    f"the preload left the thread {thread.name!r} running, which no process will "
                    "have: start it in the processes instead"
                )
        return run(supervisor, system)


def _spec(process: Process, backend: BaseServerBackend, name: str) -> Spec:
    return Spec(
        name=name,
        stop_signal=process.stop_signal(backend),
        stop_timeout=process.stop_timeout,
        stop_group=backend.stop_group,
        notifies=backend.notifies,
        success=backend.success,
        forwards=process.forwards(backend),
    )


def _program(process: Process, backend: BaseServerBackend, name: str) -> Program:
    return Program(
        name=name,
        start=lambda: backend.start_server(*backend.prep_server_args()),
        # What software that re-executes itself will run: itself, and not a second supervisor.
        argv=[sys.argv[0], "prodserver", process.name],
        environ={
            "PRODSERVER_PROCESS": process.name,
            "PRODSERVER_INSTANCE": name,
            **process.settings.env,
        },
        notifies=backend.notifies,
    )


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


def _color(when: str) -> bool:
    """https://no-color.org/ and https://force-color.org/, then whether a terminal reads it."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or os.isatty(1)
