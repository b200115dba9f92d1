"""Autoscaling: as many instances as the load needs, without flapping."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from django_prodserver.supervisor.autoscale import Autoscaler
from django_prodserver.supervisor.commands import Kill, MeasureLoad, Spawn
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Loaded,
    LoadMeasured,
    Notified,
    ReloadRequest,
    ScaleRequest,
    Signalled,
    Spawned,
)
from django_prodserver.supervisor.facts import LoadUnknown, Output, Phase, Reloaded, Scaled
from django_prodserver.supervisor.spec import Autoscale, Goal, Spec
from django_prodserver.supervisor.values import replace

from .here import Here, of

RULE = Autoscale("queue", target=10.0, least=1, most=8)


def scaler(rule: Autoscale = RULE) -> Autoscaler:
    return Autoscaler(rule, now=0.0)


# ---- one decision ----


@pytest.mark.parametrize(
    ("load", "count", "decided"),
    [
        (0.0, 1, 1),  # the minimum
        (10.0, 1, 1),
        (11.0, 1, 1),  # within 10 % of the target
        (12.0, 1, 2),
        (18.0, 2, 2),
        (21.0, 2, 2),
        (37.0, 2, 4),
        (1000.0, 1, 5),  # at most four more at once
        (1000.0, 5, 8),  # the maximum
        (30.0, 1, 3),  # not four: the quotient is not exact in its last bit
    ],
)
def test_the_wanted_count_is_the_load_divided_by_the_target(
    load: float, count: int, decided: int
) -> None:
    assert scaler().decide(0.0, load, count, 0) == decided


@pytest.mark.parametrize("target", [0.1, 0.3, 0.7, 3.0, 1e-9, 1e300])
def test_a_load_of_exactly_the_target_starts_no_extra_instance(target: float) -> None:
    rule = replace(RULE, target=target, most=1000)
    for count in range(1, 60):
        assert scaler(rule).decide(0.0, count * target, max(1, count - 4), 0) <= count


def test_a_step_up_at_most_doubles_the_instances_or_adds_four() -> None:
    rule = replace(RULE, most=1000)
    one = scaler(rule)
    counts = [3]
    for at in range(4):
        counts.append(one.decide(15.0 * at, 1e6, counts[-1], 0))
    assert counts == [3, 7, 14, 28, 56]


def test_a_step_down_waits_for_the_whole_stabilization_time() -> None:
    one = scaler()
    assert one.decide(0.0, 40.0, 4, 0) == 4
    assert [one.decide(15.0 * at, 12.0, 4, 0) for at in range(1, 20)] == [4] * 19
    assert one.decide(300.0, 12.0, 4, 0) == 2


def test_a_step_down_keeps_the_highest_count_wanted_during_stabilization() -> None:
    one = scaler()
    one.decide(0.0, 60.0, 6, 0)
    one.decide(290.0, 41.0, 6, 0)
    assert one.decide(310.0, 0.0, 6, 0) == 5
    assert one.decide(589.0, 0.0, 5, 0) == 5
    assert one.decide(590.0, 0.0, 5, 0) == 1


def test_without_stabilization_a_step_down_is_immediate() -> None:
    one = scaler(replace(RULE, stabilization=0.0))
    assert one.decide(0.0, 12.0, 4, 0) == 2


def test_a_step_down_does_not_count_unready_instances_as_idle() -> None:
    one = scaler(replace(RULE, stabilization=0.0))
    assert one.decide(0.0, 11.0, 4, 2) == 4
    assert one.decide(0.0, 11.0, 4, 1) == 3
    assert one.decide(0.0, 70.0, 4, 4) == 7


def test_a_count_set_by_an_operator_is_kept_for_the_stabilization_time() -> None:
    one = scaler()
    one.decide(0.0, 10.0, 1, 0)
    # An operator has scaled it to 6.
    assert one.decide(400.0, 10.0, 6, 0) == 6
    assert one.decide(699.0, 10.0, 6, 0) == 6
    assert one.decide(700.0, 10.0, 6, 0) == 1


def test_a_count_above_the_maximum_is_reduced_at_once() -> None:
    assert scaler().decide(0.0, 500.0, 20, 0) == 8
    assert scaler().decide(0.0, 0.0, 20, 0) == 8


def test_a_count_below_the_minimum_is_raised() -> None:
    assert scaler(replace(RULE, least=3)).decide(0.0, 0.0, 1, 0) == 3


AGE = Autoscale("queue-age", target=30.0, least=1, most=8, divided=False)


@pytest.mark.parametrize(
    ("age", "count", "decided"), [(30.0, 2, 2), (32.0, 2, 2), (45.0, 2, 3), (60.0, 2, 4)]
)
def test_an_age_scales_the_count_in_proportion_to_the_target(
    age: float, count: int, decided: int
) -> None:
    assert scaler(AGE).decide(0.0, age, count, 0) == decided


def test_an_age_below_the_target_stops_one_instance_at_a_time() -> None:
    one = scaler(AGE)
    one.decide(0.0, 30.0, 6, 0)
    assert one.decide(300.0, 0.0, 6, 0) == 5
    assert [one.decide(300.0 + 15 * at, 0.0, 5, 0) for at in range(1, 20)] == [5] * 19
    assert one.decide(600.0, 0.0, 5, 0) == 4


@pytest.mark.parametrize("rule", [RULE, AGE])
def test_no_load_scales_to_zero_and_any_load_starts_an_instance(rule: Autoscale) -> None:
    one = scaler(replace(rule, least=0, stabilization=60.0))
    assert one.decide(0.0, 0.0, 1, 0) == 1
    assert one.decide(60.0, 0.0, 1, 0) == 0
    assert one.decides(0)
    assert one.decide(75.0, 0.0, 0, 0) == 0
    assert one.decide(90.0, 1.0, 0, 0) == 1


# ---- in a supervisor ----

WORKERS = [
    Spec(f"worker.{number}", notifies=True, autoscale=replace(RULE, least=1)) for number in (1, 2)
]
OK = ExitStatus(code=0)


class Workers(Here):
    """Workers that become ready as soon as they start, and stop as soon as they are asked."""

    def __init__(self, *specs: Spec, reloads: bool = False) -> None:
        super().__init__(*(specs or WORKERS), reloads=reloads)
        self.begin()

    def begin(self, outputs: Optional[list[Output]] = None) -> None:
        """Start and stop processes, until the group has no more commands."""
        done = self.after() if outputs is None else outputs
        while done:
            events: list[Any] = []
            for one in done:
                if isinstance(one, Spawn):
                    events += [Spawned(one.ref), Notified(one.ref, ready=True)]
                elif isinstance(one, Kill) and not one.group:
                    events += [Exited(one.ref, OK), GroupGone(one.ref)]
            done = self.take(*events)

    def measured(self, value: Optional[float] = None, **more: Any) -> list[Output]:
        """Let an interval pass and report this load; returns the outputs."""
        (scaled,) = self.group.snapshot(self.now).autoscale
        asked = MeasureLoad("worker", scaled.rule.metric)
        assert of(MeasureLoad, self.after(15.0)) == [asked]
        outputs = self.take(LoadMeasured("worker", value, **more))
        self.begin(list(outputs))
        return outputs

    @property
    def up(self) -> list[str]:
        return [one.spec.name for one in self.group.instances.values() if one.goal is Goal.UP]


def test_the_load_is_measured_at_each_interval() -> None:
    here = Workers()
    assert here.group.deadline == 15.0
    assert here.after(14.9) == []
    assert of(MeasureLoad, here.after(0.1)) == [MeasureLoad("worker", "queue")]
    # There is no second measurement before the first one is answered.
    assert of(MeasureLoad, here.after(1000.0)) == []
    here.take(LoadMeasured("worker", 20.0))
    assert here.group.deadline == here.now + 15.0


def test_a_measured_load_of_a_process_without_autoscaling_is_ignored() -> None:
    here = Here(Spec("web.1"))
    here.after()
    assert here.take(LoadMeasured("web", 1e6), LoadMeasured("gone", 1e6)) == []
    assert here.group.snapshot(0.0).autoscale == ()


def test_more_load_starts_more_instances() -> None:
    here = Workers()
    outputs = here.measured(37.0)
    assert of(Scaled, outputs) == [Scaled("worker", "queue", 37.0, 10.0, 2, 4)]
    assert here.up == ["worker.1", "worker.2", "worker.3", "worker.4"]


def test_less_load_stops_instances_after_the_stabilization_time() -> None:
    here = Workers()
    here.measured(40.0)
    for _ in range(19):
        here.measured(2.0)
    assert len(here.up) == 4
    outputs = here.measured(2.0)
    assert of(Scaled, outputs) == [Scaled("worker", "queue", 2.0, 10.0, 4, 1)]
    assert here.up == ["worker.1"]


def test_idle_instances_stop_first_and_the_first_instance_stops_last() -> None:
    here = Workers(*(replace(one, autoscale=replace(RULE, stabilization=0.0)) for one in WORKERS))
    here.measured(40.0)
    here.measured(20.0, of_instances={"worker.1": 0.0, "worker.2": 7.0, "worker.4": 3.0})
    assert here.up == ["worker.1", "worker.2"]
    # Instances without a known load stop first, the last one first; then their numbers are reused.
    here.measured(40.0)
    here.measured(29.0, of_instances={"worker.3": 1.0, "worker.4": 2.0})
    assert here.up == ["worker.1", "worker.3", "worker.4"]
    here.measured(40.0)
    assert here.up == ["worker.1", "worker.2", "worker.3", "worker.4"]


def test_the_load_is_summed_over_the_ready_instances_only() -> None:
    rule = Autoscale("cpu", target=0.5, least=1, most=8)
    here = Workers(*(replace(one, autoscale=rule) for one in WORKERS))
    outputs = here.measured(of_instances={"worker.1": 0.9, "worker.2": 0.7, "gone.1": 9.0})
    assert of(Scaled, outputs) == [Scaled("worker", "cpu", 1.6, 0.5, 2, 4)]
    here.after(15.0)
    here.take(ScaleRequest("worker", 5))  # worker.5 is never ready.
    loads = {"worker.1": 0.5, "worker.2": 0.5, "worker.3": 0.5, "worker.4": 0.5, "worker.5": 9.0}
    assert of(Scaled, here.take(LoadMeasured("worker", of_instances=loads))) == []


def test_an_unknown_load_changes_nothing_and_is_reported_once() -> None:
    here = Workers()
    outputs = here.measured(why="it took longer than 10 s")
    unknown = LoadUnknown("worker", "queue", "it took longer than 10 s")
    assert of(LoadUnknown, outputs) == [unknown]
    assert here.measured(why="no route to host") == []
    assert here.group.snapshot(here.now + 2.0).autoscale[0].why == "no route to host"
    assert of(Scaled, here.measured(37.0))
    assert of(LoadUnknown, here.measured(why="no route to host"))
    # There is no earlier value to compare with, which is not an error.
    assert here.measured() == []


def test_a_step_down_after_a_long_unknown_load_is_immediate() -> None:
    here = Workers()
    here.measured(40.0)
    for _ in range(40):
        here.measured(why="connection refused")
    assert len(here.up) == 4
    outputs = here.measured(0.0)
    assert here.up == ["worker.1"]
    assert of(Scaled, outputs)


def test_autoscaling_does_not_start_a_process_that_an_operator_stopped() -> None:
    here = Workers()
    here.measured(20.0)
    here.begin(here.take(GoalRequest("worker", Goal.DOWN)))
    assert of(Scaled, here.measured(80.0)) == []
    assert here.up == []
    here.begin(here.take(GoalRequest("worker", Goal.UP)))
    assert of(Scaled, here.measured(80.0))
    assert len(here.up) == 6


def test_the_load_is_measured_but_nothing_scales_if_the_bounds_are_equal() -> None:
    rule = replace(RULE, least=2, most=2)
    here = Workers(*(replace(one, autoscale=rule) for one in WORKERS))
    here.begin(here.take(ScaleRequest("worker", 3)))
    assert of(Scaled, here.measured(500.0)) == []
    assert len(here.up) == 3
    assert here.group.snapshot(here.now).autoscale[0].value == 500.0


def test_nothing_is_scaled_or_measured_while_everything_stops() -> None:
    from signal import SIGTERM

    here = Workers()
    here.after(15.0)
    here.take(Signalled(SIGTERM))
    assert of(Scaled, here.take(LoadMeasured("worker", 80.0))) == []
    assert here.group.phase is Phase.STOPPING
    assert of(MeasureLoad, here.after(20.0)) == []


def test_a_reload_keeps_the_current_count_and_applies_a_new_rule() -> None:
    here = Workers(reloads=True)
    here.measured(37.0)
    here.begin(here.take(ReloadRequest()))
    here.after(15.0)
    # Nothing is decided during the reload.
    assert of(Scaled, here.take(LoadMeasured("worker", 80.0))) == []
    rule = replace(RULE, most=3, interval=5.0)
    specs = tuple(replace(one, autoscale=rule) for one in WORKERS)
    here.begin(here.take(Loaded(1, specs)))
    here.begin()
    assert of(Reloaded, here.told)
    assert len(here.up) == 4
    assert here.group.snapshot(here.now).autoscale[0].rule is rule
    here.after(15.0)
    here.begin(list(here.take(LoadMeasured("worker", 80.0))))
    assert len(here.up) == 3


def test_a_load_measured_for_an_earlier_metric_is_ignored_after_a_reload() -> None:
    """Bytes would be mistaken for tasks."""
    memory = Autoscale("memory", target=1e8, least=1, most=8)
    here = Workers(*(replace(one, autoscale=memory) for one in WORKERS), reloads=True)
    assert of(MeasureLoad, here.after(15.0))
    here.begin(here.take(ReloadRequest()))
    here.begin(here.take(Loaded(1, tuple(WORKERS))))
    here.begin()
    assert of(Reloaded, here.told)
    assert of(Scaled, here.take(LoadMeasured("worker", 4e8))) == []
    assert len(here.up) == 2


def test_a_reload_that_removes_the_rule_ends_autoscaling() -> None:
    here = Workers(reloads=True)
    here.begin(here.take(ReloadRequest()))
    here.begin(here.take(Loaded(1, tuple(replace(one, autoscale=None) for one in WORKERS))))
    here.begin()
    assert of(Reloaded, here.told)
    assert here.group.deadline is None
    assert here.group.snapshot(here.now).autoscale == ()


# ---- queues over time ----


class Queue:
    """Tasks that arrive, wait, and run on instances; each instance runs one task at a time.

    `comes` gives the arrival times, and each task takes `takes` seconds.
    """

    def __init__(self, rule: Autoscale, comes: Iterator[float], takes: float) -> None:
        self.rule = rule
        self.scaler = Autoscaler(rule, 0.0)
        self.comes = comes
        self.takes = takes
        self.waiting: deque[float] = deque()
        # When each running task ends.
        self.running: list[float] = []
        self.count = rule.least
        # When each starting instance will be ready.
        self.starting: list[float] = []
        # The time and the count of each decision.
        self.decided: list[tuple[float, int]] = []
        self.waited: list[float] = []
        self.needed: list[int] = []

    def run(self, until: float) -> None:
        coming = next(self.comes)
        for second in range(int(until)):
            now = float(second)
            while coming <= now:
                self.waiting.append(coming)
                coming = next(self.comes)
            while self.running and self.running[0] <= now:
                heapq.heappop(self.running)
            self.starting = [at for at in self.starting if at > now]
            while self.waiting and len(self.running) < self.count - len(self.starting):
                self.waited.append(now - self.waiting.popleft())
                heapq.heappush(self.running, now + self.takes)
            if now and not now % self.rule.interval:
                self.decide(now)

    def decide(self, now: float) -> None:
        load = float(len(self.waiting) + len(self.running))
        if not self.rule.divided:
            load = now - self.waiting[0] if self.waiting else 0.0
        count = self.scaler.decide(now, load, self.count, len(self.starting))
        if count > self.count:
            self.starting += [now + 5.0] * (count - self.count)
        elif count < self.count:
            # Idle instances stop first, and a graceful stop lets running tasks end.
            self.starting = self.starting[: max(0, len(self.starting) + count - self.count)]
        self.count = count
        self.decided.append((now, count))
        self.needed.append(len(self.waiting) + len(self.running))

    @property
    def turns(self) -> int:
        """How often the count changed direction."""
        counts = [count for _, count in self.decided]
        steps = [after - before for before, after in zip(counts, counts[1:]) if after != before]
        return sum((one > 0) is not (other > 0) for one, other in zip(steps, steps[1:]))


def evenly(every: float) -> Iterator[float]:
    at = 0.0
    while True:
        yield at
        at += every


def at_random(rate: float, seed: int) -> Iterator[float]:
    chance, at = random.Random(seed), 0.0
    while True:
        at += chance.expovariate(rate)
        yield at


def in_bursts(low: float, high: float, period: float, seed: int) -> Iterator[float]:
    """Arrival times with the high rate in the last tenth of each period."""
    chance, at = random.Random(seed), 0.0
    while True:
        at += chance.expovariate(high if at % period > 0.9 * period else low)
        yield at


ONE_EACH = Autoscale("queue", target=1.0, least=1, most=40)
OLDEST = Autoscale("queue-age", target=10.0, least=1, most=40, divided=False)
RULES = pytest.mark.parametrize("rule", [ONE_EACH, OLDEST], ids=lambda rule: rule.metric)


@RULES
def test_an_even_load_settles_at_a_nearly_constant_count(rule: Autoscale) -> None:
    queue = Queue(rule, evenly(2.0), takes=20.0)  # Ten tasks run at once.
    queue.run(3 * 3600)
    last = {count for at, count in queue.decided if at > 2 * 3600}
    if rule.divided:
        assert last == {11} or last == {10}
    else:
        # Now and then it tries one instance fewer, which is too few.
        assert last <= {9, 10, 11, 12}
    assert queue.turns <= 3 * 3600 / 300


@pytest.mark.parametrize("seed", range(20))
@RULES
def test_a_random_load_does_not_flap(rule: Autoscale, seed: int) -> None:
    """A step down comes no sooner than the stabilization time after a step up."""
    queue = Queue(rule, at_random(0.5, seed), takes=20.0)
    queue.run(3600)
    counts = queue.decided
    ups = [at for (_, n), (at, m) in zip(counts, counts[1:]) if m > n]
    downs = [at for (_, n), (at, m) in zip(counts, counts[1:]) if m < n]
    for down in downs:
        assert not [up for up in ups if down - rule.stabilization < up < down and rule.divided]
    assert queue.turns <= 2 * 3600 / rule.stabilization
    # Three quarters of the tasks begin at once or after a short wait.
    assert sorted(queue.waited)[len(queue.waited) * 3 // 4] < 15


@pytest.mark.parametrize("seed", range(10))
def test_a_burst_never_starts_more_instances_than_there_are_tasks(seed: int) -> None:
    queue = Queue(ONE_EACH, in_bursts(0.1, 1.0, 600.0, seed), takes=20.0)
    queue.run(6000)
    most = max(queue.needed)
    assert max(count for _, count in queue.decided) <= most
    # Tasks that come in a burst wait for a few intervals at most.
    assert sorted(queue.waited)[int(len(queue.waited) * 0.95)] <= 2 * ONE_EACH.interval


@RULES
def test_only_the_minimum_of_instances_is_left_after_the_load_ends(rule: Autoscale) -> None:
    def for_ten_minutes() -> Iterator[float]:
        yield from (at for at in [2.0 * n for n in range(300)])
        yield float("inf")

    queue = Queue(rule, for_ten_minutes(), takes=20.0)
    queue.run(3600 + 40 * 300)
    assert queue.decided[-1][1] == 1
    if rule.divided:
        at_rest = next(at for at, count in queue.decided if count == 1 and at > 600)
        assert at_rest <= 600 + 20 + 300 + 2 * 15


@pytest.mark.parametrize("count", [1, 2, 9, 40])
@RULES
def test_the_count_stays_within_its_bounds_for_any_load(rule: Autoscale, count: int) -> None:
    chance = random.Random(count)
    one = scaler(replace(rule, least=2, most=9))
    for step in range(500):
        value = chance.choice([0.0, 1e-12, 1.0, 17.0, 1e12])
        unready = chance.randrange(count + 1)
        wished = one.decide(15.0 * step, value, count, unready)
        assert 2 <= wished <= 9
        assert wished <= max(2 * count, count + 4)
        count = chance.choice([wished, wished, wished, chance.randrange(12)])
