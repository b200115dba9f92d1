"""Autoscaling: how many instances of a process are up follows from what is measured of its load.

The rules are those of Kubernetes' HorizontalPodAutoscaler, with its words:
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/

How many are wanted is what is measured, divided by the target of each. More are started at once, in
steps. Fewer are left only once fewer have been wanted for the time of stabilization, and no fewer
than the most that were wanted in that time. What is not known changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .events import LoadMeasured
from .facts import LoadUnknown, Output, Scaled
from .hints import Optional
from .spec import Autoscale, Spec
from .values import Value

# So little more or less than the target is neither.
TOLERANCE = 0.1
# Not one more because of the last bit of a quotient.
ROUNDING = 1e-9
# A step up doubles the instances, or adds so many.
AT_LEAST_ADDED = 4


class Reading(Value):
    """What was measured last, and when; or since when it is not known, and why."""

    at: float
    value: Optional[float] = None
    why: str = ""


class Autoscaler:
    """Decides for one process; from `now` on it is one of a process that has just been started."""

    def __init__(self, rule: Autoscale, now: float) -> None:
        self.rule = rule
        # When to measure next; None while an answer is awaited.
        self.measure_at: Optional[float] = now + rule.interval
        self.reading: Optional[Reading] = None
        # How many were up after the last decision: from others it is another number.
        self._count: Optional[int] = None
        # How many were wanted lately, each with the moment until which that counts.
        self._wishes: list[tuple[float, int]] = []

    def decides(self, count: int) -> bool:
        """Whether there is anything to decide.

        If somebody else has stopped all instances, that is not for it to undo.
        """
        return self.rule.least < self.rule.most and (count > 0 or self._count == 0)

    def take(
        self, now: float, event: LoadMeasured, up: int, ready: Sequence[str], *, may_scale: bool
    ) -> tuple[list[Output], int]:
        """What is told of a load, and how many instances are to be up: of `up`, these are ready.

        It is measured again after the interval.
        """
        self.measure_at = now + self.rule.interval
        value = _measured(event, ready)
        before, self.reading = self.reading, Reading(now, value, event.why)
        if value is None:
            is_new = event.why and not (before and before.why)
            told = LoadUnknown(event.process, self.rule.metric, event.why)
            return [told] if is_new else [], up
        if not may_scale or not self.decides(up):
            return [], up
        count = self.decide(now, value, up, up - len(ready))
        if count == up:
            return [], up
        rule = self.rule
        return [Scaled(event.process, rule.metric, value, rule.target, up, count)], count

    def decide(self, now: float, value: float, count: int, unready: int) -> int:
        """How many instances are to be up: of `count`, so many are not ready."""
        if count != self._count:
            self._wish(now, count)
        wish = self._wanted(value, count)
        if wish < count:
            # Those that are not ready have taken none of the load yet.
            wish = min(count, wish + unready)
        wish = min(max(wish, self.rule.least), self.rule.most)
        if wish > count:
            decided = min(wish, max(2 * count, count + AT_LEAST_ADDED))
        else:
            self._wishes = [(until, wished) for until, wished in self._wishes if until > now]
            decided = min(count, max([wish, *(wished for _, wished in self._wishes)]))
            decided = min(decided, self.rule.most)
        self._wish(now, wish)
        self._count = decided
        return decided

    def _wanted(self, value: float, count: int) -> int:
        if not count:
            count, fewest = 1, int(value > 0)
        else:
            # An age does not say how many fewer would do: one after the other.
            fewest = 0 if self.rule.divided else count - 1
        target = self.rule.target * (count if self.rule.divided else 1)
        if abs(value / target - 1) <= TOLERANCE + ROUNDING:
            return count
        return max(fewest, _rounded_up(count * value / target - ROUNDING))

    def _wish(self, now: float, count: int) -> None:
        self._wishes.append((now + self.rule.stabilization, count))


def _rounded_up(value: float) -> int:
    return -int(-value // 1)


class Autoscalers(Mapping[str, Autoscaler]):
    """Those of all processes that have a rule, by their names."""

    def __init__(self) -> None:
        self._all: dict[str, Autoscaler] = {}

    def __getitem__(self, process: str) -> Autoscaler:
        return self._all[process]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def use(self, specs: Iterable[Spec], now: float) -> None:
        """Go by the rules of these from now on."""
        rules = {spec.process: spec.autoscale for spec in specs if spec.autoscale is not None}
        before, self._all = self._all, {}
        for process, rule in rules.items():
            known = before.get(process)
            if known is None or known.rule.metric != rule.metric:
                known = Autoscaler(rule, now)
            known.rule = rule
            self._all[process] = known

    def stop(self) -> None:
        """Decide nothing any more."""
        self._all.clear()

    @property
    def deadline(self) -> Optional[float]:
        """When something has to be measured next, or None for never."""
        moments = (one.measure_at for one in self._all.values() if one.measure_at is not None)
        return min(moments, default=None)

    def take_due(self, now: float) -> list[tuple[str, str]]:
        """The processes of which the load is to be measured now, with its METRIC; each once."""
        due = []
        for process, one in self._all.items():
            if one.measure_at is not None and one.measure_at <= now:
                one.measure_at = None
                due.append((process, one.rule.metric))
        return due


def _measured(event: LoadMeasured, ready: Iterable[str]) -> Optional[float]:
    """The load of a process, of which these instances are ready; None where it is not known.

    If it is that of its instances, it is the load of those that are ready: what others do is to
    start.
    """
    if event.value is not None or event.of_instances is None:
        return event.value
    return sum(event.of_instances.get(name, 0.0) for name in ready)


def idlest(names: Sequence[str], ready: Iterable[str], event: LoadMeasured) -> list[str]:
    """The instances of a process in the order in which they are best stopped.

    First those that are not ready, then those that have the least to do, as far as that is known,
    and of those alike the last. The first instance is stopped last: some software lets it alone do
    what is to be done once.
    """
    is_ready, load = {*ready}, event.of_instances or {}

    def key(at: int) -> tuple[bool, bool, float, int]:
        name = names[at]
        return at == 0, name in is_ready, load.get(name, 0.0), -at

    return [names[at] for at in sorted(range(len(names)), key=key)]
