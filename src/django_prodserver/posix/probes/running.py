"""The probes that are running, at most one for each life."""

from __future__ import annotations

import selectors
from collections.abc import Callable

from django_prodserver.posix import groups
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import TYPE_CHECKING, Optional
from django_prodserver.supervisor.spec import Ref
from django_prodserver.supervisor.text import one_line

from .command import CommandProbe, Execute
from .probe import Outcome, Probe
from .targets import CommandTarget, HttpTarget, Target
from .tcp import TcpProbe

if TYPE_CHECKING:
    from .http import HttpProbe

# The most characters kept of a failure, which becomes part of a line of the log.
LONGEST = 200


def prepare(target: Target) -> None:
    """Import and read what probing a target needs, before anything is forked, and not in the loop.

    Raises OSError if CA certificates cannot be read.
    """
    if isinstance(target, HttpTarget):
        _http_kind(target)
        if target.tls is not None:
            from .tls import context

            context(target.tls.verify)


def _http_kind(target: HttpTarget) -> type[HttpProbe]:
    if target.tls is None:
        from .http import HttpProbe

        return HttpProbe
    from .tls import HttpsProbe

    return HttpsProbe


class RunningProbes:
    """Starts and cancels probes; `report` gets each outcome, with the life that was probed."""

    def __init__(
        self,
        selector: selectors.PollSelector,
        execute: Execute,
        report: Callable[[Ref, Outcome], None],
    ) -> None:
        self._selector = selector
        self._execute = execute
        self._report = report
        self._running: dict[Ref, Probe] = {}
        # By pid, the commands that are not reaped yet; None if the probe was cancelled.
        self.commands: dict[int, Optional[CommandProbe]] = {}
        # The process groups of commands that have been killed, until they are known to be empty.
        self.killed: set[int] = set()

    def start(self, ref: Ref, target: Target) -> None:
        """Start a probe; cancel the one that is running for this life, if any."""
        self.cancel(ref)
        probe = self._running[ref] = self._create(target)

        def finished(outcome: Outcome) -> None:
            del self._running[ref]
            if isinstance(outcome, str):
                outcome = one_line(outcome, LONGEST)
            self._report(ref, outcome)

        probe.start(finished)
        if isinstance(probe, CommandProbe) and probe.pid:
            self.commands[probe.pid] = probe

    def cancel(self, ref: Ref) -> None:
        """Cancel the probe of this life, if one is running; it reports nothing."""
        probe = self._running.pop(ref, None)
        if probe is None:
            return
        probe.close()
        if isinstance(probe, CommandProbe):
            self.commands[probe.pid] = None

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Take note of the exit of a process; False if it was not one of these commands."""
        if pid not in self.commands:
            return False
        command = self.commands.pop(pid)
        if command is not None:
            command.step(lambda: command.ended(status))
        self.killed.add(pid)
        return True

    def sweep(self) -> None:
        """Forget the groups that are empty; call this when a process was reaped."""
        self.killed -= {pid for pid in self.killed if groups.is_empty(pid)}

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for probe in self._running.values():
            probe.release()

    def close(self) -> None:
        """Cancel all; the commands that this adds to `killed` still have to be reaped."""
        for ref in list(self._running):
            self.cancel(ref)
        self.killed.update(self.commands)

    def _create(self, target: Target) -> Probe:
        if isinstance(target, CommandTarget):
            return CommandProbe(self._selector, self._execute, target)
        if isinstance(target, HttpTarget):
            return _http_kind(target)(self._selector, target)
        return TcpProbe(self._selector, target.name, target.addresses)
