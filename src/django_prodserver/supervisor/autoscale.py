"""Autoscaling: the measured load of a process decides how many of its instances are up.

The rules and the terms are those of Kubernetes' HorizontalPodAutoscaler:
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/

The number wanted is the measured load, divided by the target for one instance. More instances are
started at once, in steps. Instances are stopped only once fewer have been wanted for the whole
stabilization time, and never below the highest number wanted in that time. An unknown load changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from .events import LoadMeasured
from .facts import LoadUnknown, Output, Scaled
from .hints import Optional
from .spec import Autoscale, Spec
from .values import Value

# A deviation from the target up to this fraction is ignored.
TOLERANCE = 0.1
# Prevents one instance too many because of a rounding error in a quotient.
ROUNDING = 1e-9
# A step up at most doubles the instances, or adds this many if that is more.
AT_LEAST_ADDED = 4


class Reading(Value):
    """The last measurement: its time, and the load, or why the load is unknown."""

    at: float
    value: Optional[float] = None
    why: str = ""


class Autoscaler:
    """Decides for one process; its first measurement is one interval after `now`."""

    def __init__(self, rule: Autoscale, now: float) -> None:
        self.rule = rule
        # When to measure next; None while an answer is awaited.
        self.measure_at: Optional[float] = now + rule.interval
        self.reading: Optional[Reading] = None
        # How many were up after the last decision; a different number means that something else
        # scaled.
        self._count: Optional[int] = None
        # The numbers wanted recently, each with the moment at which it expires.
        self._wishes: list[tuple[float, int]] = []

    def decides(self, count: int) -> bool:
        """Whether there is anything to decide.

        If an operator has stopped all instances, the autoscaler does not undo that.
        """
        return self.rule.least < self.rule.most and (count > 0 or self._count == 0)

    def take(
        self, now: float, event: LoadMeasured, up: int, ready: Sequence[str], *, may_scale: bool
    ) -> tuple[list[Output], int]:
        """Handle a measurement; return facts, and how many instances should be up.

        `up` instances are up now, and `ready` names those that are ready. The next measurement is
        due after the interval.
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
        """How many instances should be up; of `count` instances now, `unready` are not ready."""
        if count != self._count:
            self._wish(now, count)
        wish = self._wanted(value, count)
        if wish < count:
            # Instances that are not ready have not taken any load yet.
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
            # An age does not say how many instances would be enough: stop one at a time.
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
    """The autoscalers of all processes that have a rule, by process name."""

    def __init__(self) -> None:
        self._all: dict[str, Autoscaler] = {}

    def __getitem__(self, process: str) -> Autoscaler:
        return self._all[process]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def use(self, specs: Iterable[Spec], now: float) -> None:
        """Use the rules of these specs from now on."""
        rules = {spec.process: spec.autoscale for spec in specs if spec.autoscale is not None}
        before, self._all = self._all, {}
        for process, rule in rules.items():
            known = before.get(process)
            if known is None or known.rule.metric != rule.metric:
                known = Autoscaler(rule, now)
            known.rule = rule
            self._all[process] = known

    def stop(self) -> None:
        """Make no more decisions."""
        self._all.clear()

    @property
    def deadline(self) -> Optional[float]:
        """When something has to be measured next, or None for never."""
        moments = (one.measure_at for one in self._all.values() if one.measure_at is not None)
        return min(moments, default=None)

    def take_due(self, now: float) -> list[tuple[str, str]]:
        """Return the processes whose load is to be measured now, each once, with its METRIC."""
        due = []
        for process, one in self._all.items():
            if one.measure_at is not None and one.measure_at <= now:
                one.measure_at = None
                due.append((process, one.rule.metric))
        return due


def _measured(event: LoadMeasured, ready: Iterable[str]) -> Optional[float]:
    """The load of a process; None if it is unknown.

    A load measured per instance is summed over the `ready` ones: the load of the others comes from
    starting.
    """
    if event.value is not None or event.of_instances is None:
        return event.value
    return sum(event.of_instances.get(name, 0.0) for name in ready)


def idlest(names: Sequence[str], ready: Iterable[str], event: LoadMeasured) -> list[str]:
    """The instances of a process, in the order in which to stop them.

    Instances that are not ready come first, then those with the lowest known load; of equals, the
    last comes first. The very first instance is stopped last, because some software does one-time
    work only there.
    """
    is_ready, load = {*ready}, event.of_instances or {}

    def key(at: int) -> tuple[bool, bool, float, int]:
        name = names[at]
        return at == 0, name in is_ready, load.get(name, 0.0), -at

    return [names[at] for at in sorted(range(len(names)), key=key)]
