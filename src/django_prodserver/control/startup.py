"""Startups: how each load of the project came up, as the facts tell it.

Times are in seconds, in the clock of the supervisor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django_prodserver.supervisor.facts import (
    AllFinished,
    AllReady,
    Ended,
    Fact,
    Ready,
    ReloadBegun,
    Reloaded,
    ReloadFailed,
    Started,
    State,
    StateChanged,
)
from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.spec import Ref, Spec, process_of
from django_prodserver.supervisor.values import Value

# How many modules are remembered of each load: this many that are the slowest by themselves, and
# this many that are the slowest with all that they import.
MOST_MODULES = 50

# The oneshots that finish before it is loaded; None: what the oneshots themselves are forked from.
Stage = Optional[tuple[str, ...]]


class Imported(Value):
    """A module, and the seconds that its import took: by itself, and with all that it imports."""

    name: str
    own: float
    seconds: float


class Preload(Value):
    """What it took to load a stage of the project, in seconds."""

    # In the clock of `time.monotonic`.
    began: float
    seconds: float
    # How many modules were imported, how long that took, and the slowest ones in either way, sorted
    # by the time that they took by themselves.
    modules: int
    importing: float
    slowest: Sequence[Imported]


class Load(Value):
    """A stage of the project was loaded."""

    stage: Stage
    began: float
    preload: Preload

    @property
    def ended(self) -> float:
        return self.began + self.preload.seconds


class Pending(Value):
    """An instance that should be up, and is not ready yet."""

    # When it began to wait for the processes that it comes after; None if it did not.
    waiting: Optional[float] = None
    # When its first life was requested, and how many lives there were.
    asked: Optional[float] = None
    lives: int = 0


class Start(Value):
    """How an instance became ready, or finished."""

    waiting: Optional[float]
    asked: float
    # When the first life that became ready was started, and when it was ready.
    started: float
    ready: float
    # How many lives it took.
    lives: int


class Startup:
    """One load of the project, from the start of the program until everything runs it."""

    def __init__(self, generation: int, began: float) -> None:
        self.generation = generation
        self.began = began
        self.ready: Optional[float] = None
        self.loads: dict[Stage, Load] = {}
        # By instance, in the order in which they became ready: the first start and the last one.
        self.first: dict[str, Start] = {}
        self.last: dict[str, Start] = {}
        # By process: the processes that it comes after, and the stage it is forked from, if any.
        self._after: dict[str, set[str]] = {}
        self._stages: Mapping[str, Stage] = {}

    def plan(self, specs: Iterable[Spec], stages: Mapping[str, Stage]) -> None:
        """Take note of what is to be run; `stages` has the processes that are forked."""
        self._stages = stages
        for spec in specs:
            self._after.setdefault(spec.process, set()).update(map(process_of, spec.after))

    @property
    def first_load(self) -> Optional[Load]:
        return next(iter(self.loads.values()), None)

    def waited_for(self, instance: str) -> Optional[str]:
        """The instance that kept this one from starting earlier.

        A reload renews one instance after the other, so there it is the previous one.
        """
        asked = self.first[instance].asked
        after = self._after.get(process_of(instance), set())
        found = None
        for name, start in self.first.items():
            if name == instance:
                break
            if start.ready <= asked and (self.generation or process_of(name) in after):
                found = name
        return found

    def load_of(self, instance: str) -> Optional[Load]:
        """The load that had not finished when the start of the instance was requested."""
        process, asked = process_of(instance), self.first[instance].asked
        if process not in self._stages:
            return None
        load = self.loads.get(self._stages[process])
        return load if load is not None and load.ended > asked else None

    def first_to_need(self, load: Load) -> Optional[str]:
        """The first instance requested of those that are forked from this load."""
        asked = {
            name: start.asked
            for name, start in self.first.items()
            if self._stages.get(process_of(name), ...) == load.stage
        }
        return min(asked, key=lambda name: asked[name], default=None)


class Startups:
    """Observes facts and loads. It remembers the current load of the project, and the next one."""

    def __init__(self) -> None:
        self._all: dict[int, Startup] = {}
        self.pending: dict[str, Pending] = {}

    @property
    def current(self) -> Startup:
        """The startup of the current load."""
        return next(iter(self._all.values()))

    def begin(self, generation: int, began: float) -> None:
        self._all[generation] = Startup(generation, began)

    def planned(self, generation: int, specs: Iterable[Spec], stages: Mapping[str, Stage]) -> None:
        if generation in self._all:
            self._all[generation].plan(specs, stages)

    def loaded(self, generation: int, load: Load) -> None:
        """A stage was loaded. Only the first time counts: a replaced template delays no startup."""
        if generation in self._all:
            self._all[generation].loads.setdefault(load.stage, load)

    def observe(self, now: float, fact: Fact) -> None:
        if isinstance(fact, StateChanged):
            self._changed(now, fact)
        elif isinstance(fact, Ready):
            self._ready(now, fact.ref, now - fact.after)
        elif isinstance(fact, Started):
            self._ready(now, fact.ref, now)
        elif isinstance(fact, Ended) and fact.finished:
            self._ready(now, fact.ref, now - fact.after)
        elif isinstance(fact, (AllReady, AllFinished)) and self.current.ready is None:
            self.current.ready = now
        elif isinstance(fact, ReloadBegun):
            self.begin(fact.generation, now)
        elif isinstance(fact, Reloaded):
            renewed = self._all[fact.generation]
            renewed.ready = now
            self._all = {fact.generation: renewed}
        elif isinstance(fact, ReloadFailed) and fact.generation != self.current.generation:
            self._all.pop(fact.generation, None)

    def _changed(self, now: float, changed: StateChanged) -> None:
        name, new = changed.name, changed.new
        before = self.pending.get(name, Pending())
        if new is State.WAITING:
            self.pending[name] = Pending(now)
        elif new is State.STARTING:
            asked = now if before.asked is None else before.asked
            self.pending[name] = Pending(before.waiting, asked, before.lives + 1)
        elif new in (State.STOPPED, State.FATAL):
            self.pending.pop(name, None)

    def _ready(self, now: float, ref: Ref, started: float) -> None:
        # A life that is to replace one that still runs appears in no fact before it is ready.
        pending = self.pending.pop(ref.name, Pending(lives=1))
        asked = started if pending.asked is None else pending.asked
        startup = self._all.get(ref.generation)
        if startup is not None:
            start = Start(pending.waiting, asked, started, now, pending.lives)
            startup.first.setdefault(ref.name, start)
            startup.last[ref.name] = start
