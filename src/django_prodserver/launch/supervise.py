"""Supervise a project: load it, then fork its processes.

On Linux this process becomes the supervisor, which does not import the project, and a fork of it
loads the project and becomes the first template. Elsewhere this process is the supervisor and forks
the project that it has loaded itself.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Callable

import django
from django.conf import ENVIRONMENT_VARIABLE, settings

from django_prodserver.posix import early, imports, kernel
from django_prodserver.posix.child import open_streams
from django_prodserver.posix.clock import ago
from django_prodserver.posix.output import open_standard_descriptors
from django_prodserver.posix.program import Stage
from django_prodserver.posix.signals import (
    SignalPipe,
    handled,
    hangs_up,
    leaving_on,
    stop_signals_of,
)
from django_prodserver.posix.template.order import Order, inherited
from django_prodserver.posix.template.parting import split_off_supervisor
from django_prodserver.posix.template.plan import Plan
from django_prodserver.posix.template.serve import be_the_template
from django_prodserver.posix.titles import prepare
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.values import replace

from .addresses import urls
from .control import about, control_settings, monitor
from .examine import resolve_to_start
from .leftovers import lacks_threads
from .log_settings import log_settings
from .process import ResolvedProcess
from .stages import ProjectHere, stages_of, with_services
from .start_method import age
from .words import LOCAL


def supervise_project(
    configuration: Configuration,
    names: Sequence[str],
    extra: Sequence[str],
    check_project: Callable[[bool], Callable[[], object]],
    advise: Callable[[Finding], object],
    *,
    returns: bool = False,
    development: bool = False,
) -> int:
    """Run every instance of these processes until all have ended; return the exit status.

    With templates it does not return, because this process is replaced; `returns` means to use no
    templates. In `development` the code is watched, and a reload does not run oneshots.
    `check_project` returns a function that runs the system checks: all of them, or those that do
    not import the URLconf. Raises ConfigurationError before anything is started, for anything that
    would keep a process from starting.
    """
    open_standard_descriptors()
    prepare()
    order = inherited()
    parts = order is None and _has_templates(returns)
    again = order is not None and not order.first
    if development and order is None and not parts:
        message = "devserver --all requires Linux, and cannot be called by other code."
        raise ConfigurationError([Finding("", message)])
    if order is not None:
        open_streams()
    stop_signals = stop_signals_of(hangs_up())
    unanswered: list[Finding] = []

    def note(finding: Finding) -> None:
        # If a service may answer later, say so in the log, next to what happens then.
        (unanswered.append if finding.unanswered else advise)(finding)

    if development and order is not None and _is_of_a_reload(order):
        names = [name for name in names if not configuration.processes[name].runs_first]
    effective = {name: configuration.effective(name) for name in names}
    stages, traces = stages_of(effective), development or "--traceback" in sys.argv
    stage: Stage = None if None in stages.values() else ()
    if order is not None and again:
        stage = order.stage
    # A garbage collection now would take time, and cost memory later: it leaves holes between the
    # objects that forked processes share, and an allocation in such a hole copies the page.
    gc.disable()
    imports.begin()
    try:
        # If a supervisor started this process, the supervisor also stops it.
        with leaving_on({} if order is not None else stop_signals) as leave_if_asked:
            check = check_project(with_services(stage, stages, effective))
            running = order is not None and order.running
            processes = resolve_to_start(configuration, names, extra, check, note, running=running)
            leave_if_asked()
        # Become the supervisor now, while a fork loads the project. A fork has only the thread that
        # forked it, so this process must have no others, except those that restart in a fork.
        if parts and not lacks_threads():
            order = split_off_supervisor()
        with leaving_on({} if order is not None else stop_signals) as leave_if_asked:
            modules = configuration.supervisor.preload
            project = ProjectHere(processes, modules, check_project(True), stages, traces)
            project.load_here(stage, note)
            loaded = project.loaded(stage)
            leave_if_asked()
    finally:
        gc.enable()
    early.end()
    records = _records(configuration, names, unanswered)
    plan = _plan(configuration.supervisor, project, processes, stage, records)
    plan = replace(plan, preload=loaded.preload)
    if development:
        from .development import for_developers

        plan = replace(plan, development=True, specs=list(map(for_developers, plan.specs)))
    if parts and order is None:
        order = split_off_supervisor()
    if order is not None:
        be_the_template(order.channel, os.getppid(), order.run, project, plan, loaded)
    return _supervise_here(
        replace(plan, records=[*plan.records, *loaded.records]), stop_signals, project
    )


def _supervise_here(plan: Plan, stop_signals: Mapping[Signals, int], project: ProjectHere) -> int:
    from django_prodserver.posix.main import supervise  # With templates, another program runs it.

    with leaving_on(stop_signals):
        signals = SignalPipe(handled())
        try:
            return supervise(plan, signals, stop_signals, project)
        finally:
            signals.close()


def _has_templates(returns: bool) -> bool:
    """Whether the supervisor should be a separate program, and can be."""
    here = returns or os.environ.get(LOCAL)
    return not here and bool(sys.executable) and kernel.adopt_orphans()


def _is_of_a_reload(order: Order) -> bool:
    """Whether the order belongs to a reload: for its first template, or for a replacement of it.

    A replacement is recognized by its stage, which comes after no oneshot.
    """
    return order.running and (order.first or order.stage == ())


def _records(
    configuration: Configuration, names: Sequence[str], unanswered: Sequence[Finding]
) -> list[Record]:
    not_waited_for = configuration.not_waited_for(names).items()
    return [
        *(report.preload_warning(str(finding)) for finding in unanswered),
        *(report.not_waiting(name, others) for name, others in not_waited_for),
    ]


def _plan(
    supervisor: SupervisorSettings,
    project: ProjectHere,
    processes: Sequence[ResolvedProcess],
    stage: Stage,
    records: Sequence[Record],
) -> Plan:
    spent = age()
    return Plan(
        specs=project.launches.specs,
        programs=project.programs,
        log=log_settings(supervisor),
        environ=dict(os.environ),
        python=platform.python_version(),
        django=django.get_version(),
        settings=os.environ.get(ENVIRONMENT_VARIABLE, ""),
        debug=bool(settings.DEBUG),
        began=ago(spent),
        loaded_in=spent,
        refresh=[one.name for one in processes if one.settings.refresh],
        stage=stage,
        forkable=project.forkable,
        records=records,
        urls=list(urls(processes)),
        control=control_settings(supervisor, processes, os.environ),
        about=about(processes, spent),
        monitor=monitor(supervisor),
        on_event=supervisor.on_event,
    )
