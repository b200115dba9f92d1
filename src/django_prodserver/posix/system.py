"""The operating system behind `supervisor.system`: one loop, and everything that it serves."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from signal import Signals
from types import TracebackType

from django_prodserver.control.documents import About
from django_prodserver.control.tally import Tally
from django_prodserver.logs.formats import Format
from django_prodserver.logs.lines import MAX_LINE
from django_prodserver.supervisor import report
from django_prodserver.supervisor.commands import ProbeKind
from django_prodserver.supervisor.events import (
    Event,
    OutputGone,
    OutputResumed,
    OutputStalled,
    PreloadFailed,
    Probed,
    ProbeRefused,
    Signalled,
)
from django_prodserver.supervisor.facts import Observer
from django_prodserver.supervisor.hints import TYPE_CHECKING, Callable, Optional, Union
from django_prodserver.supervisor.life import LOSE_AFTER
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.spec import Ref

from . import child, interpreter, kernel, marks, metrics_folder
from .address import Listener
from .clock import Clock
from .control.answers import Known
from .control.monitor import Monitor
from .control.place import VARIABLE as CONTROL
from .control.place import ControlSettings, Place
from .control.server import Kept, Server
from .descendants import Descendants, has_children
from .errands import Errands
from .evidence import SystemEvidence
from .handlers import Handlers
from .lives import Lives
from .loads import Loads
from .locks import Locks
from .log import DESCRIPTORS, STDOUT, Log
from .loop import Loop
from .metrics import Metrics
from .notify import VARIABLE, notify
from .probes.checked import Checks
from .probes.probe import NotBegun, Outcome
from .probes.running import RunningProbes
from .probes.targets import CommandTarget, TcpTarget
from .program import Program, Programs
from .project_metrics import ProjectMetrics
from .schedules import Schedules
from .signals import SignalPipe, hangs_up
from .sockets import CannotListen, HeldSockets, passed
from .starting import Forks, LocalProject, Project, Starter
from .startup import TimedStartups
from .template.generations import Generations
from .template.templates import First, Templates
from .usage import Meter

if TYPE_CHECKING:
    from .watching import Watching


class PosixSystem:
    """Implements `System` and `Processes`; use it as a context manager, in the main thread.

    `programs` has the program of each process by name. Project code is forked from a template, or
    from this process if it has loaded the project. `close` SIGKILLs every descendant of this
    process; `left_behind` is then true if any of them survived.
    """

    def __init__(
        self,
        programs: Mapping[str, Program],
        formats: Mapping[str, Format],
        signals: SignalPipe,
        max_line: int = MAX_LINE,
        begin_from: Union[First, Project, None] = None,
    ) -> None:
        self.left_behind = False
        self._at_terminal = os.isatty(DESCRIPTORS[STDOUT]) and hangs_up()
        self._clock = Clock()
        self._loop = Loop(self._clock, signals, self._reap, self._before_sleep)
        self._log = Log(self._loop.selector, self._loop.signals, formats, max_line)
        self._log_gone = False
        # Whether the supervisor has been told that the log is stalled.
        self._log_stalled = False
        self._reaped = False
        self._probes = RunningProbes(self._loop.selector, self._execute, self._probed)
        self._programs = Programs(programs)
        self._sockets = HeldSockets(self._clock, passed())
        self.startups = TimedStartups(self._clock)
        self._starter = self._create_starter(begin_from)
        run = begin_from.run if isinstance(begin_from, First) else marks.new_run()
        self._lives = Lives(
            self._starter.program_of,
            *(self._starter, self._sockets, self._loop, self._log, run),
            self._children,
        )
        self.errands = Errands(self._starter, self._loop, self._log, run, self._children)
        self._locks = Locks(self._starter.newest_program_of, self.errands, self._loop)
        self._schedules = Schedules(self._starter.newest_program_of, self._loop)
        # The handlers of ON_EVENT.
        self.handlers = Handlers(self._log.events, self.errands, self._loop, self._log.mention)
        # What is known about a life that has just ended.
        self.evidence = SystemEvidence(self._log.recent, self._lives.folder)
        self._descendants = Descendants(self._starter.pids)
        self._watching: Optional[Watching] = None
        self._checks = Checks(self._clock)
        self._meter = Meter(self._lives.leaders, self._loop)
        self._loads = Loads(self._meter, self._lives.busy, self.errands, self._loop)
        self._known: Optional[Known] = None
        self._control: Optional[Server] = None
        self._monitor: Optional[Monitor] = None
        self._control_settings: Optional[ControlSettings] = None
        self._supervised_at = os.environ.get(VARIABLE, "")
        kernel.adopt_orphans()

    def _create_starter(self, begin_from: Union[First, Project, None]) -> Generations:
        ours = (self._loop, self._log, self._programs, self._release)
        reloader: Optional[First] = None
        starter: Starter
        if begin_from is None:
            starter = Forks(self._loop.signals, self._release)
        elif isinstance(begin_from, First):
            reloader = begin_from
            starter = Templates(
                *(*ours, reloader, lambda why: self._loop.emit(PreloadFailed(why))),
                timed=partial(self.startups.loaded, 0),
            )
        else:
            starter = LocalProject(*ours, begin_from, partial(self.startups.loaded, 0))
        shared = (self._loop, self._log, self._sockets, self._release, self.startups)
        return Generations(*shared, self._programs, starter, reloader)

    def __enter__(self) -> PosixSystem:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    # ---- the seam: System ----

    def now(self) -> float:
        self.startups.decided_at = self._clock.now()
        return self.startups.decided_at

    def spawn(self, ref: Ref) -> None:
        self._lives.spawn(ref)

    def cancel_spawn(self, ref: Ref) -> None:
        self._lives.cancel_spawn(ref)

    def kill(self, ref: Ref, signal: Signals, group: bool) -> None:
        self._lives.kill(ref, signal, group)

    def start_probe(self, ref: Ref, kind: ProbeKind) -> None:
        leader = self._lives.running(ref)
        if leader is None:
            return
        target = leader.program.health
        if kind is ProbeKind.READY:
            target = leader.program.ready or TcpTarget(ref.name, leader.program.serves)
        assert target is not None, f"{ref.name} has no health check"
        if kind is ProbeKind.HEALTH:
            self._checks.began(ref)
        self._probes.start(ref, target)

    def cancel_probe(self, ref: Ref) -> None:
        self._checks.forget(ref)
        self._probes.cancel(ref)

    def measure(self, ref: Ref) -> None:
        self._lives.measure(ref)

    def unlisten(self, process: str) -> None:
        self._sockets.unlisten(process)

    def plan_run(self, name: str, ended: bool) -> None:
        self._schedules.plan(name, ended)

    def measure_load(self, process: str, metric: str) -> None:
        self._loads.measure(process, metric)

    def take_lock(self, name: str) -> None:
        self._locks.take(name)

    def release_lock(self, name: str, done: bool) -> None:
        self._locks.release(name, done)

    def load(self, generation: int) -> None:
        self._starter.load(generation)

    def adopt(self, generation: int) -> None:
        self._starter.adopt(generation)
        plan = self._starter.plan_of(generation)
        interpreter.set_environment(plan.environ)
        os.environ.pop(marks.VARIABLE, None)
        names = [spec.name for spec in plan.specs]
        if not self._log.change(plan.log.formats(names), plan.log.max_line):
            self.say(report.needs_restart("STDERR"))
        before = self._control_settings
        if plan.control is not before and not (
            plan.control and plan.control.same_settings_as(before)
        ):
            self.say(report.needs_restart("CONTROL"))
        if self._known is not None:
            self._known.change(plan.about)
        self._monitor_elsewhere(plan.monitor)
        self.handlers.use(plan.on_event)

    def drop(self, generation: int) -> None:
        self._starter.drop(generation)

    def wait(self, timeout: Optional[float]) -> list[Event]:
        self._lives.forget_gone()
        events = self._loop.wait(timeout)
        self._lives.listen()
        # Reported only when `wait` returns anyway: a flood stalls the log for moments at a time.
        if self._log.stalled and not self._log_stalled:
            self._log_stalled = True
            events.insert(0, OutputStalled())
        return events

    # ---- the seam: Processes ----

    def pid(self, ref: Ref) -> Optional[int]:
        return self._lives.pid(ref)

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        return self._lives.members(ref)

    # ---- before anything is started ----

    def listen(self) -> Optional[Record]:
        """Open the held sockets of all processes; return the problem if one cannot be opened."""
        try:
            for program in self._programs.with_sockets.values():
                self._sockets.open(program, 0)
        except CannotListen as error:
            return report.cannot_listen(error.process, str(error))
        for one in self._sockets.unused(self._programs.with_sockets.values()):
            self.say(report.socket_not_used(one.name, str(one)))
        return None

    # ---- for observers of the supervisor ----

    def say(self, record: Record) -> None:
        """Log a record of the supervisor, as a line and as an event."""
        self._log.say(record)

    def record_event(self, record: Record) -> None:
        """Record an event that has no line in the log."""
        self._log.events.add(record)

    def use_handlers(self, paths: Sequence[str], run: str) -> None:
        """Send the events of this run to the handlers of ON_EVENT from now on."""
        self.handlers.run = run
        self.handlers.use(paths)

    def watch_code(self) -> Observer:
        """Request a reload when the code changes; pass all facts to the returned observer."""
        from .watching import Watching  # In development only.

        self._watching = Watching(self.errands, self._loop, self.say, self._starter)
        return self._watching.observe

    def notify_service_manager(self, message: str) -> None:
        """Send an sd_notify(3) message to the supervisor's service manager."""
        if message == report.RELOADING:
            message += f"\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
        notify(message.encode(errors="replace"), self._supervised_at, wait=False)

    def complain(self, problem: Record) -> None:
        """Say on stderr why nothing is started."""
        self._log.complain(problem)

    # ---- for operators ----

    def set_control_settings(self, settings: Optional[ControlSettings]) -> None:
        """Set the control settings to compare a reload with; None if there is no control socket."""
        self._control_settings = settings

    def collect_metrics(self, about: About, snapshot: Callable[[], GroupSnapshot]) -> Observer:
        """Collect what clients can query; pass all facts to the returned observer."""
        tally = Tally()
        measured = self._meter, self._log, self._checks.found, self.handlers
        metrics = Metrics(snapshot, tally, *measured, lambda: self._starter.ended_early)
        of_project = ProjectMetrics(self.errands, self.say)
        self._known = Known(about, snapshot, self.pid, self.say, metrics, of_project)
        return tally.observe

    def answer_at(self, place: Place) -> Observer:
        """Serve the control socket at `place`; pass all facts to the returned observer."""
        assert self._known is not None
        self._lives.environ[CONTROL] = place.path
        kept = Kept(self._log.recent, self._log.events)
        self._control = Server(place, self._loop, kept, self._known, self.startups)
        return self._control.observe

    def monitor_at(self, listener: Optional[Listener]) -> Optional[Record]:
        """Serve the read-only monitor at this address; return the record to log, if any."""
        assert self._known is not None
        if listener is None:
            return None
        try:
            self._monitor = Monitor(listener, self._loop, self._known)
        except OSError as error:
            return report.monitor_failed(listener.name, error.strerror or str(error))
        return report.monitoring(listener.name, listener.is_public)

    @property
    def _servers(self) -> list[Union[Server, Monitor]]:
        return [one for one in (self._control, self._monitor) if one is not None]

    def _monitor_elsewhere(self, listener: Optional[Listener]) -> None:
        """Move the monitor to the address that a reload sets; stop it if there is none."""
        if self._known is None or listener == (self._monitor and self._monitor.listener):
            return
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        told = self.monitor_at(listener)
        if told is not None:
            self.say(told)

    # ---- what happens ----

    def _before_sleep(self) -> Optional[float]:
        # Only once the supervisor has reacted to the exits: stopping other instances must not wait
        # for the search for what is left of a process group.
        if self._reaped and not self._loop.events:
            self._reaped = False
            self._lives.sweep()
            self.errands.sweep()
            self._probes.sweep()
        self._starter.tick()
        self.handlers.tick()
        self._locks.tick()
        if self._watching is not None:
            self._watching.tick()
        self.errands.tick()
        self._log.apply_backpressure()
        if self._log_stalled and not self._log.stalled:
            self._log_stalled = False
            self._loop.emit(OutputResumed())
        if self._log.gone and not self._log_gone:
            self._log_gone = True
            # A write to a closed terminal may fail before SIGHUP arrives.
            self._loop.emit(Signalled(Signals.SIGHUP) if self._at_terminal else OutputGone())
        self._sockets.tick()
        deadlines = [
            *(self._starter.deadline, self._sockets.deadline),
            *(self.handlers.deadline, self._locks.deadline, self.errands.deadline),
        ]
        if self._watching is not None:
            deadlines.append(self._watching.deadline)
        for server in self._servers:
            server.tick()
            deadlines.append(server.deadline)
        return min((at for at in deadlines if at is not None), default=None)

    def _probed(self, ref: Ref, outcome: Outcome) -> None:
        self._checks.ended(ref, outcome)
        if isinstance(outcome, NotBegun):
            self._loop.emit(ProbeRefused(ref, outcome.error))
        else:
            self._loop.emit(Probed(ref, outcome))

    def _reap(self) -> None:
        self._lives.read_notifications()
        self._starter.read()
        exited = [entry for entry in child.reap() if not self._probes.reaped(*entry[:2])]
        for pid, status, cpu_seconds in exited:
            if (
                self._log.reaped(pid)
                or self._starter.reaped(pid, status)
                or self.errands.reaped(pid, status)
            ):
                continue
            ref = self._lives.reaped(pid, status)
            if ref is not None:
                self._meter.ended(ref.name, cpu_seconds)
                self._checks.forget(ref)
                self._probes.cancel(ref)
            else:
                self._starter.reaped_unknown(pid, status)
        self._reaped = True

    def _children(self) -> set[int]:
        """All known children of this process; any other child is an adopted orphan."""
        return {
            *(*self._lives.groups, *self._starter.pids, *self.errands.pids),
            *(*self._probes.commands, *self._log.writers),
        }

    # ---- forked children ----

    def _execute(self, command: CommandTarget, output: int) -> int:
        supervisor, signals = os.getpid(), self._loop.signals
        return child.fork(
            lambda: child.become_command(command, supervisor, output, signals.reset_in_child),
            signals,
        )

    def _release(self) -> None:
        """In a forked child: reset signals, and close what belongs to the supervisor."""
        self._loop.signals.reset_in_child()
        metrics_folder.leave()
        self._log.release()
        self._probes.release()
        self._lives.release()
        self.errands.release()
        self._sockets.release()
        self._starter.release()
        for server in self._servers:
            server.release()

    # ---- the end ----

    def close(self) -> None:
        self.handlers.deliver_rest()
        self._probes.close()
        self._sockets.close()
        if self._watching is not None:
            self._watching.close()
        self.errands.close()
        self._starter.close()
        self._kill_descendants()
        self._lives.close()
        # A writer is a child too: while one runs, `has_children` cannot tell whether /proc hides
        # another child. Then that is checked only once the log is closed.
        writers = self._log.writers
        self._log.close()
        if writers and not kernel.shows_our_processes() and has_children():
            self._log.say_last(report.descendants_hidden())
        for server in self._servers:
            server.close()
        self._loop.close()
        kernel.adopt_orphans(False)

    def _kill_descendants(self) -> None:
        ended, clock, signals = self._descendants, self._clock, self._loop.signals
        ended.spare(self._log.writers)
        expected = self._probes.killed | self.errands.groups
        found = ended.kill(clock, signals, expected, self._lives.killed_groups)
        if not found:
            ours = self._lives.kill_all() | self.errands.pids | self._probes.commands.keys()
            child.reap_all(ours, clock, signals, clock.now() + LOSE_AFTER)
            if has_children() and not self._log.writers:
                self.say(report.descendants_hidden())
        survivors = [(name, pid) for pid, name in ended.survivors.items()]
        killed = [(n, pid) for pid, n in ended.killed.items() if pid not in ended.survivors]
        if killed:
            self.say(report.killed_left_behind(killed))
        if survivors:
            self.left_behind = True
            self.say(report.survived_sigkill(survivors, LOSE_AFTER))
