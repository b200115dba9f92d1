"""The group: starts instances in order, stops them in reverse, and decides the exit status.

The first reason to stop decides the exit status. Two events override it, because an orchestrator
should know of both: an instance had to be killed because it exceeded its stop timeout, or a stop
signal arrived after a stop had already been requested.

If the first reason was an instance that exited on its own as it does after a stop signal, a stop
signal to the supervisor shortly afterwards decides instead. If a signal killed that instance and
nothing else is left to wait for, the group waits briefly for the supervisor's own stop signal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from signal import Signals

from .autoscale import Autoscalers, idlest
from .commands import (
    AdoptGeneration,
    DropGeneration,
    LoadGeneration,
    MeasureLoad,
    ReleaseLock,
    Unlisten,
)
from .events import (
    ChangeRequest,
    Event,
    GoalRequest,
    LifeEvent,
    Loaded,
    LoadFailed,
    LoadMeasured,
    LockBusy,
    LockLost,
    LockTaken,
    LockUsed,
    OutputGone,
    OutputResumed,
    OutputStalled,
    PreloadFailed,
    ReloadRequest,
    Request,
    RestartRequest,
    RunPlanned,
    ScaleRequest,
    ShutdownRequest,
    Signalled,
    SignalRequest,
)
from .facts import (
    Alive,
    AllFinished,
    AllReady,
    AllStopped,
    Granted,
    LifeState,
    NotPreloaded,
    Output,
    Phase,
    Refusal,
    ReloadBegun,
    Reloaded,
    ReloadFailed,
    RequestRefused,
    SignalEffect,
    SignalReceived,
    State,
    StillRunning,
    StoppingAll,
    Updated,
    WaitingToFinish,
)
from .hints import Callable, Optional, TypeVar, Union
from .instance import Instance
from .life import WORKING
from .reload import Reload
from .roster import Roster
from .signals import FORWARDED, RELOAD, STOP_SIGNALS
from .snapshot import GroupSnapshot, InstanceSnapshot, autoscale_snapshot, instance_snapshot
from .spec import Goal, Spec, process_of
from .values import replace

# In seconds. A platform that stops everything (Heroku, systemd) signals each process, and some may
# exit before the supervisor reads its own signal. That takes milliseconds, longer on a busy
# machine, but less time than an operator needs to notice a failure and request a stop.
SIGNALLED_TOGETHER = 1.0
# In seconds: how long the exit status may still change after the last life has ended, if the first
# failure was a death by a stop signal. A process that dies at once may be that far ahead of the
# supervisor. A process that exits with a status has already taken its time.
SIGNAL_MAY_FOLLOW = 0.1

# Everything is starting or running: requests are granted, and a failure stops everything.
AT_WORK = frozenset({Phase.STARTING, Phase.RUNNING})

_Named = TypeVar("_Named", Instance, InstanceSnapshot)


def present(named: Sequence[_Named]) -> list[_Named]:
    """Select the instances of a name that a start or a stop applies to.

    Leaves out instances that scaling added and that are down, unless there are no others.
    """
    return [one for one in named if not one.added or one.goal is Goal.UP] or list(named)


def wanted(named: Sequence[_Named]) -> list[_Named]:
    """Select the instances of a name that a restart, a signal or a readiness query applies to.

    Those whose goal is up; if there are none, the same as `present`.
    """
    return [one for one in named if one.goal is Goal.UP] or present(named)


class Group:
    """All instances of one supervisor.

    Takes events and requests, returns commands and facts. `began` is when the supervisor started,
    on the clock of `now`, so that "all ready" covers all the time that a user waits, including the
    preload. With `watchdog`, `Alive` is reported at least once in this many seconds. `stop_signals`
    maps each stop signal to its exit status. With `reloads`, the system can load the project again;
    with `at_once`, a reload renews all instances at the same time.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        began: float = 0.0,
        watchdog: Optional[float] = None,
        stop_signals: Mapping[Signals, int] = STOP_SIGNALS,
        *,
        reloads: bool = False,
        at_once: bool = False,
    ) -> None:
        self.instances = Roster(specs)
        # The generation that runs, unless a reload is in progress.
        self.generation = 0
        self._newest_generation = 0
        self._reloads, self._at_once = reloads, at_once
        self._reload: Optional[Reload] = None
        # Another reload is requested if this is not None: by these requests, or by a signal.
        self._reload_next: Optional[list[int]] = None
        # Instances that a reload has removed, although they have lost lives, by name.
        self._removed: dict[str, Instance] = {}
        self.phase = Phase.STARTING
        self._began = began
        self._stop_signals = stop_signals
        self._followers = _followers(specs)
        # The exit status, and the time of the first reason to stop, which decides it.
        self._status = 0
        self._stopping_since = 0.0
        # The instance whose failure was that reason. If it exited as it does after a stop signal,
        # the supervisor's own stop signal may be about to arrive.
        self._failed: Optional[Instance] = None
        # Since when nothing is left to wait for, except perhaps that signal.
        self._over_since: Optional[float] = None
        # Restarts, updates and reload steps are suspended, because the output is stalled.
        self._held = False
        # Instances still to be stopped, by process. The turn of a process comes once no process
        # that comes after it is alive.
        self._to_stop: dict[str, list[Instance]] = {}
        # Processes whose held sockets are open.
        self._listening = {spec.process for spec in specs if spec.holds}
        self._autoscalers = Autoscalers()
        # Instances that rolling updates have not reached yet, in order.
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
        moments = [self._alive_at, self._open_until, self.instances.deadline]
        moments.append(self._autoscalers.deadline)
        return min((moment for moment in moments if moment is not None), default=None)

    def snapshot(self, now: float) -> GroupSnapshot:
        """Everything that status and metrics show, as plain values."""
        instances = tuple([instance_snapshot(one, now) for one in self.instances.values()])
        reload = (self.generation, self._reload is not None)
        scaled = tuple([autoscale_snapshot(*one, now) for one in self._autoscalers.items()])
        known = (self.phase, self.exit_status, now - self._began, instances)
        return GroupSnapshot(*known, *reload, scaled)

    # ---- inputs ----

    def start(self, now: float) -> list[Output]:
        """Plan the start of instances that come after no other; `tick` begins them."""
        if self._watchdog is not None:
            self._alive_at = now
        self._autoscalers.use((one.spec for one in self.instances.values()), now)
        waiting = [i for i in self.instances.values() if i.spec.after]
        outputs = self._each(lambda instance: instance.wait(now), waiting)
        self._let_start(now)
        return outputs

    def take(self, now: float, event: Event) -> list[Output]:
        """Handle an event from the operating system, or a request from an operator."""
        if self.phase is Phase.OVER:
            return []
        if isinstance(event, ChangeRequest):
            return self.handle_request(now, event)
        if isinstance(event, GoalRequest):
            return self.want(now, event.name, event.goal)
        if isinstance(event, RestartRequest):
            return self.restart(now, event.name)
        if isinstance(event, ScaleRequest):
            return self.scale(now, event.process, event.count)
        if isinstance(event, SignalRequest):
            return self.send(now, event.name, event.signal)
        if isinstance(event, Signalled):
            outputs = self._signalled(now, event.signal)
        elif isinstance(event, (OutputStalled, OutputResumed)):
            outputs = self._hold(isinstance(event, OutputStalled))
        elif isinstance(event, ShutdownRequest):
            outputs = self._stop_all(now, Phase.STOPPING, 0)
        elif isinstance(event, OutputGone):
            outputs = self._stop_all(now, Phase.ENDING, 128 + Signals.SIGPIPE)
        elif isinstance(event, PreloadFailed):
            outputs = self._not_preloaded(now, event)
        elif isinstance(event, Loaded):
            outputs = self._loaded(event)
        elif isinstance(event, LoadFailed):
            outputs = self._fail_reload(now, event.generation, event.message)
        elif isinstance(event, (LockTaken, LockBusy, LockUsed, LockLost)):
            outputs = self._take_of(now, event.name, lambda one: one.take_of_lock(now, event))
        elif isinstance(event, LoadMeasured):
            outputs = self._autoscale(now, event)
        elif isinstance(event, RunPlanned):
            outputs = self._take_of(now, event.name, lambda one: one.take_plan(now, event))
        elif isinstance(event, ReloadRequest):
            outputs = self._ask_to_reload([] if event.number is None else [event.number])
        else:
            outputs = self._take_of_life(now, event)
        return outputs + self._advance(now, outputs)

    def tick(self, now: float) -> list[Output]:
        """Do what is due. Call this no later than `deadline`."""
        outputs: list[Output] = []
        if self._alive_at is not None and self._alive_at <= now:
            assert self._watchdog is not None
            # At half the interval, so that a late report still arrives in time.
            self._alive_at = now + self._watchdog / 2
            outputs.append(Alive())
        outputs += starmap(MeasureLoad, self._autoscalers.take_due(now))
        on_time = self.instances.take_due(now)
        due = _merged(self._each(lambda instance: instance.tick(now), on_time))
        if due or self._open_until is not None:
            due += self._advance(now, due)
        begun = self._begin_one(now)
        if begun and self._reload is not None:
            # A reload step may have ended without a new life: the instance stands by.
            begun += self._advance(now, begun)
        return [*outputs, *due, *begun]

    def _take_of_life(self, now: float, event: LifeEvent) -> list[Output]:
        instance = self.instances.get(event.ref.name)
        if instance is not None:
            return self._let(instance, lambda one: one.take(now, event))
        # A reload removed it, and its lost life ends only now: nothing but its lock matters.
        removed = self._removed.get(event.ref.name)
        if removed is None:
            return []
        outputs = removed.take(now, event)
        if not removed.lives:
            del self._removed[event.ref.name]
        return [output for output in outputs if isinstance(output, ReleaseLock)]

    def _take_of(
        self, now: float, name: str, decide: Callable[[Instance], list[Output]]
    ) -> list[Output]:
        instance = self.instances.get(name)
        return [] if instance is None else self._let(instance, decide)

    # ---- requests of operators ----

    def handle_request(self, now: float, change: ChangeRequest) -> list[Output]:
        """Grant all requests, or none of them."""
        for request in change.requests:
            why = self._why_not(request)
            if why is not None:
                return [replace(why, number=change.number)]
        numbered = [
            replace(one, number=change.number) if isinstance(one, ReloadRequest) else one
            for one in change.requests
        ]
        granted = [output for one in numbered for output in self.take(now, one)]
        return [Granted(change), *granted]

    def want(self, now: float, name: str, goal: Goal) -> list[Output]:
        """Start or stop an instance, or all of a process; only a start waits for AFTER."""
        return self._request(now, name, lambda one: self._want(now, one, goal), present)

    def restart(self, now: float, name: str) -> list[Output]:
        """Replace an instance, or all of a process one by one; start what is not running."""
        return self._request(now, name, lambda one: self._restart(now, one), wanted)

    def scale(self, now: float, process: str, count: int) -> list[Output]:
        """Set how many instances of a process are up: those with the lowest numbers."""
        members = self._members(process)
        refused = self._refused(process, members)
        if refused is not None:
            return [refused]
        wanted = [f"{process}.{number}" for number in range(1, count + 1)]
        self._complete(members[0], wanted)

        def decide(instance: Instance) -> list[Output]:
            goal = Goal.UP if instance.spec.name in wanted else Goal.DOWN
            return [] if goal is instance.goal else self._want(now, instance, goal)

        return self._request(now, process, decide)

    def _complete(self, member: Instance, names: Iterable[str]) -> None:
        """Create the named instances that do not exist, as siblings of a member."""
        for name in names:
            if name not in self.instances:
                self.instances.add(member.sibling(name))

    def send(self, now: float, name: str, signal: Signals) -> list[Output]:
        """Send a signal to an instance, or to all of a process; an exit it causes is unexpected."""
        return self._request(now, name, lambda one: one.send(signal), wanted)

    def _request(
        self,
        now: float,
        name: str,
        decide: Callable[[Instance], list[Output]],
        select: Callable[[Sequence[Instance]], Iterable[Instance]] = iter,
    ) -> list[Output]:
        named = self._named(name)
        refused = self._refused(name, named)
        if refused is not None:
            return [refused]
        outputs = self._each(decide, select(named))
        closed = self._unlisten(dict.fromkeys(one.spec.process for one in named))
        return [*closed, *outputs, *self._advance(now, outputs)]

    def _why_not(self, request: Request) -> Optional[RequestRefused]:
        if isinstance(request, ShutdownRequest):
            return None
        if isinstance(request, ReloadRequest):
            if self.phase not in AT_WORK:
                return RequestRefused("reload", Refusal.STOPPING)
            return None if self._reloads else RequestRefused("reload", Refusal.NO_RELOAD)
        if isinstance(request, ScaleRequest):
            return self._refused(request.process, self._members(request.process))
        return self._refused(request.name, self._named(request.name))

    def _refused(self, name: str, found: Sequence[Instance]) -> Optional[RequestRefused]:
        if self.phase not in AT_WORK:
            return RequestRefused(name, Refusal.STOPPING)
        return None if found else RequestRefused(name, Refusal.NO_SUCH_NAME)

    def _named(self, name: str) -> list[Instance]:
        return [i for i in self.instances.values() if name in (i.spec.name, i.spec.process)]

    def _members(self, process: str) -> list[Instance]:
        return [i for i in self.instances.values() if i.spec.process == process]

    def _want(self, now: float, instance: Instance, goal: Goal) -> list[Output]:
        outputs = instance.want(now, goal)
        return outputs if goal is Goal.UP else outputs + instance.stop(now)

    def _restart(self, now: float, instance: Instance) -> list[Output]:
        if instance.life is None or instance.life.state not in WORKING:
            return self._want(now, instance, Goal.UP)
        if instance.spec.name not in self._to_update:
            self._to_update.append(instance.spec.name)
        return []

    # ---- autoscaling ----

    def _autoscale(self, now: float, event: LoadMeasured) -> list[Output]:
        """Start or stop instances of a process as its load requires."""
        one = self._autoscalers.get(event.process)
        # An answer that is not awaited belongs to an earlier rule.
        if one is None or one.measure_at is not None:
            return []
        up = [i.spec.name for i in self._members(event.process) if i.goal is Goal.UP]
        ready = [name for name in up if self.instances[name].fulfilled]
        # A reload starts and stops instances itself.
        told, count = one.take(now, event, len(up), ready, may_scale=self._reload is None)
        if count == len(up):
            return told
        if count > len(up):
            return [*told, *self._add(now, event.process, count - len(up))]
        left_out = idlest(up, ready, event)[: len(up) - count]
        stopped = self._each(
            lambda instance: self._want(now, instance, Goal.DOWN),
            [self.instances[name] for name in left_out],
        )
        return [*told, *self._unlisten([event.process]), *stopped]

    def _add(self, now: float, process: str, count: int) -> list[Output]:
        """Start this many more instances of a process, those with the lowest free numbers."""
        members = self._members(process)
        up = {one.spec.name for one in members if one.goal is Goal.UP}
        numbers = (f"{process}.{number}" for number in range(1, len(up) + count + 1))
        names = [name for name in numbers if name not in up][:count]
        self._complete(members[0], names)
        added = [self.instances[name] for name in names]
        return self._each(lambda instance: self._want(now, instance, Goal.UP), added)

    # ---- reload ----

    def _ask_to_reload(self, numbers: list[int]) -> list[Output]:
        """Request a reload. All requests during a reload lead to one more after it."""
        self._reload_next = [*(self._reload_next or []), *numbers]
        return []

    def _begin_reload(self, now: float) -> list[Output]:
        """Begin a requested reload once everything has been ready, or a first start is in backoff.

        Before everything has been ready, not while an instance is starting: the reload may have to
        roll back to it. With `at_once`, wait only for oneshots and for updates in progress.
        """
        if self._reload_next is None or self._reload is not None or self._to_update:
            return []
        if self._at_once and any(one.updating for one in self.instances.values()):
            return []
        if not self._may_reload:
            return []
        self._newest_generation += 1
        self._reload = Reload(self._newest_generation, now, self._reload_next)
        self._reload_next = None
        return [ReloadBegun(self._newest_generation), LoadGeneration(self._newest_generation)]

    @property
    def _may_reload(self) -> bool:
        if self.phase is Phase.RUNNING:
            return True
        if self._at_once:
            return all(one.fulfilled for one in self.instances.values() if one.spec.oneshot)
        states = {one.state for one in self.instances.values()}
        return State.BACKOFF in states and State.STARTING not in states

    def _loaded(self, loaded: Loaded) -> list[Output]:
        reload = self._reload
        if reload is None or reload.generation != loaded.generation:
            return [DropGeneration(loaded.generation)]
        self.instances = reload.loaded(loaded, self.instances)
        self._followers = _followers([one.spec for one in self.instances.values()])
        # The load has opened all held sockets, including those of processes that an operator has
        # stopped: close these.
        held = dict.fromkeys(spec.process for spec in loaded.specs if spec.holds)
        new = {process_of(name) for name in reload.new}
        self._listening.update(held)
        return self._unlisten(process for process in held if process not in new)

    def _fail_reload(self, now: float, generation: int, message: str) -> list[Output]:
        reload = self._reload
        if reload is None or reload.generation != generation or reload.failed is not None:
            return []
        reload.fail(message)
        return self._each(lambda instance: instance.abort(now))

    def _advance_reload(self, now: float, outputs: Iterable[Output]) -> list[Output]:
        """Take the next step of the reload once the last one has ended.

        With `at_once`, take all steps together; a rollback still takes one at a time.
        """
        reload = self._reload
        if reload is None:
            return []
        failed, taken = reload.observe(outputs), list[Output]()
        if failed is not None and reload.failed is None:
            reload.fail(failed)
        if self._held or (not reload.is_loaded and reload.failed is None):
            return []
        if reload.failed is None and not reload.steps:
            reload.catch_up(self.instances.values())
        at_once = self._at_once and reload.failed is None
        while reload.steps and (at_once or not any(i.updating for i in self.instances.values())):
            taken += self._take_step(now, reload, reload.steps.popleft())
        if reload.steps or any(i.updating for i in self.instances.values()):
            return taken
        return taken + self._finish_reload(now, reload)

    def _take_step(self, now: float, reload: Reload, name: str) -> list[Output]:
        instance = self.instances[name]
        if reload.failed is not None:
            return self._let(instance, lambda one: one.roll_back(now))
        reload.renewed.append(name)
        spec = reload.spec_of(name)
        if name in reload.new and not self._is_stopped(reload, spec.process):
            instance.goal = Goal.UP
        return self._let(instance, lambda one: one.renew(now, spec, reload.generation))

    def _is_stopped(self, reload: Reload, process: str) -> bool:
        """Whether an operator has stopped all instances that existed before the reload."""
        older = [one for one in self._members(process) if one.spec.name not in reload.new]
        return bool(older) and all(one.goal is Goal.DOWN for one in older)

    def _finish_reload(self, now: float, reload: Reload) -> list[Output]:
        """Stop what is no longer wanted. Once all of it has ended, the reload is over."""
        outputs: list[Output] = []
        unwanted = reload.not_wanted(self.instances)
        for instance in unwanted:
            if instance.goal is Goal.UP:
                asked = self._let(instance, lambda one: self._want(now, one, Goal.DOWN))
                outputs += [*self._unlisten([instance.spec.process]), *asked]
        kept = reload.generation if reload.failed is None else self.generation
        if not all(instance.over for instance in unwanted) or self._runs_another(kept):
            return outputs
        left = [one for one in self.instances.values() if one not in unwanted]
        self._removed.update((one.spec.name, one) for one in unwanted if one.lives)
        self.instances = Roster.of(left)
        self._followers = _followers([one.spec for one in left])
        for instance in left:
            instance.settle()
        self._autoscalers.use((one.spec for one in left), now)
        self._reload = None
        if reload.failed is not None:
            failed, numbers = reload.failed, reload.numbers
            told = ReloadFailed(reload.generation, failed, reload.has_replaced, numbers)
            return [*outputs, DropGeneration(reload.generation), told]
        self.generation = reload.generation
        after = now - reload.began
        reloaded = Reloaded(self.generation, after, reload.numbers)
        return [*outputs, AdoptGeneration(self.generation), reloaded]

    def _runs_another(self, generation: int) -> bool:
        """Whether any life of another generation exists that is not lost."""
        return any(
            life.ref.generation != generation and life.state is not LifeState.LOST
            for instance in self.instances.values()
            for life in instance.lives
        )

    def _end_reload(self, message: str) -> list[Output]:
        """Abandon the current reload, and the one requested after it."""
        reload, self._reload = self._reload, None
        asked, self._reload_next = self._reload_next or [], None
        if reload is None and not asked:
            return []
        numbers = (*(() if reload is None else reload.numbers), *asked)
        generation = self._newest_generation
        # A generation that is still loading would bind its sockets, after the others are closed.
        loading = [] if reload is None or reload.is_loaded else [DropGeneration(generation)]
        return [*loading, ReloadFailed(generation, message, numbers=numbers)]

    # ---- decisions ----

    def _advance(self, now: float, outputs: Iterable[Output]) -> list[Output]:
        """Do what has become possible, or necessary."""
        if self.phase in AT_WORK:
            failed = self.instances.failed
            if failed is None:
                update = self._advance_reload(now, outputs)
                if self._reload is None:
                    update += self._update_next(now, outputs)
                self._let_start(now)
                return [*update, *self._announce(now), *self._begin_reload(now)]
            assert failed.failure is not None
            stopped = self._stop_all(now, Phase.ENDING, failed.failure)
            self._failed = failed
        else:
            stopped = self._stop_next(now)
        return stopped + self._finish(now)

    def _let_start(self, now: float) -> None:
        for instance in self.instances.take_affected():
            may_start = self.instances.may_start(instance)
            if instance.startable and may_start:
                instance.start(now)
                self.instances.note(instance)
            elif instance.begins_first and not may_start:
                # A process that it comes after has been started again since that start was planned.
                instance.wait_again()
                self.instances.note(instance)

    def _begin_one(self, now: float) -> list[Output]:
        """Begin the life that has been due for the longest time.

        Only one at a time, so that a signal or a failure is handled before the next one begins.
        """
        first = self.instances.first_to_begin(now)
        if first is None:
            return []
        if first.spec.holds:
            self._listening.add(first.spec.process)
        return self._let(first, lambda one: one.begin(now))

    def _unlisten(self, processes: Iterable[str]) -> list[Output]:
        """Close the held sockets of processes whose instances are all meant to be down.

        During a restart or an update they stay open: new connections wait for the next life.
        """
        closed = [
            process
            for process in processes
            if process in self._listening
            and all(one.goal is Goal.DOWN for one in self._members(process))
        ]
        self._listening.difference_update(closed)
        return list(map(Unlisten, closed))

    def _update_next(self, now: float, outputs: Iterable[Output]) -> list[Output]:
        """Continue rolling updates, one instance at a time; a failed one cancels the rest."""
        if any(isinstance(output, Updated) and not output.replaced for output in outputs):
            self._to_update.clear()
        if self._held:
            return []
        while self._to_update and not any(i.updating for i in self.instances.values()):
            # A reload may have removed it meanwhile.
            instance = self.instances.get(self._to_update.popleft())
            if instance is None:
                continue
            if instance.life is not None and instance.life.state in WORKING:
                return self._let(instance, lambda one: one.replace(now))
        return []

    def _announce(self, now: float) -> list[Output]:
        """Report once that everything is ready; if all are finished oneshots, stop everything."""
        if self.phase is not Phase.STARTING:
            return []
        if self.instances.unfulfilled:
            return []
        wanted = [i for i in self.instances.values() if i.goal is Goal.UP]
        if not wanted:
            return []
        self.phase = Phase.RUNNING
        after = now - self._began
        if all(instance.finished for instance in self.instances.values()):
            finished = AllFinished(len(self.instances), after)
            return [finished, *self._stop_all(now, Phase.ENDING, 0), *self._finish(now)]
        return [AllReady(len(wanted), after)]

    def _hold(self, held: bool) -> list[Output]:
        """Suspend restarts while the output is stalled: each life would add more output."""
        self._held = held
        for instance in self.instances.values():
            instance.held = held
            self.instances.note(instance)
        return []

    def _signalled(self, now: float, signal: Signals) -> list[Output]:
        if signal in self._stop_signals:
            return self._take_stop_signal(now, signal)
        forwarded: list[Output] = []
        if signal in FORWARDED:
            forwarded = self._each(lambda instance: instance.forward(signal))
        if signal is RELOAD and self._reloads and self.phase in AT_WORK:
            return [SignalReceived(signal, SignalEffect.RELOAD), *self._ask_to_reload([])]
        effect = SignalEffect.FORWARD if forwarded else SignalEffect.NOTHING
        return [SignalReceived(signal, effect), *forwarded]

    def _take_stop_signal(self, now: float, signal: Signals) -> list[Output]:
        if self.phase in (*AT_WORK, Phase.ENDING):
            received, status = SignalReceived(signal, SignalEffect.STOP), self._stop_signals[signal]
            together = now <= self._stopping_since + SIGNALLED_TOGETHER
            if self._failed is not None and self._failed.stopped_from_outside and together:
                self._status = status
            return [received, *self._stop_all(now, Phase.STOPPING, status)]
        if signal is RELOAD:
            # When a terminal closes, the kernel and the shell both send SIGHUP: the second one is
            # not a new request.
            return [SignalReceived(signal, SignalEffect.NOTHING)]
        self.phase, self._status = Phase.KILLING, 128 + signal
        killed = self._each(lambda instance: instance.kill(now))
        return [SignalReceived(signal, SignalEffect.KILL), *killed]

    def _not_preloaded(self, now: float, failed: PreloadFailed) -> list[Output]:
        # While everything is being stopped, nothing will be started, so this does not matter.
        if self.phase not in AT_WORK:
            return []
        if failed.generation != self.generation:
            return self._fail_reload(now, failed.generation, failed.message.rstrip("."))
        return [NotPreloaded(failed.message), *self._stop_all(now, Phase.ENDING, 1)]

    def _stop_all(self, now: float, phase: Phase, status: int) -> list[Output]:
        """Stop everything. The first reason decides the status; a later request stops oneshots."""
        if self.phase not in AT_WORK:
            if phase is Phase.STOPPING is not self.phase:
                self.phase = phase
                self._stop_from_the_last()
            return []
        self.phase, self._status, self._stopping_since = phase, status, now
        self._to_update.clear()
        self._autoscalers.stop()
        ended = self._end_reload("everything is being stopped")
        self._stop_from_the_last()
        unwanted = self._each(lambda instance: instance.want(now, Goal.DOWN))
        return [*ended, StoppingAll(), *unwanted, *self._stop_next(now)]

    def _stop_from_the_last(self) -> None:
        """Queue every process, to be stopped when its turn comes."""
        self._to_stop.clear()
        for instance in self.instances.values():
            self._to_stop.setdefault(instance.spec.process, []).append(instance)

    def _stop_next(self, now: float) -> list[Output]:
        """Stop each process that no live process comes after, unless all has been killed."""
        if self.phase is Phase.KILLING:
            return []
        free = [one for one in self._to_stop if self.instances.alive.has_none(self._followers[one])]
        stopped = [instance for process in free for instance in self._to_stop.pop(process)]
        asked = self._each(lambda instance: self._stop(now, instance), stopped)
        return [*self._unlisten(free), *_merged(asked)]

    def _stop(self, now: float, instance: Instance) -> list[Output]:
        # A failure elsewhere does not interrupt a migration; an operator's signal does.
        if instance.spec.oneshot and self.phase is Phase.ENDING:
            return instance.let_finish(now)
        return instance.stop(now)

    def _finish(self, now: float) -> list[Output]:
        if self.phase is Phase.OVER or self.instances.pending:
            return []
        self._over_since = now if self._over_since is None else self._over_since
        if self._open_until is not None and now < self._open_until:
            return []
        self.phase, self._alive_at = Phase.OVER, None
        if any(instance.left_behind for instance in self.instances.values()):
            self._status = 1
        return [AllStopped(self._status, self._over_since - self._stopping_since)]

    @property
    def _open_until(self) -> Optional[float]:
        """When the wait for the supervisor's own stop signal ends, or None if there is no wait."""
        if self._over_since is None or self.phase is not Phase.ENDING:
            return None
        if self._failed is None or not self._failed.killed_from_outside:
            return None
        together = self._stopping_since + SIGNALLED_TOGETHER
        return min(self._over_since + SIGNAL_MAY_FOLLOW, together)

    def _each(
        self,
        decide: Callable[[Instance], list[Output]],
        among: Optional[Iterable[Instance]] = None,
    ) -> list[Output]:
        """Apply an input to these instances, or to all."""
        some = self.instances.values() if among is None else among
        return [output for instance in some for output in self._let(instance, decide)]

    def _let(self, instance: Instance, decide: Callable[[Instance], list[Output]]) -> list[Output]:
        outputs = decide(instance)
        self.instances.note(instance)
        return outputs


def _followers(specs: Iterable[Spec]) -> Mapping[str, frozenset[str]]:
    """Map each process to all processes that come after it, directly or indirectly."""
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
    """Merge all `StillRunning` notices into one, and all `WaitingToFinish` notices into one."""
    merged: list[Output] = []
    notices: dict[type, list[Union[StillRunning, WaitingToFinish]]] = {}
    for output in outputs:
        if isinstance(output, (StillRunning, WaitingToFinish)):
            notices.setdefault(type(output), []).append(output)
        else:
            merged.append(output)
    for kind, alike in notices.items():
        names = tuple(name for notice in alike for name in notice.names)
        notice = kind(names, max(notice.left for notice in alike))
        reported: dict[str, str] = {}
        for one in alike:
            reported.update(one.reported if isinstance(one, StillRunning) else {})
        merged.append(replace(notice, reported=reported) if reported else notice)
    return merged
