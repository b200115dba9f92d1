"""The group: start all, stop all, and the one number that says how it went.

The exit status is decided by the first reason to stop; two things overrule it, and both are worth
an orchestrator's attention: somebody had to be killed because it did not stop in time, and
somebody asked a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from signal import Signals
from typing import Callable, Optional

from .instance import Instance
from .model import (
    AllReady,
    AllStopped,
    Effect,
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    OutputGone,
    Ready,
    Signalled,
    SignalTaken,
    Spec,
    State,
    StateChanged,
)

# Exit status once everything has stopped in time: SIGINT as shells have it; SIGTERM and SIGQUIT
# are how an orchestrator ends a healthy supervisor, which is no failure.
STOP_SIGNALS = {Signals.SIGTERM: 0, Signals.SIGQUIT: 0, Signals.SIGINT: 128 + Signals.SIGINT}
PASSED_ON = frozenset({Signals.SIGUSR1, Signals.SIGUSR2})
RELOAD = Signals.SIGHUP
HANDLED = frozenset({*STOP_SIGNALS, *PASSED_ON, RELOAD})

STOPPING_EVERYTHING = "stopping everything"


class Supervisor:
    """Every instance of one run.

    Takes happenings, gives effects; `began` is when the run began in the clock of `now`, so that
    "all ready" counts what a user waits for, the preload included.
    """

    def __init__(self, specs: Sequence[Spec], began: float = 0.0) -> None:
        self.instances = {spec.name: Instance(spec) for spec in specs}
        self.exit_status: Optional[int] = None
        self._began = began
        self._by_pid: dict[int, Instance] = {}
        self._announced = False
        # The first reason to stop, as an exit status, and when it came.
        self._verdict: Optional[int] = None
        self._verdict_at = 0.0
        # The stop signal that was obeyed: the next one means to kill.
        self._obeyed: Optional[Signals] = None
        self._overdue = False

    # ---- inputs ----

    def start(self, now: float) -> list[Effect]:
        """Start the first instance; each one started starts the next."""
        return self._start_next(now)

    def spawned(self, now: float, name: str, pid: int) -> list[Effect]:
        instance = self.instances[name]
        self._by_pid[pid] = instance
        effects = instance.spawned(now, pid) + self._start_next(now)
        return effects + self._announce(now)

    def spawn_failed(self, now: float, name: str, why: str) -> list[Effect]:
        effects = self.instances[name].spawn_failed(now, f"{why}; {STOPPING_EVERYTHING}")
        return effects + self._stop_all(now, verdict=1) + self._finish(now)

    def happened(self, now: float, happening: Happening) -> list[Effect]:
        """Take what the operating system reports."""
        effects: list[Effect] = []
        if self.exit_status is not None:
            return effects
        if isinstance(happening, Exited):
            effects = self._exited(now, self._by_pid[happening.pid], happening.status)
        elif isinstance(happening, GroupGone):
            self._by_pid.pop(happening.pid).group_gone()
        elif isinstance(happening, Ready):
            effects = self._by_pid[happening.pid].ready(now) + self._announce(now)
        elif isinstance(happening, Signalled):
            effects = self._signalled(now, happening.signal)
        else:
            assert isinstance(happening, OutputGone)
            effects = self._stop_all(now, verdict=128 + Signals.SIGPIPE)
        return effects + self._finish(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due; to be called no later than `deadline`."""
        effects = self._each(lambda instance: instance.tick(now))
        if any(isinstance(e, StateChanged) and e.new is State.KILLING for e in effects):
            self._overdue = True
        return effects

    # ---- what is known ----

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something is due, or None for never."""
        return min(
            (i.deadline for i in self.instances.values() if i.deadline is not None), default=None
        )

    # ---- decisions ----

    def _start_next(self, now: float) -> list[Effect]:
        if self._verdict is None:
            for instance in self.instances.values():
                if instance.state is State.STOPPED:
                    return instance.start(now)
        return []

    def _announce(self, now: float) -> list[Effect]:
        if self._announced or any(i.state is not State.RUNNING for i in self.instances.values()):
            return []
        self._announced = True
        return [AllReady(len(self.instances), now - self._began)]

    def _exited(self, now: float, instance: Instance, status: ExitStatus) -> list[Effect]:
        if self._verdict is not None:
            return instance.exited(now, status)
        # Nobody asked it to end, so even status 0 is a failure: what watches the supervisor
        # restarts on failure, and must notice.
        effects = instance.exited(now, status, detail=STOPPING_EVERYTHING)
        return effects + self._stop_all(now, verdict=status.shell or 1)

    def _signalled(self, now: float, signal: Signals) -> list[Effect]:
        if signal in STOP_SIGNALS:
            return self._asked_to_stop(now, signal)
        effects: list[Effect] = []
        if signal in PASSED_ON:
            for instance in self.instances.values():
                effects += instance.forward(signal)
        taken = "passed on" if effects else "ignored"
        return [SignalTaken(signal, taken), *effects]

    def _asked_to_stop(self, now: float, signal: Signals) -> list[Effect]:
        if self._obeyed is None:
            self._obeyed = signal
            taken = SignalTaken(signal, STOPPING_EVERYTHING)
            return [taken, *self._stop_all(now, verdict=STOP_SIGNALS[signal])]
        self._verdict = 128 + signal
        taken = SignalTaken(signal, "killing everything")
        return [taken, *self._each(lambda instance: instance.kill(now))]

    def _stop_all(self, now: float, verdict: int) -> list[Effect]:
        if self._verdict is None:
            self._verdict, self._verdict_at = verdict, now
        return self._each(lambda instance: instance.stop(now))

    def _each(self, decide: Callable[[Instance], list[Effect]]) -> list[Effect]:
        return [effect for instance in self.instances.values() for effect in decide(instance)]

    def _finish(self, now: float) -> list[Effect]:
        if self._verdict is None or not all(i.over for i in self.instances.values()):
            return []
        self.exit_status = 1 if self._overdue else self._verdict
        return [AllStopped(self.exit_status, now - self._verdict_at)]
