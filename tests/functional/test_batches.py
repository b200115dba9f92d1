"""When handlers receive events, and what is counted, with fake errands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import pytest

from django_prodserver.control.events import MOST, RecentEvents
from django_prodserver.posix.handlers import AGE, BATCH, LAST_WITHIN, WITHIN, Done, Handlers
from django_prodserver.supervisor.events import Event, Signalled
from django_prodserver.supervisor.hints import Callable
from django_prodserver.supervisor.record import INFO, Record
from django_prodserver.supervisor.signals import STOP_SIGNALS


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


class World:
    """A fake loop with its own clock, in which errands end when the test lets them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events = RecentEvents(lambda: 0.0)
        self.said: list[str] = []
        # The requests to errands with their time limits, and the callback of the running one.
        self.asked: list[tuple[dict[str, Any], float]] = []
        self.done: Optional[Done] = None
        self.in_the_loop: list[Callable[[], Sequence[Event]]] = []
        self.handlers = Handlers(
            self.events,
            self,
            self,  # type: ignore[arg-type]
            lambda record: self.said.append(record.message),
        )
        self.handlers.run = "run-1"

    def run(self, task: str, request: Any, within: float, done: Done) -> None:
        assert (task, self.done) == ("handlers", None)
        self.asked.append((request, within))
        self.done = done

    def end(self, answer: Optional[bytes] = b"", why: str = "") -> None:
        done, self.done = self.done, None
        assert done is not None
        done(answer, why)

    def wait(self, timeout: float) -> Sequence[Event]:
        """Do the next thing in the loop, or let the timeout pass if there is none."""
        if self.in_the_loop:
            return self.in_the_loop.pop(0)()
        self.clock.time += timeout
        return []

    def happen(self, count: int = 1) -> None:
        for _ in range(count):
            self.events.add(Record("instance.starting", INFO, "starting", {"instance": "web.1"}))

    @property
    def told(self) -> list[list[int]]:
        """The ids of each batch."""
        return [[event["id"] for event in request["events"]] for request, _ in self.asked]


@pytest.fixture
def world() -> World:
    world = World()
    world.handlers.use(["a.b", "c.d"])
    return world


def ids(first: int, last: int) -> list[int]:
    return [*range(first, last + 1)]


def test_a_batch_is_delivered_when_its_first_event_is_old_enough(world: World) -> None:
    assert world.handlers.deadline is None
    world.happen()
    world.clock.time += AGE / 2
    world.happen()
    assert world.handlers.deadline == 100.0 + AGE
    world.handlers.tick()
    assert world.told == []

    world.clock.time += AGE / 2
    world.handlers.tick()

    assert world.told == [[1, 2]]
    assert world.asked[0][0]["paths"] == ["a.b", "c.d"]
    assert world.asked[0][0]["events"][0]["run"] == "run-1"
    assert world.asked[0][1] == WITHIN
    assert world.handlers.deadline is None


def test_a_full_batch_is_delivered_at_once(world: World) -> None:
    world.happen(BATCH + 1)
    world.handlers.tick()

    assert world.told == [ids(1, BATCH)]


def test_one_batch_is_delivered_at_a_time(world: World) -> None:
    world.happen(BATCH)
    world.handlers.tick()
    world.happen(BATCH)
    world.handlers.tick()
    assert (len(world.told), world.handlers.deadline) == (1, None)

    world.end()
    world.handlers.tick()

    assert world.told == [ids(1, BATCH), ids(BATCH + 1, 2 * BATCH)]


def test_excess_events_in_a_flood_are_dropped_and_counted(world: World) -> None:
    world.happen(BATCH)
    world.handlers.tick()
    world.happen(MOST + 7)
    world.end()
    world.handlers.tick()

    assert world.handlers.dropped == 7
    assert world.told[-1] == ids(BATCH + 8, 2 * BATCH + 7)
    assert world.said == ["7 events were dropped: the handlers of ON_EVENT are too slow"]


def test_delivered_plus_dropped_events_equal_all_events(world: World) -> None:
    world.happen(3 * MOST)
    while world.handlers.deadline is not None:
        world.clock.time += AGE
        world.handlers.tick()
        world.end()

    assert world.handlers.dropped + sum(map(len, world.told)) == 3 * MOST
    assert world.told[-1][-1] == 3 * MOST


def test_handler_failures_are_counted_and_logged(world: World) -> None:
    world.happen(5)
    world.clock.time += AGE
    world.handlers.tick()
    world.end(
        b"a.b 3 ValueError: no 1\n\xff\nnonsense\n x y\ne.f 3 not asked for\nc.d 5 KeyError: 'x'"
    )

    assert world.handlers.failures == 8
    assert world.said == [
        "the handler a.b failed for 3 of 5 events: ValueError: no 1",
        "the handler c.d failed for 5 of 5 events: KeyError: 'x'",
    ]


def test_a_batch_without_an_answer_is_not_delivered_again(world: World) -> None:
    world.happen()
    world.clock.time += AGE
    world.handlers.tick()
    world.end(None, "it took longer than 30 s")
    world.handlers.tick()

    assert world.handlers.failures == 1
    assert world.said == [
        (
            "the handlers of ON_EVENT failed: it took longer than 30 s; 1 event "
            "will not be delivered again"
        )
    ]
    assert world.told == [[1]]
    assert world.handlers.deadline is None


# ---- shutdown ----


def test_at_shutdown_all_remaining_events_are_delivered_at_once(world: World) -> None:
    world.happen(BATCH + 5)

    def end() -> Sequence[Event]:
        world.clock.time += 1.0
        world.end()
        return []

    world.in_the_loop = [end, end]
    world.handlers.deliver_rest()

    assert world.told == [ids(1, BATCH), ids(BATCH + 1, BATCH + 5)]
    assert [within for _, within in world.asked] == [LAST_WITHIN, LAST_WITHIN - 1.0]


def test_shutdown_waits_for_the_batch_that_is_being_delivered(world: World) -> None:
    world.happen(BATCH)
    world.handlers.tick()
    world.in_the_loop = [list, lambda: world.end() or []]  # type: ignore[func-returns-value]

    world.handlers.deliver_rest()

    assert world.done is None
    assert world.clock.time == 100.0


def test_shutdown_stops_waiting_for_handlers_after_its_time_limit(world: World) -> None:
    world.happen()

    world.handlers.deliver_rest()

    assert world.clock.time == 100.0 + LAST_WITHIN


def test_a_stop_signal_ends_the_wait_for_handlers_at_shutdown(world: World) -> None:
    world.happen()
    (signal, *_) = STOP_SIGNALS
    world.in_the_loop = [lambda: [Signalled(signal)]]

    world.handlers.deliver_rest()

    assert world.clock.time == 100.0


# ---- without handlers, and with others ----


def test_without_handlers_no_event_is_delivered() -> None:
    world = World()
    world.handlers.use([])
    world.happen(BATCH)
    world.handlers.tick()
    world.handlers.deliver_rest()

    assert (world.told, world.handlers.deadline) == ([], None)


def test_replaced_handlers_get_pending_events_and_new_ones_only_later_events(world: World) -> None:
    world.happen(3)
    world.handlers.use(["c.d"])
    world.clock.time += AGE
    world.handlers.tick()
    assert (world.told, world.asked[0][0]["paths"]) == ([[1, 2, 3]], ["c.d"])
    world.end()

    world.handlers.use([])
    world.happen(3)
    assert world.handlers.deadline is None
    world.handlers.use(["e.f"])
    world.happen()
    world.clock.time += AGE
    world.handlers.tick()

    assert world.told == [[1, 2, 3], [7]]
