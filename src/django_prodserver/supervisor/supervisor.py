"""The group: start in order, stop in reverse order, and the one number that says how it went.

The exit status is decided by the first reason to stop; two things overrule it, and both are worth
an orchestrator's attention: somebody had to be killed because it did not stop in time, and
somebody asked a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from signal import Signals
from typing import Callable, Optional

from .instance import STOPPING_EVERYTHING, Instance, Outcome
from .model import (
    AboutInstance,
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    Effect,
    Exited,
    GroupGone,
    Happening,
    Notified,
    OutputGone,
    Probed,
    Signalled,
    SignalTaken,
    Spec,
    State,
    StillRunning,
    Stopping,
)

# Exit status once everything has stopped in time: SIGINT as shells have it; SIGTERM and SIGQUIT
# are how an orchestrator ends a healthy supervisor, which is no failure.
STOP_SIGNALS = {Signals.SIGTERM: 0, Signals.SIGQUIT: 0, Signals.SIGINT: 128 + Signals.SIGINT}
PASSED_ON = frozenset({Signals.SIGUSR1, Signals.SIGUSR2})
RELOAD = Signals.SIGHUP
HANDLED = frozenset({*STOP_SIGNALS, *PASSED_ON, RELOAD})


class Supervisor:
    """Every instance of one run.

    Takes happenings, gives effects; `began` is when the run began in the clock of `now`, so that
    "all ready" counts what a user waits for, the preload included. With `watchdog` somebody wants
    to hear at least every so many seconds that the supervisor is alive.
    """

    def __init__(
        self, specs: Sequence[Spec], began: float = 0.0, watchdog: Optional[float] = None
    ) -> None:
        self.instances = {spec.name: Instance(spec) for spec in specs}
        self.exit_status: Optional[int] = None
        self._began = began
        self._by_pid: dict[int, Instance] = {}
        self._followers = _followers(specs)
        self._announced = False
        # The first reason to stop, as an exit status, and when it came.
        self._verdict: Optional[int] = None
        self._verdict_at = 0.0
        # The stop signal that was obeyed: the next one means to kill.
        self._obeyed: Optional[Signals] = None
        self._watchdog = watchdog
        self._alive_at: Optional[float] = None

    # ---- inputs ----

    def start(self, now: float) -> list[Effect]:
        """Start the first instance; each one started starts the next."""
        if self._watchdog is not None:
            self._alive_at = now
        waiting = [i for i in self.instances.values() if i.spec.after]
        effects = [effect for instance in waiting for effect in instance.wait(now)]
        return effects + self._start_next(now)

    def spawned(self, now: float, name: str, pid: int) -> list[Effect]:
        instance = self.instances[name]
        self._by_pid[pid] = instance
        return instance.spawned(now, pid) + self._go_on(now)

    def spawn_failed(self, now: float, name: str, why: str) -> list[Effect]:
        failed = self.instances[name].spawn_failed(now, why)
        return failed + self._stop_all(now, verdict=1) + self._go_on(now)

    def happened(self, now: float, happening: Happening) -> list[Effect]:
        """Take what the operating system reports."""
        if self.exit_status is not None:
            return []
        if isinstance(happening, Signalled):
            effects = self._signalled(now, happening.signal)
        elif isinstance(happening, OutputGone):
            effects = self._stop_all(now, verdict=128 + Signals.SIGPIPE)
        else:
            effects = self._told(now, happening)
        return effects + self._go_on(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due; to be called no later than `deadline`."""
        effects: list[Effect] = []
        if self._alive_at is not None and self._alive_at <= now:
            assert self._watchdog is not None
            # At half of the time, so that one that comes late is not too late.
            self._alive_at = now + self._watchdog / 2
            effects.append(Alive())
        return effects + _in_one_line(self._each(lambda instance: instance.tick(now)))

    # ---- what is known ----

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something is due, or None for never."""
        moments = [self._alive_at, *(i.deadline for i in self.instances.values())]
        return min((moment for moment in moments if moment is not None), default=None)

    # ---- decisions ----

    def _told(self, now: float, happening: AboutInstance) -> list[Effect]:
        """Take what is about one instance."""
        instance = self._by_pid.get(happening.pid)
        if instance is None:
            return []  # It is gone, and what it said last comes late.
        if isinstance(happening, Exited):
            return self._exited(now, instance, happening)
        if isinstance(happening, GroupGone):
            del self._by_pid[happening.pid]
            return instance.group_gone(now)
        if isinstance(happening, Notified):
            return instance.notified(now, happening)
        if isinstance(happening, Probed):
            return instance.probed(now, happening.failure)
        return instance.measured(now, happening.memory)

    def _go_on(self, now: float) -> list[Effect]:
        """Do what anything that happened may have made possible."""
        if self._verdict is None:
            return self._start_next(now) + self._announce(now)
        return self._stop_next(now) + self._finish(now)

    def _start_next(self, now: float) -> list[Effect]:
        for instance in self.instances.values():
            if instance.state in (State.STOPPED, State.WAITING) and all(
                self.instances[name].fulfilled for name in instance.spec.after
            ):
                return instance.start(now)
        return []

    def _announce(self, now: float) -> list[Effect]:
        """Say once that everybody is ready; if all are oneshots, that is the end."""
        if self._announced or not all(i.fulfilled for i in self.instances.values()):
            return []
        self._announced = True
        after = now - self._began
        if all(i.outcome is Outcome.FINISHED for i in self.instances.values()):
            return [AllFinished(len(self.instances), after), *self._stop_all(now, verdict=0)]
        return [AllReady(len(self.instances), after)]

    def _exited(self, now: float, instance: Instance, exited: Exited) -> list[Effect]:
        effects = instance.exited(now, exited, ending=self._verdict is not None)
        if instance.outcome is Outcome.FAILED and self._verdict is None:
            # Nobody asked it to end, so even status 0 is a failure: what watches the supervisor
            # restarts on failure, and must notice.
            effects += self._stop_all(now, verdict=exited.status.shell or 1)
        return effects

    def _signalled(self, now: float, signal: Signals) -> list[Effect]:
        if signal in STOP_SIGNALS:
            return self._asked_to_stop(now, signal)
        effects: list[Effect] = []
        if signal in PASSED_ON:
            effects = self._each(lambda instance: instance.forward(signal))
        return [SignalTaken(signal, "passed on" if effects else "ignored"), *effects]

    def _asked_to_stop(self, now: float, signal: Signals) -> list[Effect]:
        if self._obeyed is None:
            self._obeyed = signal
            taken = SignalTaken(signal, STOPPING_EVERYTHING)
            return [taken, *self._stop_all(now, verdict=STOP_SIGNALS[signal])]
        self._verdict = 128 + signal
        taken = SignalTaken(signal, "killing everything")
        return [taken, *self._each(lambda instance: instance.kill(now))]

    def _stop_all(self, now: float, verdict: int) -> list[Effect]:
        if self._verdict is not None:
            return []
        self._verdict, self._verdict_at = verdict, now
        called_off = self._each(lambda instance: instance.call_off(now))
        return [Stopping(), *called_off, *self._stop_next(now)]

    def _stop_next(self, now: float) -> list[Effect]:
        """Stop whoever nobody alive comes after."""
        effects: list[Effect] = []
        for instance in self.instances.values():
            followers = self._followers[instance.spec.name]
            if not any(self.instances[name].alive for name in followers):
                effects += instance.stop(now)
        return effects

    def _finish(self, now: float) -> list[Effect]:
        if self.exit_status is not None or not all(i.over for i in self.instances.values()):
            return []
        assert self._verdict is not None
        self._alive_at = None
        overdue = any(i.overdue for i in self.instances.values())
        self.exit_status = 1 if overdue else self._verdict
        return [AllStopped(self.exit_status, now - self._verdict_at)]

    def _each(self, decide: Callable[[Instance], list[Effect]]) -> list[Effect]:
        return [effect for instance in self.instances.values() for effect in decide(instance)]


def _followers(specs: Iterable[Spec]) -> Mapping[str, frozenset[str]]:
    """For each instance everybody who comes after it, directly or not."""
    found: dict[str, set[str]] = {spec.name: set() for spec in specs}
    after = {spec.name: spec.after for spec in specs}
    for name in after:
        ahead = list(after[name])
        while ahead:
            one = ahead.pop()
            if name not in found[one]:
                found[one].add(name)
                ahead += after[one]
    return {name: frozenset(followers) for name, followers in found.items()}


def _in_one_line(effects: Sequence[Effect]) -> list[Effect]:
    """Let one notice say of everybody that they are still running."""
    notices = [effect for effect in effects if isinstance(effect, StillRunning)]
    others: list[Effect] = [e for e in effects if not isinstance(e, StillRunning)]
    if not notices:
        return others
    names = tuple(name for notice in notices for name in notice.names)
    return [*others, StillRunning(names, max(notice.left for notice in notices))]
