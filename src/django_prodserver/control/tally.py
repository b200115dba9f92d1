"""The tally: counts of what has happened since the supervisor was started, from its facts.

It is kept by instance name: an instance that is removed and added again goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from django_prodserver.supervisor.events import signal_name
from django_prodserver.supervisor.facts import (
    CheckFailed,
    ChecksFailed,
    Ended,
    Fact,
    Lost,
    NotReady,
    Reloaded,
    ReloadFailed,
    Renewed,
    Restart,
    Scaled,
    StartRefused,
    Stopping,
    TooMuchMemory,
    Updated,
    WatchdogSilent,
    WatchdogTriggered,
    WithoutLock,
)
from django_prodserver.supervisor.hints import Union
from django_prodserver.supervisor.spec import Ref
from django_prodserver.supervisor.values import Value

# Why an instance is restarted: it exited on its own, could not be started, or was stopped.
EXIT, OOM = "exit", "oom"
STOPPED_FOR: Mapping[type[Value], str] = {
    NotReady: "unhealthy",
    ChecksFailed: "unhealthy",
    WatchdogSilent: "watchdog",
    WatchdogTriggered: "watchdog",
    TooMuchMemory: "memory",
    # It is on standby afterwards: that is not a restart.
    WithoutLock: "lock",
}
RESTART_REASONS = (EXIT, OOM, "unhealthy", "watchdog", "memory")
# What has a life replaced by a new one.
REPLACEMENT_REASONS = ("operator", "reload")
# How the number of instances changes.
DIRECTIONS = ("up", "down")
RELOAD_OUTCOMES = ("finished", "failed", "rolled_back")


class Tally:
    """Counts by instance and reason, instance and status, process and direction, or outcome."""

    def __init__(self) -> None:
        self.restarts: dict[tuple[str, str], int] = {}
        self.replacements: dict[tuple[str, str], int] = {}
        self.scalings: dict[tuple[str, str], int] = {}
        self.exits: dict[tuple[str, str], int] = {}
        # By instance, health checks that failed.
        self.failed_checks: dict[str, int] = {}
        self.reloads = dict.fromkeys(RELOAD_OUTCOMES, 0)
        # The faults for which lives are being stopped.
        self._stopped_for: dict[Ref, str] = {}

    def observe(self, fact: Fact) -> None:
        """Count a fact."""
        if isinstance(fact, Stopping) and fact.fault is not None:
            self._stopped_for[fact.ref] = STOPPED_FOR[type(fact.fault)]
            if isinstance(fact.fault, ChecksFailed):
                self._fail_check(fact.ref)
        elif isinstance(fact, CheckFailed):
            self._fail_check(fact.ref)
        elif isinstance(fact, (Ended, Lost, StartRefused)):
            self._end(fact)
        elif isinstance(fact, Updated) and fact.replaced:
            _count(self.replacements, fact.name, "operator")
        elif isinstance(fact, Renewed) and fact.renewed:
            _count(self.replacements, fact.name, "reload")
        elif isinstance(fact, Scaled):
            _count(self.scalings, fact.process, "up" if fact.new > fact.old else "down")
        elif isinstance(fact, Reloaded):
            self.reloads["finished"] += 1
        elif isinstance(fact, ReloadFailed):
            self.reloads["rolled_back" if fact.rolled_back else "failed"] += 1

    def _fail_check(self, ref: Ref) -> None:
        self.failed_checks[ref.name] = self.failed_checks.get(ref.name, 0) + 1

    def _end(self, fact: Union[Ended, Lost, StartRefused]) -> None:
        name, reason, expected = "", EXIT, False
        if isinstance(fact, StartRefused):
            name = fact.name
        else:
            name = fact.ref.name
            reason = self._stopped_for.pop(fact.ref, reason)
        if isinstance(fact, Ended):
            status = fact.status
            by = str(status.code) if status.signal is None else signal_name(status.signal)
            _count(self.exits, name, by)
            reason = OOM if fact.out_of_memory else reason
            expected = fact.expected
        if isinstance(fact.consequence, Restart) and not expected:
            _count(self.restarts, name, reason)


def _count(counts: dict[tuple[str, str], int], name: str, why: str) -> None:
    counts[name, why] = counts.get((name, why), 0) + 1
