"""The last events: what is kept of them, what is told of each, and what is lost."""

from __future__ import annotations

import json
from typing import Any, Optional

from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.control.events import OVERHEAD, RecentEvents
from django_prodserver.logs.recent import Reader
from django_prodserver.supervisor.record import INFO, WARNING, Record

AT = 1_700_000_000.5


def kept(most: int = 3, size: int = 1 << 20) -> RecentEvents:
    return RecentEvents(lambda: AT, most, size)


def add(events: RecentEvents, *names: Optional[str]) -> None:
    for name in names:
        fields = {} if name is None else {"instance": name}
        events.add(Record("instance.starting", INFO, "starting", fields))


def numbers(reader: Reader[Any]) -> list[int]:
    found: list[int] = []
    while True:
        _, batch = reader.take()
        if not batch:
            return found
        found += [event.number for event in batch]


def only(events: RecentEvents) -> dict[str, Any]:
    (event,) = events.read().take()[1]
    document: dict[str, Any] = event.document("run-1", "2026-11-27T00:00:00.500Z")
    assert json.loads(json.dumps(document)) == document
    return document


def test_an_event_is_rendered_as_a_json_document() -> None:
    events = kept()
    fields = {"instance": "web.1", "pid": 12, "exit_status": 3, "consequence": "restart"}
    events.add(Record("instance.exited", WARNING, "web.1 exited", fields))

    assert only(events) == {
        "id": 1,
        "run": "run-1",
        "time": "2026-11-27T00:00:00.500Z",
        "event": "instance.exited",
        "severity": "WARNING",
        "process": "web",
        "name": "web.1",
        "pid": 12,
        "exit_status": 3,
        "consequence": "restart",
        "message": "web.1 exited",
    }
    assert fields["instance"] == "web.1"  # Nothing is taken out of the record.


def test_an_event_of_the_supervisor_has_no_process_name_or_pid() -> None:
    events = kept()
    events.add(Record("supervisor.ready", INFO, "all 2 ready", {"count": 2}))

    document = only(events)
    assert (document["process"], document["name"], document["pid"]) == (None, None, None)
    assert document["count"] == 2


def test_only_the_latest_events_are_kept() -> None:
    events = kept(most=3)
    add(events, *["web.1"] * 5)

    assert numbers(events.read()) == [3, 4, 5]


def test_kept_events_are_limited_in_bytes() -> None:
    events = kept(most=100, size=2 * OVERHEAD + 1000)
    for text in ("x" * 300, "y" * 300, "z" * 300):
        events.add(Record("supervisor.ready", INFO, text))

    assert numbers(events.read()) == [2, 3]


def test_events_are_filtered_by_process_instance_or_supervisor() -> None:
    events = kept(most=9)
    add(events, "web.1", "web.2", "worker.1", None)

    assert numbers(events.read({"web"})) == [1, 2]
    assert numbers(events.read({"web.2", "system"})) == [2, 4]


def test_a_reader_that_resumes_gets_the_number_of_missed_events() -> None:
    events = kept(most=3)
    add(events, *["web.1"] * 10)

    assert [len(part) if isinstance(part, list) else part for part in events.since(4).take()] == [
        3,  # The events 5 to 7.
        3,
    ]
    assert events.since(7).take()[0] == 0
    assert numbers(events.since(8)) == [9, 10]
    assert numbers(events.since(10)) == []


def test_resuming_after_a_future_event_id_hides_no_new_event() -> None:
    events = kept()
    add(events, "web.1")
    reader = events.since(99)

    add(events, "web.1")

    assert numbers(reader) == [2]


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=20))
def test_events_read_plus_events_lost_equal_all_events(
    steps: list[tuple[int, bool]],
) -> None:
    events = kept(most=5)
    reader = events.read()
    events.follow(reader, lambda: None)
    added = read = lost = 0
    for count, reads in [*steps, (0, True)]:
        add(events, *["web.1"] * count)
        added += count
        if reads:
            gap, batch = reader.take(100)
            lost, read = lost + gap, read + len(batch)

    assert read + lost == added


def test_a_batch_has_at_most_the_requested_number_of_events() -> None:
    events = kept(most=9)
    add(events, *["web.1"] * 5)
    reader = events.read()

    assert [[event.number for event in reader.take(2)[1]] for _ in range(4)] == [
        [1, 2],
        [3, 4],
        [5],
        [],
    ]
