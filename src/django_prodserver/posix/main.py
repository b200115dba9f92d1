"""The supervisor's own program, which is executed over the command that was started.

It keeps the pid, environment and children of that command, and imports neither Django nor the
project.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import SIGKILL, SIGTERM, Signals

from django_prodserver.supervisor import report
from django_prodserver.supervisor.digest import Digests
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.facts import AllReady, Fact, Observer
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.hints import Callable, NoReturn, Optional, Union
from django_prodserver.supervisor.pump import run
from django_prodserver.supervisor.record import ERROR, Record
from django_prodserver.supervisor.values import replace

from . import child, interpreter, kernel, marks, metrics_folder, needs
from .clock import Clock
from .control.place import InUse, Place, Unavailable, take
from .log import LAST_FLUSH
from .metrics_folder import MetricsFolder
from .notify import watchdog_interval
from .output import open_standard_descriptors
from .signals import SignalPipe, handled, stop_signals_of
from .starting import Project
from .system import PosixSystem
from .template.channel import Channel, Closed, pair
from .template.handover import Handover, unpack_handover
from .template.order import FIRST
from .template.plan import Plan
from .template.protocol import VERSION
from .template.templates import First
from .titles import set_command_line

# Seconds that the first template has to exit before it is SIGKILLed.
END_WITHIN = 1.0
# How many times the first template is tried if each one is SIGKILLed.
ATTEMPTS = 3


def main(fd: int) -> NoReturn:
    """Supervise; `fd` holds the handover. Never returns."""
    status = 1
    try:
        open_standard_descriptors()
        handover = unpack_handover(fd)
        if handover.metrics is not None:
            metrics_folder.take_over(MetricsFolder.of(*handover.metrics))
        set_command_line(handover.title)
        status = _run(handover)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        metrics_folder.end()
        # The shutdown of the interpreter is not needed; skipping it leaves no time in which a
        # signal could change the exit status.
        os._exit(status)


def _run(handover: Handover) -> int:
    kernel.adopt_orphans()
    stop_signals = stop_signals_of(handover.hangs_up)
    signals = SignalPipe(handled())
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    plan: Union[Plan, ExitStatus, int] = 1
    for _ in range(ATTEMPTS):
        first = _first_template(handover, signals)
        plan = _wait_for_plan(first, signals, stop_signals)
        if not (isinstance(plan, ExitStatus) and plan.signal == SIGKILL):
            break
        # The project did not cause the SIGKILL: try another template.
        first.channel.close()
        handover = replace(handover, channel=None)
    if not isinstance(plan, Plan):
        first.channel.close()
        if handover.helper:
            # The helper has not rendered the last lines yet.
            child.reap_or_kill([handover.helper], Clock(), signals, LAST_FLUSH)
        return plan.shell if isinstance(plan, ExitStatus) else plan
    # Makes the loop reap other children that have exited meanwhile.
    signal.raise_signal(signal.SIGCHLD)
    # The environment after the settings were read: programs executed from here inherit it.
    interpreter.set_environment(plan.environ)
    # This process has no mark, or that of an outer supervisor.
    os.environ.pop(marks.VARIABLE, None)
    if marks.VARIABLE in handover.command.environ:
        os.environ[marks.VARIABLE] = handover.command.environ[marks.VARIABLE]
    time.tzset()
    first = replace(first, stage=plan.stage, fresh=plan.refresh, forkable=plan.forkable)
    return supervise(plan, signals, stop_signals, first)


def supervise(
    plan: Plan,
    signals: SignalPipe,
    stop_signals: Mapping[Signals, int],
    begin_from: Union[First, Project],
) -> int:
    """Run all planned processes until they have ended; return the exit status.

    Lives are forked from a template, the first of which is already running, or from this process
    if it has loaded the project itself.
    """
    names = [spec.name for spec in plan.specs]
    for spec in plan.specs:
        needs.prepare(spec, plan.programs[spec.process])
    with PosixSystem(
        plan.programs,
        plan.log.formats(names),
        *(signals, plan.log.max_line, begin_from),
    ) as system:
        system.set_control_settings(plan.control)
        place, problem = _control_socket(plan)
        if problem is not None and problem.severity is ERROR:
            system.complain(problem)
            return 1
        cannot_listen = system.listen()
        if cannot_listen is not None:
            return _refuse(system, cannot_listen, place)
        age = time.monotonic() - plan.began
        reloads = isinstance(begin_from, First)
        timing = (system.now() - age, watchdog_interval())
        group = Group(plan.specs, *timing, stop_signals, reloads=reloads, at_once=plan.development)
        known = replace(plan.about, pid=os.getpid())
        counts = system.collect_metrics(known, lambda: group.snapshot(system.now()))
        monitoring = system.monitor_at(plan.monitor)
        if monitoring is not None and monitoring.severity is ERROR:
            return _refuse(system, monitoring, place)
        system.use_handlers(plan.on_event, plan.about.run)
        system.say(supervising(names, plan))
        for record in (*plan.records, *filter(None, [problem, monitoring])):
            system.say(record)
        observers = [
            report.to_log(system.say, system, Digests(system.now, system.evidence).complete),
            report.to_events(system.record_event, system),
            report.to_service_manager(system.notify_service_manager, system),
            counts,
        ]
        if plan.log.format == "text" and os.isatty(1):
            observers.append(_to_reader(system.say, plan))
        if plan.development:
            observers.append(system.watch_code())
        if place is not None:
            system.startups.begin(plan)
            observers.append(system.answer_at(place))
            observers.append(system.startups.observe)
        status = run(group, system, observers)
    # Known only once the system is closed: whether processes have survived SIGKILL.
    return 1 if system.left_behind else status


def _refuse(system: PosixSystem, problem: Record, place: Optional[Place]) -> int:
    """Report why nothing is started, remove the control socket, and return the exit status."""
    system.complain(problem)
    if place is not None:
        place.close()
    return 1


def _control_socket(plan: Plan) -> tuple[Optional[Place], Optional[Record]]:
    """Return the control socket, if enabled and available, and the problem with it, if any.

    If the problem is an error, nothing may start: this project is already running, or the socket
    has a configured path and cannot be created there.
    """
    if plan.control is None:
        return None, None
    try:
        return take(plan.control), None
    except InUse as error:
        return None, report.control_in_use(str(error))
    except Unavailable as error:
        return None, report.control_unavailable(str(error), chosen=plan.control.path is not None)


def supervising(names: Sequence[str], plan: Plan) -> Record:
    loaded = (plan.python, plan.django, plan.settings, plan.debug, plan.loaded_in)
    return report.supervising(names, *loaded)


def _to_reader(say: Callable[[Record], None], plan: Plan) -> Observer:
    """Log the URLs of the servers once everything is ready, for a reader at a terminal."""

    def observe(fact: Fact) -> None:
        if isinstance(fact, AllReady):
            for instances, url in plan.urls:
                say(report.serving(instances, url))

    return observe


# ---- the first template ----


def _first_template(handover: Handover, signals: SignalPipe) -> First:
    """Return the template that was handed over, or start one with this process's own output."""
    command = handover.command
    if handover.channel is not None:
        channel = Channel.of(handover.channel)
        channel.send("run", handover.run)
        return First(channel, handover.template, command, handover.run)
    ours, theirs = pair()
    supervisor = os.getpid()

    def become() -> NoReturn:
        release = signals.reset_in_child
        command.become_template(supervisor, handover.run, theirs.fileno(), FIRST, None, release)

    with theirs:
        pid = child.fork(become, signals)
    channel = Channel(ours)
    channel.send("run", handover.run)
    return First(channel, pid, command, handover.run)


def _wait_for_plan(
    first: First, signals: SignalPipe, stop_signals: Mapping[Signals, int]
) -> Union[Plan, ExitStatus, int]:
    """Return the plan, or the exit status of a template that was killed by a signal.

    An int is the exit status for this process: a stop signal has arrived, or the template has
    exited and logged why.
    """
    poll = select.poll()
    poll.register(first.channel, select.POLLIN)
    poll.register(signals, select.POLLIN)
    first.channel.set_blocking(False)
    while True:
        poll.poll()
        for number in signals.drain():
            if number in stop_signals:
                _end(first, signals)
                return stop_signals[number]
        with suppress(Closed):
            plan = _read_plan(first.channel)
            if plan is not None:
                return plan
            continue
        # The template is exiting, or it has lost its channel and is useless.
        code = _ended(first, signals)
        return code if code >= 0 else ExitStatus(signal=-code)


def _ended(first: First, signals: SignalPipe) -> int:
    """Wait for the template to exit, and SIGKILL it after END_WITHIN; return its exit status."""
    clock = Clock()
    end = clock.now() + END_WITHIN
    while True:
        pid, status = os.waitpid(first.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if clock.now() >= end:
            os.kill(first.pid, SIGKILL)
            os.waitpid(first.pid, 0)
            return -SIGKILL
        clock.sleep(signals.wait, end - clock.now())


def _read_plan(channel: Channel) -> Optional[Plan]:
    while (message := channel.receive()) is not None:
        word, *rest = message
        if word == "protocol":
            assert rest == [VERSION], "it is the same version of this package"
        elif word == "plan":
            (plan,) = rest
            assert isinstance(plan, Plan)
            return plan
    return None


def _end(first: First, signals: SignalPipe) -> None:
    # The template may be importing the project: then it reads no messages, and an import may ignore
    # SIGTERM. `_ended` kills it in that case.
    first.channel.send("end")
    os.kill(first.pid, SIGTERM)
    _ended(first, signals)
