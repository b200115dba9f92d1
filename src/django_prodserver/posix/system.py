"""The operating system, as `supervisor.system` describes it: one loop, and all that it serves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from signal import Signals
from types import TracebackType
from typing import Callable, Optional, Union

from django_prodserver.logs.formats import Format
from django_prodserver.logs.lines import MAX_LINE
from django_prodserver.supervisor import report
from django_prodserver.supervisor.commands import ProbeKind
from django_prodserver.supervisor.events import (
    Event,
    OutputGone,
    OutputResumed,
    OutputStalled,
    Probed,
    ProbeRefused,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.life import LOSE_AFTER
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.spec import Ref

from . import child, kernel
from .clock import Clock
from .descendants import Descendants, has_children
from .lives import Lives
from .log import DESCRIPTORS, STDOUT, Log
from .loop import Loop
from .notify import VARIABLE, notify
from .probes.probe import NotBegun, Outcome
from .probes.running import RunningProbes
from .probes.targets import CommandTarget, TcpTarget
from .program import Program
from .signals import hangs_up


class PosixSystem:
    """Implements `System` and `Processes`; to be used as a context manager, in the main thread.

    `program_of` takes the name of an instance. When it is closed, whatever descends from this
    process is SIGKILLed; what even that does not end makes `left_behind` true.
    """

    def __init__(
        self,
        program_of: Callable[[str], Program],
        formats: Mapping[str, Format],
        signals: Iterable[Signals],
        max_line: int = MAX_LINE,
    ) -> None:
        self.left_behind = False
        self._at_terminal = os.isatty(DESCRIPTORS[STDOUT]) and hangs_up()
        self._descendants = Descendants()
        self._clock = Clock()
        self._loop = Loop(self._clock, signals, self._reap, self._before_sleep)
        self._log = Log(self._loop.selector, self._loop.signals, formats, max_line)
        self._log_gone = False
        # What the supervisor knows of it.
        self._log_stalled = False
        self._probes = RunningProbes(self._loop.selector, self._execute, self._probed)
        self._lives = Lives(program_of, self._loop, self._log, self._release)
        self._supervised_at = os.environ.get(VARIABLE, "")
        kernel.adopt_orphans()

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
        return self._clock.now()

    def spawn(self, ref: Ref) -> Union[Spawned, SpawnFailed]:
        return self._lives.spawn(ref)

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
        self._probes.start(ref, target)

    def cancel_probe(self, ref: Ref) -> None:
        self._probes.cancel(ref)

    def measure(self, ref: Ref) -> None:
        self._lives.measure(ref)

    def wait(self, timeout: Optional[float]) -> list[Event]:
        self._lives.forget_gone()
        events = self._loop.wait(timeout)
        # Told only where something else is decided: a flood stalls for a moment, again and again.
        if self._log.stalled and not self._log_stalled:
            self._log_stalled = True
            events.insert(0, OutputStalled())
        return events

    # ---- the seam: Processes ----

    def pid(self, ref: Ref) -> Optional[int]:
        return self._lives.pid(ref)

    def members(self, ref: Ref) -> Sequence[tuple[str, int]]:
        return self._lives.members(ref)

    # ---- for whoever observes the supervisor ----

    def say(self, record: Record) -> None:
        """Log a line of the supervisor's own."""
        self._log.say(record)

    def tell(self, message: str) -> None:
        """Notify whoever supervises the supervisor, in the words of sd_notify(3)."""
        notify(message.encode(errors="replace"), self._supervised_at, wait=False)

    # ---- what happens ----

    def _before_sleep(self) -> None:
        self._log.apply_backpressure()
        if self._log_stalled and not self._log.stalled:
            self._log_stalled = False
            self._loop.emit(OutputResumed())
        if self._log.gone and not self._log_gone:
            self._log_gone = True
            # A write to a terminal that is gone may fail before the signal that says so arrives.
            self._loop.emit(Signalled(Signals.SIGHUP) if self._at_terminal else OutputGone())

    def _probed(self, ref: Ref, outcome: Outcome) -> None:
        if isinstance(outcome, NotBegun):
            self._loop.emit(ProbeRefused(ref, outcome.error))
        else:
            self._loop.emit(Probed(ref, outcome))

    def _reap(self) -> None:
        self._lives.read_notifications()
        exited = [entry for entry in child.reap() if not self._probes.reaped(*entry)]
        for pid, status in exited:
            if self._log.reaped(pid):
                continue
            ref = self._lives.reaped(pid, status)
            if ref is not None:
                self._probes.cancel(ref)
        self._lives.sweep()
        self._probes.sweep()

    # ---- forked children ----

    def _execute(self, command: CommandTarget, output: int) -> int:
        parent = os.getpid()

        def release() -> None:
            self._release()
            self._lives.release()

        return child.fork(
            lambda: child.become_command(command, parent, output, release), self._loop.signals
        )

    def _release(self) -> None:
        """In a forked child: give back what belongs to the supervisor, except for its lives."""
        self._loop.signals.reset_in_child()
        self._log.release()
        self._probes.release()

    # ---- the end ----

    def close(self) -> None:
        self._probes.close()
        self._kill_descendants()
        self._lives.close()
        # As long as one is there, it cannot be told whether /proc hides another child.
        writers = self._log.writers
        self._log.close()
        if writers and not kernel.shows_our_processes() and has_children():
            self._log.say_last(report.descendants_hidden())
        self._loop.close()
        kernel.adopt_orphans(False)

    def _kill_descendants(self) -> None:
        ended, clock, signals = self._descendants, self._clock, self._loop.signals
        ended.spare(self._log.writers)
        found = ended.kill(clock, signals, self._probes.killed, self._lives.killed_groups)
        if not found:
            ours = self._lives.kill_all() | self._probes.commands.keys()
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
