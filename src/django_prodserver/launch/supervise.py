"""The supervisor of a project: preload it, then fork its processes from here."""

from __future__ import annotations

import gc
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Callable

import django

from django_prodserver.backends.hooks.connections import close_connections
from django_prodserver.posix import early
from django_prodserver.posix.notify import watchdog_interval
from django_prodserver.posix.output import open_standard_descriptors
from django_prodserver.posix.randomness import reseed_forks
from django_prodserver.posix.signals import hangs_up, leaving_on
from django_prodserver.posix.system import PosixSystem
from django_prodserver.posix.titles import prepare
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.supervisor import report
from django_prodserver.supervisor.facts import AllReady, Fact, Observer
from django_prodserver.supervisor.group import (
    HANDLED,
    STOP_SIGNALS,
    STOP_SIGNALS_AT_TERMINAL,
    Group,
)
from django_prodserver.supervisor.pump import run
from django_prodserver.supervisor.record import Record

from .addresses import urls
from .examine import resolve_to_start
from .launch import Launches
from .log_formats import formats_of
from .preload import preload
from .process import ResolvedProcess
from .start_method import other_threads, said_of_start_methods, to_fork, to_spawn


def supervise(
    configuration: Configuration,
    names: Sequence[str],
    extra: Sequence[str],
    check_project: Callable[[], object],
    advise: Callable[[Finding], object],
) -> int:
    """Run every instance of these processes until all have ended; returns the exit status.

    Raises ConfigurationError, before anything is started, for what would keep one from starting.
    """
    open_standard_descriptors()
    prepare()
    stop_signals = STOP_SIGNALS_AT_TERMINAL if hangs_up() else STOP_SIGNALS
    with leaving_on(stop_signals):
        # A collection would take time now. Later it would cost memory: it leaves holes between the
        # objects that forked processes share, and what is allocated there copies the page.
        gc.disable()
        unanswered: list[Finding] = []

        def note(finding: Finding) -> None:
            # What may answer later is told in the log, beside what becomes of it.
            (unanswered.append if finding.unanswered else advise)(finding)

        try:
            processes = resolve_to_start(configuration, names, extra, check_project, note)
            forked = to_fork(processes)
            preload(forked, configuration.supervisor.preload if forked else [], note)
            close_connections()
            reseed_forks()
            gc.freeze()
        finally:
            gc.enable()
        early.end()
        not_waited_for = configuration.not_waited_for(names)
        said = [report.going_on(str(finding)) for finding in unanswered]
        said += [report.not_waiting(name, others) for name, others in not_waited_for.items()]
        return _run(processes, configuration.supervisor, stop_signals, said)


def _run(
    processes: Sequence[ResolvedProcess],
    settings: SupervisorSettings,
    stop_signals: Mapping[Signals, int],
    said: Sequence[Record],
) -> int:
    threads = other_threads()
    launches = Launches(processes, to_spawn(processes, threads))
    specs = [launch.spec() for launch in launches.configured]
    names = [spec.name for spec in specs]
    formats = formats_of(settings, names)
    with PosixSystem(launches.program_of, formats, HANDLED, settings.max_line) as system:
        age = _age()
        group = Group(specs, system.now() - age, watchdog_interval(), stop_signals)
        python, framework = platform.python_version(), django.get_version()
        system.say(report.supervising(names, python, framework, age))
        for line in [*said, *said_of_start_methods(processes, threads)]:
            system.say(line)
        to_log = report.to_log(system.say, system)
        to_service_manager = report.to_service_manager(system.tell, system)
        observers = [to_log, to_service_manager]
        if settings.log_format == "text" and os.isatty(1):
            observers.append(_to_reader(system.say, processes))
        status = run(group, system, observers)
    # Known once the system is closed: processes that SIGKILL did not end.
    return 1 if system.left_behind else status


def _to_reader(say: Callable[[Record], None], processes: Sequence[ResolvedProcess]) -> Observer:
    """Observe facts, and say where the servers are once all is ready: someone looks on."""

    def observe(fact: Fact) -> None:
        if isinstance(fact, AllReady):
            for instances, url in urls(processes):
                say(report.serving(instances, url))

    return observe


def _age() -> float:
    """Seconds since this program began to run.

    The kernel knows when the process began, but that is too early after an exec, as at the end of a
    container's entry script. The earliest moment that Python remembers is the import of logging,
    with Django's first modules.
    """
    return logging.makeLogRecord({}).relativeCreated / 1000
