"""The group: starts instances in order, stops them in reverse, and knows the one exit status.

The exit status is decided by the first reason to stop. Two things overrule it, and both are worth
an orchestrator's attention: something had to be killed because it did not stop in time, and
somebody asked a second time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from signal import Signals
from typing import Callable, Optional, Union

from .events import (
    Event,
    GoalRequest,
    OutputGone,
    OutputResumed,
    OutputStalled,
    RestartRequest,
    ScaleRequest,
    Signalled,
)
from .facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    Output,
    Phase,
    Refusal,
    RequestRefused,
    SignalEffect,
    SignalReceived,
    StillRunning,
    StoppingAll,
    Updated,
    WaitingToFinish,
)
from .instance import Instance
from .life import WORKING
from .snapshot import GroupSnapshot, instance_snapshot
from .spec import Goal, Spec, process_of
from .values import replace

# The exit status once everything has stopped in time. SIGTERM and SIGQUIT are how an orchestrator
# ends a healthy supervisor, which is not a failure; SIGINT has the status that shells give it.
STOP_SIGNALS = {Signals.SIGTERM: 0, Signals.SIGQUIT: 0, Signals.SIGINT: 128 + Signals.SIGINT}
# SIGHUP asks for a reload, but at a terminal it says that the terminal is gone.
STOP_SIGNALS_AT_TERMINAL = {**STOP_SIGNALS, Signals.SIGHUP: 128 + Signals.SIGHUP}
FORWARDED = frozenset({Signals.SIGUSR1, Signals.SIGUSR2})
RELOAD = Signals.SIGHUP
HANDLED = frozenset({*STOP_SIGNALS, *FORWARDED, RELOAD})

# Everything is being started, or is at work: requests are granted, and what fails stops everything.
AT_WORK = frozenset({Phase.STARTING, Phase.RUNNING})


class Group:
    """All instances of one supervisor.

    Takes events and requests, gives commands and facts. `began` is when the supervisor was started,
    in the clock of `now`, so that "all ready" counts what a user waits for, the preload included.
    With `watchdog` somebody wants to hear at least once in so many seconds that it is alive.
    `stop_signals` have the exit status that each of them leads to.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        began: float = 0.0,
        watchdog: Optional[float] = None,
        stop_signals: Mapping[Signals, int] = STOP_SIGNALS,
    ) -> None:
        self.instances = {spec.name: Instance(spec) for spec in specs}
        self.phase = Phase.STARTING
        self._began = began
        self._stop_signals = stop_signals
        self._followers = _followers(specs)
        # Decided by the first reason to stop, and when that came.
        self._status = 0
        self._stopping_since = 0.0
        # Nothing is restarted for the time being.
        self._held = False
        # Instances that a rolling update has still to reach, in order.
        self._to_update: deque[str] = deque()
        self._watchdog = watchdog
        self._alive_at: Optional[float] = None

    # ---- what is known ----

    @property
    def exit_status(self) -> Optional[int]:
        """None until nothing is left to wait for."""
        return self._status if self.phase is Phase.OVER else None

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something has to be done, or None for never."""
        moments = [self._alive_at, *(i.deadline for i in self.instances.values())]
        return min((moment for moment in moments if moment is not None), default=None)

    def snapshot(self, now: float) -> GroupSnapshot:
        """Everything that status and metrics are made of, as plain values."""
        instances = tuple(instance_snapshot(one, now) for one in self.instances.values())
        return GroupSnapshot(self.phase, self.exit_status, now - self._began, instances)

    # ---- inputs ----

    def start(self, now: float) -> list[Output]:
        """Let those be started that come after nothing; `tick` does it."""
        if self._watchdog is not None:
            self._alive_at = now
        waiting = [i for i in self.instances.values() if i.spec.after]
        outputs = [output for instance in waiting for output in instance.wait(now)]
        self._let_start(now)
        return outputs

    def take(self, now: float, event: Event) -> list[Output]:
        """Take what the operating system reports, or an operator requests."""
        if self.phase is Phase.OVER:
            return []
        if isinstance(event, GoalRequest):
            return self.want(now, event.name, event.goal)
        if isinstance(event, RestartRequest):
            return self.restart(now, event.name)
        if isinstance(event, ScaleRequest):
            return self.scale(now, event.process, event.count)
        if isinstance(event, Signalled):
            outputs = self._signalled(now, event.signal)
        elif isinstance(event, (OutputStalled, OutputResumed)):
            outputs = self._hold(isinstance(event, OutputStalled))
        elif isinstance(event, OutputGone):
            outputs = self._stop_all(now, Phase.ENDING, 128 + Signals.SIGPIPE)
        else:
            outputs = self.instances[event.ref.name].take(now, event)
        return outputs + self._go_on(now, outputs)

    def tick(self, now: float) -> list[Output]:
        """Do what is due; to be called no later than `deadline`."""
        outputs: list[Output] = []
        if self._alive_at is not None and self._alive_at <= now:
            assert self._watchdog is not None
            # After half of the time, so that a late one is not too late.
            self._alive_at = now + self._watchdog / 2
            outputs.append(Alive())
        due = _merged(self._each(lambda instance: instance.tick(now)))
        return [*outputs, *due, *(self._go_on(now, due) if due else ()), *self._begin_one(now)]

    # ---- requests of operators ----

    def want(self, now: float, name: str, goal: Goal) -> list[Output]:
        """Start or stop an instance, or all of a process; only a start waits for its order."""
        return self._request(now, name, lambda instance: self._want(now, instance, goal))

    def restart(self, now: float, name: str) -> list[Output]:
        """Replace an instance, or all of a process one by one; start what is not running."""
        return self._request(now, name, lambda instance: self._restart(now, instance))

    def scale(self, now: float, process: str, count: int) -> list[Output]:
        """Let so many instances of a process be up: those with the lowest numbers."""
        members = [i for i in self.instances.values() if i.spec.process == process]
        if self.phase not in AT_WORK:
            return [RequestRefused(process, Refusal.STOPPING)]
        if not members:
            return [RequestRefused(process, Refusal.NO_SUCH_NAME)]
        wanted = [f"{process}.{number}" for number in range(1, count + 1)]
        for name in wanted:
            if name not in self.instances:
                self.instances[name] = Instance(replace(members[0].spec, name=name))
                self.instances[name].goal = Goal.DOWN
                self.instances[name].held = self._held

        def decide(instance: Instance) -> list[Output]:
            goal = Goal.UP if instance.spec.name in wanted else Goal.DOWN
            return [] if goal is instance.goal else self._want(now, instance, goal)

        return self._request(now, process, decide)

    def _request(
        self, now: float, name: str, decide: Callable[[Instance], list[Output]]
    ) -> list[Output]:
        if self.phase not in AT_WORK:
            return [RequestRefused(name, Refusal.STOPPING)]
        named = [i for i in self.instances.values() if name in (i.spec.name, i.spec.process)]
        if not named:
            return [RequestRefused(name, Refusal.NO_SUCH_NAME)]
        outputs = [output for instance in named for output in decide(instance)]
        return outputs + self._go_on(now, outputs)

    def _want(self, now: float, instance: Instance, goal: Goal) -> list[Output]:
        outputs = instance.want(now, goal)
        return outputs if goal is Goal.UP else outputs + instance.stop(now)

    def _restart(self, now: float, instance: Instance) -> list[Output]:
        if instance.life is None or instance.life.state not in WORKING:
            return self._want(now, instance, Goal.UP)
        if instance.spec.name not in self._to_update:
            self._to_update.append(instance.spec.name)
        return []

    # ---- decisions ----

    def _go_on(self, now: float, outputs: Iterable[Output]) -> list[Output]:
        """Do what has become possible, or necessary."""
        if self.phase in AT_WORK:
            failed = next((i for i in self.instances.values() if i.failure is not None), None)
            if failed is None:
                update = self._update_next(now, outputs)
                self._let_start(now)
                return update + self._announce(now)
            assert failed.failure is not None
            stopped = self._stop_all(now, Phase.ENDING, failed.failure)
        else:
            stopped = self._stop_next(now)
        return stopped + self._finish(now)

    def _let_start(self, now: float) -> None:
        for instance in self.instances.values():
            if instance.startable and self._may_start(instance):
                instance.start(now)

    def _begin_one(self, now: float) -> list[Output]:
        """Begin the life that has been due for the longest time.

        Not all that are due: what happens meanwhile, a signal or a failure, is heard between two.
        """
        due = [one for one in self.instances.values() if one.due(now)]
        first = min(due, key=lambda one: one.next_start or 0.0, default=None)
        return [] if first is None else first.begin(now)

    def _may_start(self, instance: Instance) -> bool:
        processes = {process_of(name) for name in instance.spec.after}
        return all(
            other.fulfilled or other.goal is Goal.DOWN
            for other in self.instances.values()
            if other.spec.process in processes
        )

    def _update_next(self, now: float, outputs: Iterable[Output]) -> list[Output]:
        """Go on with rolling updates, one instance at a time; what fails ends them all."""
        if any(isinstance(output, Updated) and not output.replaced for output in outputs):
            self._to_update.clear()
        if self._held:
            return []
        while self._to_update and not any(i.updating for i in self.instances.values()):
            instance = self.instances[self._to_update.popleft()]
            if instance.life is not None and instance.life.state in WORKING:
                return instance.replace(now)
        return []

    def _announce(self, now: float) -> list[Output]:
        """Tell once that everything is ready; if all are oneshots, that is the end."""
        if self.phase is not Phase.STARTING:
            return []
        wanted = [i for i in self.instances.values() if i.goal is Goal.UP]
        if not wanted or not all(instance.fulfilled for instance in wanted):
            return []
        self.phase = Phase.RUNNING
        after = now - self._began
        if all(instance.finished for instance in self.instances.values()):
            finished = AllFinished(len(self.instances), after)
            return [finished, *self._stop_all(now, Phase.ENDING, 0), *self._finish(now)]
        return [AllReady(len(wanted), after)]

    def _hold(self, held: bool) -> list[Output]:
        """Let no life follow another while the output is stalled: each would leave last words."""
        self._held = held
        for instance in self.instances.values():
            instance.held = held
        return []

    def _signalled(self, now: float, signal: Signals) -> list[Output]:
        if signal in self._stop_signals:
            return self._asked_to_stop(now, signal)
        forwarded: list[Output] = []
        if signal in FORWARDED:
            forwarded = self._each(lambda instance: instance.forward(signal))
        effect = SignalEffect.FORWARD if forwarded else SignalEffect.NOTHING
        return [SignalReceived(signal, effect), *forwarded]

    def _asked_to_stop(self, now: float, signal: Signals) -> list[Output]:
        if self.phase in (*AT_WORK, Phase.ENDING):
            received = SignalReceived(signal, SignalEffect.STOP)
            return [received, *self._stop_all(now, Phase.STOPPING, self._stop_signals[signal])]
        if signal is RELOAD:
            # The kernel sends it, and so does the shell: the second one asks for nothing new.
            return [SignalReceived(signal, SignalEffect.NOTHING)]
        self.phase, self._status = Phase.KILLING, 128 + signal
        killed = self._each(lambda instance: instance.kill(now))
        return [SignalReceived(signal, SignalEffect.KILL), *killed]

    def _stop_all(self, now: float, phase: Phase, status: int) -> list[Output]:
        """Stop everything. The first reason decides the status; who asks may still follow it."""
        if self.phase not in AT_WORK:
            self.phase = phase if phase is Phase.STOPPING else self.phase
            return []
        self.phase, self._status, self._stopping_since = phase, status, now
        self._to_update.clear()
        unwanted = self._each(lambda instance: instance.want(now, Goal.DOWN))
        return [StoppingAll(), *unwanted, *self._stop_next(now)]

    def _stop_next(self, now: float) -> list[Output]:
        """Stop what nothing alive comes after; at the second request, kill everything."""
        if self.phase is Phase.KILLING:
            return self._each(lambda one: one.kill(now) if one.alive else [])
        alive = {i.spec.process for i in self.instances.values() if i.alive}
        free = [i for i in self.instances.values() if not self._followers[i.spec.process] & alive]
        return _merged(output for instance in free for output in self._stop(now, instance))

    def _stop(self, now: float, instance: Instance) -> list[Output]:
        # A migration must not be cut because something else failed. Who asks is obeyed.
        if instance.spec.oneshot and self.phase is Phase.ENDING:
            return instance.let_finish(now)
        return instance.stop(now)

    def _finish(self, now: float) -> list[Output]:
        if self.phase is Phase.OVER or not all(i.over for i in self.instances.values()):
            return []
        self.phase, self._alive_at = Phase.OVER, None
        if any(instance.left_behind for instance in self.instances.values()):
            self._status = 1
        return [AllStopped(self._status, now - self._stopping_since)]

    def _each(self, decide: Callable[[Instance], list[Output]]) -> list[Output]:
        return [output for instance in self.instances.values() for output in decide(instance)]


def _followers(specs: Iterable[Spec]) -> Mapping[str, frozenset[str]]:
    """For each process all that come after it, directly or not."""
    ahead: dict[str, set[str]] = {}
    for spec in specs:
        ahead.setdefault(spec.process, set()).update(map(process_of, spec.after))
    found: dict[str, set[str]] = {process: set() for process in ahead}
    for process, directly in ahead.items():
        left = list(directly)
        while left:
            one = left.pop()
            if process not in found[one]:
                found[one].add(process)
                left += ahead[one]
    return {process: frozenset(followers) for process, followers in found.items()}


def _merged(outputs: Iterable[Output]) -> list[Output]:
    """Let one notice tell of all instances that still run, and one of all that may finish."""
    merged: list[Output] = []
    notices: dict[type, list[Union[StillRunning, WaitingToFinish]]] = {}
    for output in outputs:
        if isinstance(output, (StillRunning, WaitingToFinish)):
            notices.setdefault(type(output), []).append(output)
        else:
            merged.append(output)
    for kind, alike in notices.items():
        names = tuple(name for notice in alike for name in notice.names)
        merged.append(kind(names, max(notice.left for notice in alike)))
    return merged
