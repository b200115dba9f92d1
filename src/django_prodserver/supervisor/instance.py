"""Instance: the slot `web.1`, with its goal, its restart policy, and one life or two.

goal up     a life is wanted: one that exits on its own is restarted as the policy says,
            one that was asked to stop is followed by the next
goal down   none is wanted: whatever ends is not restarted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import Signals
from types import MappingProxyType
from typing import Optional, Union

from .commands import Spawn
from .events import (
    Exited,
    GroupGone,
    LifeEvent,
    Measured,
    Notified,
    NotifyFlooded,
    Probed,
    ProbeRefused,
    ReadyLine,
    Spawned,
    SpawnFailed,
)
from .facts import (
    Ended,
    LifeState,
    Lost,
    Output,
    Restart,
    StartLimitReached,
    StartRefused,
    State,
    StateChanged,
    StopEverything,
    Updated,
)
from .life import LOSE_AFTER, SWEEP_AFTER, WORKING, Life
from .restarts import Restarts
from .spec import Goal, Ref, Spec
from .values import assert_never, replace

# What users see of a life. With none, they see what the instance has come to rest in.
SEEN: Mapping[LifeState, State] = MappingProxyType(
    {
        LifeState.SPAWNING: State.STARTING,
        LifeState.STARTING: State.STARTING,
        LifeState.RUNNING: State.RUNNING,
        LifeState.STOPPING: State.STOPPING,
        LifeState.KILLING: State.KILLING,
        LifeState.SWEEPING: State.EXITED,
    }
)


_End = Union[Ended, Lost, StartRefused]


class Instance:
    """One slot. Each input returns what is to be done and what is to be told."""

    def __init__(self, spec: Spec, generation: int = 0) -> None:
        self.spec = spec
        self.goal = Goal.UP
        # Since when users see its state.
        self.since = 0.0
        # The last life that counted, and during a rolling update the one that is to follow it. Then
        # those that do not count any more: on their way out, or lost.
        self.life: Optional[Life] = None
        self.successor: Optional[Life] = None
        self.retired: list[Life] = []
        # A rolling update of it has begun, and no new life is ready.
        self._updating = False
        # No life is to follow another for the time being; the first one may start.
        self.held = False
        # When the next life starts, once the process group of the last one is empty.
        self.next_start: Optional[float] = None
        # It failed, and is not restarted: what that makes of the supervisor's exit status.
        self.failure: Optional[int] = None
        self.last_end: Optional[Ended] = None
        # Restarts by the policy, and lives that were replaced on request.
        self.restarts = 0
        self.replacements = 0
        # A life that does not count any more had to be killed since the goal is down.
        self._retired_overran = False
        self._generation = generation
        self._number = 0
        self._policy = Restarts(spec)
        # What users see without a life, and what they were told last.
        self._rest = State.STOPPED
        self._seen = State.STOPPED

    # ---- what is known ----

    @property
    def state(self) -> State:
        """What users see."""
        if self.life is None or self._rest is State.FATAL:
            return self._rest
        return SEEN.get(self.life.state, self._rest)

    @property
    def lives(self) -> list[Life]:
        """All lives whose processes may exist."""
        ours = (*self.retired, self.life, self.successor)
        return [one for one in ours if one is not None and one.state is not LifeState.GONE]

    @property
    def alive(self) -> bool:
        return any(life.alive for life in self.lives)

    @property
    def over(self) -> bool:
        """Nothing of it is waited for; what is lost is not."""
        lost = all(life.state is LifeState.LOST for life in self.lives)
        return lost and self.next_start is None

    @property
    def deadline(self) -> Optional[float]:
        """The next moment at which something has to be done, or None."""
        moments = [life.deadline for life in self.lives]
        if self._empty and self._may_begin:
            moments.append(self.next_start)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def startable(self) -> bool:
        """It is to be started as soon as what it comes after is ready or finished."""
        at_rest = self._rest in (State.STOPPED, State.WAITING) and self._empty
        wanted = self.goal is Goal.UP and self.next_start is None
        return at_rest and wanted and self._may_begin

    @property
    def finished(self) -> bool:
        """A oneshot that succeeded, and is not running again."""
        return self._rest is State.EXITED and self.last_end is not None and self.last_end.finished

    @property
    def updating(self) -> bool:
        """A rolling update of it is not over: a new life is awaited, or the end of the old one."""
        leaving = [life for life in self.retired if life.state is not LifeState.LOST]
        return self._updating or bool(leaving)

    @property
    def fulfilled(self) -> bool:
        """What comes after it may start."""
        return self.state is State.RUNNING or self.finished

    @property
    def left_behind(self) -> bool:
        """Its last life did not stop in time and was killed, or could not even be killed."""
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
        """Start later, once what it comes after is ready or finished."""
        self._rest = State.WAITING
        return self._told(now)

    def start(self, now: float) -> None:
        """Let a life begin that the restart policy did not ask for."""
        assert self.startable, f"{self.spec.name} is {self.state.name}"
        self._policy = Restarts(self.spec)
        self._policy.started(now)
        self.next_start = now

    def due(self, now: float) -> bool:
        """Its next life is to `begin`."""
        planned = self.next_start is not None and self.next_start <= now
        return planned and self._empty and self._may_begin

    def begin(self, now: float) -> list[Output]:
        """Begin the life that is due."""
        assert self.due(now), f"{self.spec.name} is {self.state.name}"
        self._rest, self.next_start, self.failure = State.STOPPED, None, None
        self.life = self._create(now)
        return self._told(now, [Spawn(self.life.ref)])

    def want(self, now: float, goal: Goal) -> list[Output]:
        """Change the goal. What is not wanted any more still has to be asked to stop."""
        self.goal = goal
        if goal is Goal.UP:
            if self._empty:
                self._rest = State.WAITING if self.spec.after else State.STOPPED
                self.next_start, self.failure = None, None
            elif self.state in (State.EXITED, State.FATAL) and self.next_start is None:
                self._rest, self.next_start, self.failure = State.EXITED, now, None
            return self._told(now)
        self.next_start = None
        # How anything was stopped before is an old story.
        self._retired_overran = False
        if self._empty:
            self.life = None
        if self._rest in (State.WAITING, State.BACKOFF):
            self._rest = State.STOPPED
        ignored = [output for life in self.lives for output in life.ignore_health()]
        return self._told(now, ignored + self._end_update(replaced=False))

    def stop(self, now: float) -> list[Output]:
        """Ask all of it to end."""
        return self._told(now, [output for life in self.lives for output in life.stop(now)])

    def kill(self, now: float) -> list[Output]:
        """Kill all of it, and what is left of a dead leader's process group."""
        return self._told(now, [output for life in self.lives for output in life.kill(now)])

    def let_finish(self, now: float) -> list[Output]:
        """Let a running oneshot go on, for as long as a stop may take."""
        return [output for life in self.lives for output in life.let_finish(now)]

    def forward(self, signal: Signals) -> list[Output]:
        return [output for life in self.lives for output in life.forward(signal)]

    def replace(self, now: float) -> list[Output]:
        """Let a new life follow a working one: it starts first, or once the old one is gone."""
        assert self.life is not None
        assert self.life.state in WORKING
        assert self.successor is None
        self._updating = True
        if self.spec.oneshot or not self.spec.start_first:
            return self.stop(now)
        self.successor = self._create(now)
        return [Spawn(self.successor.ref)]

    # ---- events ----

    def take(self, now: float, event: LifeEvent) -> list[Output]:
        """Take what is about one of its lives; one that is gone may still be spoken of."""
        life = next((one for one in self.lives if one.ref == event.ref), None)
        return [] if life is None else self._told(now, self._take(now, life, event))

    def tick(self, now: float) -> list[Output]:
        """Do what is due to its lives."""
        outputs: list[Output] = []
        for life in self.lives:
            old = life.state
            outputs += life.tick(now)
            outputs += self._follow(now, life, old)
        return self._told(now, outputs)

    # ---- what follows ----

    def _take(self, now: float, life: Life, event: LifeEvent) -> list[Output]:
        if isinstance(event, SpawnFailed):
            life.refused(now)
            return self._refused(now, life, event)
        if isinstance(event, Exited):
            return self._exited(now, life, event)
        old, minded = life.state, self.goal is Goal.UP and life.state in WORKING
        if isinstance(event, Spawned):
            outputs = life.spawned(now)
        elif isinstance(event, GroupGone):
            life.group_gone(now)
            outputs = []
        elif isinstance(event, Notified):
            outputs = life.notified(now, event, minded)
        elif isinstance(event, NotifyFlooded):
            outputs = life.flooded(now) if minded else []
        elif isinstance(event, ReadyLine):
            outputs = life.found_ready_line(now) if minded else []
        elif isinstance(event, Probed):
            outputs = life.probed(now, event) if minded else []
        elif isinstance(event, ProbeRefused):
            outputs = life.probe_refused(now, event) if minded else []
        elif isinstance(event, Measured):
            outputs = life.measured(now, event) if minded else []
        else:
            assert_never(event)
        return outputs + self._follow(now, life, old)

    def _follow(self, now: float, life: Life, old: LifeState) -> list[Output]:
        """What the state that a life has come to means for the slot."""
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
        """The successor counts from now on, and the life before it is asked to stop."""
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
        if self.successor is not None:
            # It died while the next one starts: that one counts now, ready or not.
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
        """Decide what follows the end of the life that counts, or its start that was refused."""
        self._rest = State.EXITED
        if isinstance(ended, Ended) and ended.finished:
            return [ended, *self._end_update(replaced=True)]
        if self.goal is Goal.DOWN:
            self._rest = State.STOPPED if life.asked else State.EXITED
            return [ended]
        if life.asked:
            self.replacements += 1
            return [replace(ended, consequence=self._restart_at(now, life, now))]
        recycled = self.spec.recycles and life.state is LifeState.RUNNING and not failed
        if not self._policy.wanted(failed or recycled):
            return [replace(ended, consequence=self._give_up(ended))]
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
        return [ended, StartLimitReached(self.spec.name, *limit, self._give_up(ended))]

    def _restart_at(self, now: float, life: Life, at: float) -> Restart:
        self.next_start, life.overran = at, False
        return Restart(at - now)

    def _give_up(self, ended: _End) -> StopEverything:
        # Not asked to end, so that even status 0 is a failure: what watches the supervisor restarts
        # on failure, and must notice.
        self.failure = (ended.status.shell if isinstance(ended, Ended) else 0) or 1
        return StopEverything()

    def _sweep_after(self, now: float, life: Life) -> float:
        """After a crash the rest of the group delays no restart; after a stop it has its time."""
        if self.next_start is None or life.asked:
            return SWEEP_AFTER
        return min(self.next_start - now, SWEEP_AFTER)

    def _refused(self, now: float, life: Life, failed: SpawnFailed) -> list[Output]:
        """Shortages pass: a start that the system refuses is a failed start like any other."""
        refused = StartRefused(self.spec.name, failed.error)
        if life is self.successor:
            self.successor = None
            return [refused, *self._end_update(replaced=False)]
        if self.goal is Goal.DOWN:
            return [refused]
        outputs = self._end(now, life, refused, failed=True, jitter=failed.jitter)
        if self.failure is not None:
            self._rest = State.FATAL
        self._await_start(now)
        return outputs

    def _lost(self, now: float, life: Life) -> list[Output]:
        """It is not waited for any more, and something else may take its place."""
        lost = Lost(life.ref, LOSE_AFTER)
        if life in self.retired:
            return [lost]
        self.retired.append(life)
        if life is self.successor:
            self.successor = None
            return [lost, *self._end_update(replaced=False)]
        self.life, self.successor = self.successor, None
        if self.life is not None:
            # As where it dies while the next one starts: that one counts now, ready or not.
            return [lost]
        if self.last_end is not None and self.last_end.ref == life.ref:
            # Its leader had exited, and what follows was decided then.
            self._await_start(now)
            return [lost]
        outputs = self._end(now, life, lost, failed=True, jitter=0.0)
        self._await_start(now)
        return outputs

    def _gone(self, now: float, life: Life) -> list[Output]:
        if life in self.retired:
            self.retired.remove(life)
            self._retired_overran |= life.overran and self.goal is Goal.DOWN
            return []
        self._await_start(now)
        return []

    def _await_start(self, now: float) -> None:
        if self.next_start is not None and (self.next_start > now or not self._may_begin):
            self._rest = State.BACKOFF

    def _create(self, now: float) -> Life:
        self._number += 1
        return Life(Ref(self.spec.name, self._generation, self._number), self.spec, now)

    def _end_update(self, *, replaced: bool) -> list[Output]:
        if not self._updating:
            return []
        self._updating = False
        return [Updated(self.spec.name, replaced)]

    def _told(self, now: float, outputs: Sequence[Output] = ()) -> list[Output]:
        """Tell as well what users see from now on, if that changed."""
        old, self._seen = self._seen, self.state
        if old is self._seen:
            return list(outputs)
        self.since = now
        return [*outputs, StateChanged(self.spec.name, old, self._seen)]
