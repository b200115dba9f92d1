"""Instance: the slot `web.1`, with its goal, its restart policy, and one or two lives.

goal up     a life is wanted: if it exits on its own, the restart policy decides what follows;
            if it was asked to stop, the next life follows
goal down   no life is wanted: a life that ends is not restarted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import Signals
from types import MappingProxyType

from .commands import ReleaseLock, Spawn, TakeLock
from .events import (
    Exited,
    GroupGone,
    LifeEvent,
    LockBusy,
    LockEvent,
    LockLost,
    LockTaken,
    Measured,
    Notified,
    NotifyFlooded,
    Probed,
    ProbeRefused,
    ReadyLine,
    RunPlanned,
    Spawned,
    SpawnFailed,
)
from .facts import (
    AwaitRun,
    AwaitsLock,
    DoneElsewhere,
    Ended,
    HasLock,
    LifeState,
    LockGone,
    Lost,
    Output,
    Renewed,
    Restart,
    Retired,
    RunsLeftOut,
    StandBy,
    StartLimitReached,
    StartRefused,
    State,
    StateChanged,
    StopEverything,
    Updated,
    WithoutLock,
)
from .hints import Optional, Union
from .life import LOSE_AFTER, SWEEP_AFTER, WORKING, Life, obeys
from .lock import Lock
from .restarts import Restarts
from .runs import Runs
from .signals import STOP_SIGNALS
from .spec import Exclusion, Goal, Ref, Spec
from .values import Value, assert_never, replace

# What users see of a life. Without a life, they see the state in which the instance rests.
SEEN: Mapping[LifeState, State] = MappingProxyType(
    {
        LifeState.SPAWNING: State.STARTING,
        LifeState.CANCELLING: State.STARTING,
        LifeState.DISCARDING: State.STARTING,
        LifeState.STARTING: State.STARTING,
        LifeState.RUNNING: State.RUNNING,
        LifeState.STOPPING: State.STOPPING,
        LifeState.KILLING: State.KILLING,
        LifeState.SWEEPING: State.EXITED,
    }
)


# In seconds: a life whose lock is lost gets at most this long to stop, because another supervisor
# may soon take the lock. `posix.locks` has the related times.
STOP_WITHOUT_LOCK = 3.0

_End = Union[Ended, Lost, StartRefused]


class _Before(Value):
    """What an instance ran before a reload."""

    spec: Spec
    generation: int


class Instance:
    """One slot. Each input returns what has to be done (commands) and what has happened (facts)."""

    def __init__(self, spec: Spec, generation: int = 0, *, added: bool = False) -> None:
        self.spec = spec
        # It was added by scaling, not by the settings.
        self.added = added
        self.goal = Goal.UP
        # Since when users see its current state.
        self.since = 0.0
        # The current life, and during a rolling update its successor; then the lives that are
        # neither, because they are stopping or lost.
        self.life: Optional[Life] = None
        self.successor: Optional[Life] = None
        self.retired: list[Life] = []
        # A rolling update has begun, and its new life is not ready yet.
        self._updating = False
        # It runs a new generation that has not been ready yet. If that fails, it goes back to what
        # it ran `_before`, if anything.
        self._on_trial = False
        self._before: Optional[_Before] = None
        # Its last run as a oneshot succeeded. While a reload runs it again, the run before counts.
        self._succeeded = False
        # Used if the instance needs a lock, and if it is scheduled.
        self.lock = Lock()
        self.runs = Runs()
        # Restarts are suspended; a first life may still start.
        self.held = False
        # When the next life starts, if the process group of the last one is empty by then.
        self.next_start: Optional[float] = None
        # Set if it failed and is not restarted: the exit status that this gives the supervisor.
        self.failure: Optional[int] = None
        # It failed by exiting as if it had received a stop signal, which we did not send. The
        # second is true only if a signal killed it.
        self.stopped_from_outside = self.killed_from_outside = False
        # How and when its last current life ended; replaced lives are left out.
        self.last_end: Optional[Ended] = None
        self.ended_at = 0.0
        # Restarts by the policy, and lives that were replaced on request.
        self.restarts = 0
        self.replacements = 0
        # Since its goal went down, a retired life has exceeded its stop timeout.
        self._retired_overran = False
        self._generation = generation
        self._number = 0
        self._policy = Restarts(spec)
        # What users see without a life, and the state that was reported last.
        self._rest = State.STOPPED
        self._seen = State.STOPPED

    # ---- what is known ----

    @property
    def generation(self) -> int:
        """The generation that its next life runs."""
        return self._generation

    @property
    def state(self) -> State:
        """What users see."""
        if self.life is None or self._rest is State.FATAL:
            return self._rest
        return SEEN.get(self.life.state, self._rest)

    @property
    def lives(self) -> list[Life]:
        """All lives whose processes may still exist."""
        ours = (*self.retired, self.life, self.successor)
        return [one for one in ours if one is not None and one.state is not LifeState.GONE]

    @property
    def alive(self) -> bool:
        return any(life.alive for life in self.lives)

    @property
    def over(self) -> bool:
        """There is nothing left to wait for. Lost lives are not waited for."""
        lost = all(life.state is LifeState.LOST for life in self.lives)
        return lost and self.next_start is None

    @property
    def task_at(self) -> Optional[float]:
        """When its lives have something to do next, or None."""
        moments = [life.deadline for life in self.lives]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def start_at(self) -> Optional[float]:
        """When its next life begins, or None."""
        return self.next_start if self._empty and self._may_begin else None

    @property
    def startable(self) -> bool:
        """It starts as soon as the processes that it comes after are ready or finished."""
        at_rest = self._rest in (State.STOPPED, State.WAITING) and self._empty
        awaits = self.lock.awaited or self.runs.planning
        wanted = self.goal is Goal.UP and self.next_start is None and not awaits
        return at_rest and wanted and self._may_begin

    @property
    def begins_first(self) -> bool:
        """Its start is planned because its wait for others is over, not by its restart policy."""
        at_rest = self._rest in (State.STOPPED, State.WAITING) and self._empty
        return bool(self.spec.after) and at_rest and self.next_start is not None

    @property
    def finished(self) -> bool:
        """A oneshot that succeeded, and is not running again."""
        return self._rest is State.EXITED and self._succeeded

    @property
    def updating(self) -> bool:
        """A rolling update is not over: the new life is not ready, or the old one has not ended."""
        leaving = [life for life in self.retired if life.state is not LifeState.LOST]
        return self._updating or bool(leaving)

    @property
    def fulfilled(self) -> bool:
        """Processes that come after it may start."""
        planned = self.runs.at is not None
        return self.state in (State.RUNNING, State.STANDBY) or self.finished or planned

    @property
    def left_behind(self) -> bool:
        """One of its lives exceeded its stop timeout and was killed, or survived SIGKILL."""
        overran = self.life is not None and self.life.overran
        return (
            overran
            or self._retired_overran
            or any(life.state is LifeState.LOST for life in self.lives)
        )

    @property
    def _empty(self) -> bool:
        return self.life is None or self.life.state is LifeState.GONE

    @property
    def _may_begin(self) -> bool:
        return not self.held or self._number == 0

    # ---- decisions of the group ----

    def wait(self, now: float) -> list[Output]:
        """Start later, once the processes that it comes after are ready or finished."""
        self._rest = State.WAITING
        return self._with_state_change(now)

    def start(self, now: float) -> None:
        """Start now. This is not a restart: the start limit and the backoff begin again."""
        assert self.startable, f"{self.spec.name} is {self.state.name}"
        self._policy = Restarts(self.spec)
        self.next_start = now

    def wait_again(self) -> None:
        """Cancel a planned start."""
        self.next_start, self.runs.due = None, False

    def due(self, now: float) -> bool:
        """Its next life has to `begin`."""
        return self.start_at is not None and self.start_at <= now

    def begin(self, now: float) -> list[Output]:
        """Begin the next life; before that, plan its run and take its lock where needed."""
        assert self.due(now), f"{self.spec.name} is {self.state.name}"
        without_lock = self.spec.exclusion is not Exclusion.NONE and not self.lock.held
        if without_lock and self.spec.exclusion is Exclusion.SINGLETON:
            return self._await_lock(now)
        if self.spec.scheduled and not self.runs.due:
            return self._plan_run(now)
        if without_lock:
            return self._await_lock(now)
        self.runs.due = False
        self._rest, self.next_start, self.failure = State.STOPPED, None, None
        self._succeeded = self._succeeded and self._on_trial
        self.life = self._create(now)
        # A reload that interrupted a run does not wait for the repeated run to end.
        renewed = self._end_update(replaced=True) if self.spec.scheduled else []
        return self._with_state_change(now, [Spawn(self.life.ref), *renewed])

    def want(self, now: float, goal: Goal) -> list[Output]:
        """Change the goal. A life that is no longer wanted still has to be stopped by `stop`.

        A start that is planned or not answered yet is cancelled at once.
        """
        self.goal = goal
        if goal is Goal.UP:
            if self.lock.awaited or self.runs.planning:
                return []
            if self.spec.scheduled and self._empty and self.runs.at is not None:
                self.next_start, self.runs.due = now, True
            elif self._empty:
                self._await_turn()
            elif self.state in (State.EXITED, State.FATAL) and self.next_start is None:
                self._rest, self.next_start, self.failure = State.EXITED, now, None
            return self._with_state_change(now)
        self.next_start, self.lock.awaited = None, False
        self.runs.cancel()
        # How earlier lives were stopped no longer matters.
        self._retired_overran = False
        if self._empty:
            self.life = None
        if self._rest in (State.WAITING, State.STANDBY, State.BACKOFF):
            self._rest = State.STOPPED
        unwanted = [output for life in self.lives for output in _prepare_stop(now, life)]
        return self._with_state_change(now, unwanted + self._end_update(replaced=False))

    def stop(self, now: float) -> list[Output]:
        """Ask all its lives to stop."""
        return self._with_state_change(
            now, [output for life in self.lives for output in life.stop(now)]
        )

    def kill(self, now: float) -> list[Output]:
        """Kill all its lives, and the rest of any process group whose leader has exited."""
        return self._with_state_change(
            now, [output for life in self.lives for output in life.kill(now)]
        )

    def let_finish(self, now: float) -> list[Output]:
        """Let a running oneshot finish, within its stop timeout."""
        return [output for life in self.lives for output in life.let_finish(now)]

    def forward(self, signal: Signals) -> list[Output]:
        return [output for life in self.lives for output in life.forward(signal)]

    def send(self, signal: Signals) -> list[Output]:
        return [output for life in self.lives for output in life.send(signal)]

    def replace(self, now: float) -> list[Output]:
        """Replace a working life: the new one starts first, or once the old one is gone."""
        assert self.life is not None
        assert self.life.state in WORKING
        assert self.successor is None
        self._updating = True
        return self._replace(now)

    def renew(self, now: float, spec: Spec, generation: int) -> list[Output]:
        """Switch it to another generation, or start it if it is new; `Renewed` reports the result.

        If the new life fails before it is ready, the old generation runs again. An instance whose
        goal is down only learns what it will run next.
        """
        new = self._number == 0 and self._generation == generation
        self._before = None if new else _Before(self.spec, self._generation)
        return self._run(now, spec, generation)

    def sibling(self, name: str) -> Instance:
        """Create another instance of its process, with goal down.

        It runs what this one ran before a reload.
        """
        before = self._before or _Before(self.spec, self._generation)
        made = Instance(replace(before.spec, name=name), before.generation, added=True)
        made.goal, made.held = Goal.DOWN, self.held
        return made

    def roll_back(self, now: float) -> list[Output]:
        """Go back to what it ran before it was renewed."""
        before, self._before = self._before, None
        if before is None:
            return []
        if self.spec.oneshot:
            self.spec, self._generation = before.spec, before.generation
            return []
        outputs = self._run(now, before.spec, before.generation)
        self._on_trial = False
        return outputs

    def settle(self) -> None:
        """Forget what it ran before it was renewed: there is no way back."""
        self._before = None

    def abort(self, now: float) -> list[Output]:
        """Stop its renewed life, if that is not ready yet."""
        if not self._on_trial:
            return []
        failed, life = self._end_update(replaced=False), self.successor or self.life
        if life is None or life.ref.generation == self._generation:
            return self._with_state_change(now, failed)
        self._updating = life is self.life
        return self._with_state_change(now, [*failed, *life.stop(now)])

    def _run(self, now: float, spec: Spec, generation: int) -> list[Output]:
        self.spec, self._generation, self._policy = spec, generation, Restarts(spec)
        if not spec.scheduled:
            self.runs.at = None
        if self.goal is Goal.DOWN:
            return []
        self._updating = self._on_trial = True
        if self.life is not None and self.life.state in WORKING:
            return self._with_state_change(now, self._replace(now))
        # It starts once its last life is gone; an unanswered start is cancelled. A planned run is
        # planned again.
        self.next_start, self.failure = now, None
        self.runs.due = False
        return self._with_state_change(
            now, [] if self.life is None else _prepare_stop(now, self.life)
        )

    def _replace(self, now: float) -> list[Output]:
        if self.spec.oneshot or not self.spec.start_first:
            return self.stop(now)
        self.successor = self._create(now)
        return [Spawn(self.successor.ref)]

    # ---- events ----

    def take(self, now: float, event: LifeEvent) -> list[Output]:
        """Handle an event about one of its lives. It may be about one that is already gone."""
        life = next((one for one in self.lives if one.ref == event.ref), None)
        return [] if life is None else self._with_state_change(now, self._take(now, life, event))

    def take_of_lock(self, now: float, event: LockEvent) -> list[Output]:
        """Handle an event about its lock."""
        if self.lock.free:
            return []  # It was released meanwhile.
        name = self.spec.name
        if isinstance(event, LockTaken):
            was_busy = self.lock.busy
            if not self.lock.taken():
                return self._with_state_change(now)
            self.next_start = now
            return self._with_state_change(now, [HasLock(name)] if was_busy else [])
        if isinstance(event, LockBusy):
            if not self.lock.refused(event.why):
                return []
            awaits = AwaitsLock(name, self.spec.exclusion, event.why)
            return self._with_state_change(now, [awaits, *self._stand_by()])
        if isinstance(event, LockLost):
            self.lock.lost(event.why)
            return self._with_state_change(now, self._lost_lock(now, event.why))
        self.lock.release()
        self._rest, self._succeeded = State.EXITED, True
        self._await_run(now)
        return self._with_state_change(now, [DoneElsewhere(name), *self._end_update(replaced=True)])

    def tick(self, now: float) -> list[Output]:
        """Do what is due for its lives."""
        outputs: list[Output] = []
        for life in self.lives:
            old = life.state
            outputs += life.tick(now)
            outputs += self._follow(now, life, old)
        return self._with_state_change(now, outputs)

    # ---- its schedule ----

    def take_plan(self, now: float, planned: RunPlanned) -> list[Output]:
        """Handle the answer to when its next run is."""
        if not self.runs.planning:
            return []  # It was stopped meanwhile.
        self.next_start = self.runs.planned(now, planned.after)
        left_out = [RunsLeftOut(self.spec.name, planned.left_out)] if planned.left_out else []
        return self._with_state_change(now, [*left_out, *self._end_update(replaced=True)])

    def _plan_run(self, now: float) -> list[Output]:
        self.next_start, self._rest = None, State.WAITING
        return self._with_state_change(now, [self.runs.plan(self.spec.name)])

    def _await_run(self, now: float) -> None:
        """A run has ended, successfully or not: wait for the next one."""
        if self.spec.scheduled and self.goal is Goal.UP:
            self._policy = Restarts(self.spec)
            self.runs.ended()
            self.next_start, self.failure, self._rest = now, None, State.WAITING

    # ---- its lock ----

    def _await_lock(self, now: float) -> list[Output]:
        self.next_start, self._rest = None, State.WAITING
        if self.lock.wait():
            return self._with_state_change(now, [TakeLock(self.spec.name)])
        return self._with_state_change(now, self._stand_by() if self.lock.busy else [])

    def _stand_by(self) -> list[Output]:
        """Another supervisor has its lock. A singleton then counts as ready, also in a reload."""
        if self.spec.exclusion is not Exclusion.SINGLETON:
            return []
        self._rest = State.STANDBY
        return self._end_update(replaced=True)

    def _lost_lock(self, now: float, why: str) -> list[Output]:
        """Another supervisor may run it soon: stop it. A oneshot cannot be undone, and goes on."""
        if self.spec.oneshot:
            works = any(life.state in (LifeState.SPAWNING, *WORKING) for life in self.lives)
            return [LockGone(self.spec.name, why)] if works else []
        stops: list[Output] = []
        for life in self.lives:
            # The limit also applies to a life that is stopping, or that starts after its
            # cancellation.
            if life.alive:
                stops += life.stop(now, WithoutLock(why), within=STOP_WITHOUT_LOCK)
        return stops

    def _release_lock(self) -> list[Output]:
        """Release the lock once it is not needed. A lost life may still run, and needs it."""
        if self.lock.free or self.lives:
            return []
        # Between two attempts at one run, not between two runs.
        between = self.runs.due or not self.spec.scheduled
        needs = {
            Exclusion.NONE: False,
            Exclusion.ONCE: self.lock.awaited or (self.next_start is not None and between),
            Exclusion.SINGLETON: self.goal is Goal.UP,
        }
        if needs[self.spec.exclusion]:
            return []
        self.lock.release()
        return [ReleaseLock(self.spec.name, done=self._succeeded)]

    # ---- what follows ----

    def _take(self, now: float, life: Life, event: LifeEvent) -> list[Output]:
        if isinstance(event, SpawnFailed):
            cancelled = life.state is not LifeState.SPAWNING
            life.refused(now)
            return self._cancelled(life) if cancelled else self._refused(now, life, event)
        if isinstance(event, Exited):
            return self._exited(now, life, event)
        old, health_matters = life.state, self.goal is Goal.UP and life.state in WORKING
        if isinstance(event, Spawned):
            self._policy.answered(now)
            outputs = life.spawned(now)
        elif isinstance(event, GroupGone):
            life.group_gone(now)
            outputs = []
        elif isinstance(event, Notified):
            outputs = life.notified(now, event, health_matters)
        elif isinstance(event, NotifyFlooded):
            outputs = life.flooded(now) if health_matters else []
        elif isinstance(event, ReadyLine):
            outputs = life.found_ready_line(now) if health_matters else []
        elif isinstance(event, Probed):
            outputs = life.probed(now, event) if health_matters else []
        elif isinstance(event, ProbeRefused):
            outputs = life.probe_refused(now, event) if health_matters else []
        elif isinstance(event, Measured):
            outputs = life.measured(now, event) if health_matters else []
        else:
            assert_never(event)
        return outputs + self._follow(now, life, old)

    def _follow(self, now: float, life: Life, old: LifeState) -> list[Output]:
        """Decide what the new state of a life means for the slot."""
        if life.state is old:
            return []
        if life.state is LifeState.LOST:
            return self._lost(now, life)
        if life.state is LifeState.GONE:
            return self._gone(now, life)
        if life.state is LifeState.RUNNING and life is self.successor and self.goal is Goal.UP:
            return self._promote(now)
        if life.state is LifeState.RUNNING and life is self.life and self.successor is None:
            return self._end_update(replaced=True)
        return []

    def _promote(self, now: float) -> list[Output]:
        """Make the successor the current life, and ask its predecessor to stop."""
        assert self.successor is not None
        old, self.life, self.successor = self.life, self.successor, None
        assert old is not None
        self.replacements += 1
        self.retired.append(old)
        return [*self._end_update(replaced=True), *old.stop(now)]

    def _exited(self, now: float, life: Life, exited: Exited) -> list[Output]:
        ended = life.ended(now, exited)
        if life is self.successor:
            self.successor = None
            self.retired.append(life)
            life.exited(now, SWEEP_AFTER)
            return [ended, *self._end_update(replaced=False)]
        if life is not self.life:
            lost = life.state is LifeState.LOST
            life.exited(now, SWEEP_AFTER)
            return [] if lost else [ended]
        self.last_end = ended = replace(ended, restarts=self.restarts)
        self.ended_at = now
        if self.successor is not None:
            # It died while its successor was starting: that is the current life now, ready or not.
            self.retired.append(life)
            self.life, self.successor = self.successor, None
            life.exited(now, SWEEP_AFTER)
            return [ended]
        failed = life.fault is not None or exited.status.shell != 0
        outputs = self._end(now, life, ended, failed=failed, jitter=exited.jitter)
        (self.last_end,) = [told for told in outputs if isinstance(told, Ended)]
        life.exited(now, self._sweep_after(now, life))
        return outputs

    def _end(
        self, now: float, life: Life, ended: _End, *, failed: bool, jitter: float
    ) -> list[Output]:
        """Decide what follows the end of the current life, or its refused start."""
        self._rest = State.EXITED
        if isinstance(ended, Ended) and ended.finished:
            self._succeeded = True
            self._await_run(now)
            return [ended, *self._end_update(replaced=True)]
        if self.goal is Goal.DOWN:
            self._rest = State.STOPPED if life.asked else State.EXITED
            return [ended]
        if life.asked:
            self.replacements += 1
            return [replace(ended, consequence=self._restart_at(now, life, now))]
        if isinstance(life.fault, WithoutLock):
            self._restart_at(now, life, now)
            return [replace(ended, consequence=StandBy())]
        if self._on_trial and life.ref.generation == self._generation:
            return self._failed_on_trial(now, life, ended)
        recycled = self.spec.recycles and life.state is LifeState.RUNNING and not failed
        if not self._policy.wanted(failed or recycled):
            return [replace(ended, consequence=self._give_up(now, ended))]
        if recycled:
            at: Optional[float] = self._policy.after_recycling(now, life.started)
        else:
            ready_at = life.health.ready_at
            ready_for = 0.0 if ready_at is None else now - ready_at
            at = self._policy.after_failure(now, ready_for, jitter)
        if at is not None:
            self.restarts += 1
            return [replace(ended, consequence=self._restart_at(now, life, at))]
        self._rest = State.FATAL
        limit = self.spec.start_burst, self.spec.start_interval
        return [ended, StartLimitReached(self.spec.name, *limit, self._give_up(now, ended))]

    def _failed_on_trial(self, now: float, life: Life, ended: _End) -> list[Output]:
        """Go back to what ran before, if anything did; a oneshot's earlier run is done."""
        again = self._before is not None and not self.spec.oneshot
        updated = self._end_update(replaced=False)
        # A reload waits until what ran before is back.
        self._updating = again
        if again:
            return [replace(ended, consequence=self._restart_at(now, life, now)), *updated]
        return [ended, *updated]

    def _restart_at(self, now: float, life: Life, at: float) -> Restart:
        self.next_start, life.overran = at, False
        # Repeat the same run.
        self.runs.due = self.spec.scheduled
        return Restart(at - now)

    def _give_up(self, now: float, ended: _End) -> Union[StopEverything, AwaitRun]:
        if self.spec.scheduled:
            self._await_run(now)
            return AwaitRun()
        # It was not asked to stop, so even status 0 is a failure: a platform that restarts the
        # supervisor on failure must notice.
        self.failure = (ended.status.shell if isinstance(ended, Ended) else 0) or 1
        self.stopped_from_outside = (
            isinstance(ended, Ended)
            and ended.old in WORKING
            and (ended.status.shell - 128 in STOP_SIGNALS or obeys(self.spec, ended.status))
        )
        signal = ended.status.signal if isinstance(ended, Ended) else None
        self.killed_from_outside = self.stopped_from_outside and signal is not None
        return StopEverything()

    def _sweep_after(self, now: float, life: Life) -> float:
        """The rest of the group may delay a restart after a stop, but not after a crash."""
        if self.next_start is None or life.asked:
            return SWEEP_AFTER
        return min(self.next_start - now, SWEEP_AFTER)

    def _refused(self, now: float, life: Life, failed: SpawnFailed) -> list[Output]:
        """Shortages are temporary: a refused start is a failed start like any other."""
        refused = StartRefused(self.spec.name, failed.error)
        if life is self.successor:
            self.successor = None
            return [refused, *self._end_update(replaced=False)]
        self._policy.answered(now)
        outputs = self._end(now, life, refused, failed=True, jitter=failed.jitter)
        if self.failure is not None:
            self._rest = State.FATAL
        self._await_start(now)
        return outputs

    def _cancelled(self, life: Life) -> list[Output]:
        """Its start was cancelled in time: it is as if the start had never been requested."""
        if life is self.successor:
            self.successor = None
        elif self.goal is Goal.UP:
            self._await_turn()
        return []

    def _lost(self, now: float, life: Life) -> list[Output]:
        """Stop waiting for a life that survived SIGKILL; another life may take its place."""
        lost = Lost(life.ref, LOSE_AFTER)
        if life in self.retired:
            return [lost]
        self.retired.append(life)
        if life is self.successor:
            self.successor = None
            return [lost, *self._end_update(replaced=False)]
        self.life, self.successor = self.successor, None
        if self.life is not None:
            # As if it had died while its successor was starting: that is the current life now.
            return [lost]
        if self.last_end is not None and self.last_end.ref == life.ref:
            # Its leader had already exited, and what follows was decided then.
            self._await_start(now)
            return [lost]
        outputs = self._end(now, life, lost, failed=True, jitter=0.0)
        self._await_start(now)
        return outputs

    def _gone(self, now: float, life: Life) -> list[Output]:
        if life in self.retired:
            self.retired.remove(life)
            self._retired_overran |= life.overran and self.goal is Goal.DOWN
            return [Retired(life.ref)]
        self._await_start(now)
        return []

    def _await_turn(self) -> None:
        """It is wanted, and starts once the processes that it comes after are ready or finished."""
        self._rest = State.WAITING if self.spec.after else State.STOPPED
        self.next_start, self.failure = None, None

    def _await_start(self, now: float) -> None:
        if self.next_start is not None and (self.next_start > now or not self._may_begin):
            self._rest = State.BACKOFF

    def _create(self, now: float) -> Life:
        self._number += 1
        return Life(Ref(self.spec.name, self._generation, self._number), self.spec, now)

    def _end_update(self, *, replaced: bool) -> list[Output]:
        if not self._updating:
            return []
        of_reload = self._on_trial
        self._updating = self._on_trial = False
        if not replaced and self._before is not None:
            self.spec, self._generation = self._before.spec, self._before.generation
            self._policy, self._before = Restarts(self.spec), None
        kind = Renewed if of_reload else Updated
        return [kind(self.spec.name, replaced)]

    def _with_state_change(self, now: float, outputs: Sequence[Output] = ()) -> list[Output]:
        """Also release the lock if it is not needed, and report a change of the visible state."""
        outputs = [*outputs, *self._release_lock()]
        old, self._seen = self._seen, self.state
        if old is self._seen:
            return outputs
        self.since = now
        return [*outputs, StateChanged(self.spec.name, old, self._seen)]


def _prepare_stop(now: float, life: Life) -> list[Output]:
    """Cancel an unanswered start; other lives are asked to stop when their turn comes."""
    return life.stop(now) if life.state is LifeState.SPAWNING else life.ignore_health()
