"""The earliest of many deadlines, however often they change."""

from __future__ import annotations

import sys
from typing import Optional

from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.supervisor.agenda import Agenda

MOMENTS = st.one_of(st.none(), st.integers(0, 6).map(float))
# A key gets a deadline or loses it; or the time advances.
STEPS = st.lists(st.one_of(st.tuples(st.integers(0, 4), MOMENTS), st.integers(0, 6).map(float)))


@given(STEPS)
def test_the_agenda_returns_the_first_deadline_and_all_due_keys(
    steps: list[object],
) -> None:
    agenda = Agenda()
    expected: dict[int, float] = {}
    for step in steps:
        if isinstance(step, tuple):
            key, moment = step
            agenda.set(key, moment)
            expected.pop(key, None)
            if moment is not None:
                expected[key] = moment
        else:
            assert isinstance(step, float)
            due = sorted(key for key, moment in expected.items() if moment <= step)
            assert agenda.take_due(step) == due
            expected = {key: moment for key, moment in expected.items() if key not in due}
        first: Optional[tuple[float, int]] = min(
            ((moment, key) for key, moment in expected.items()), default=None
        )
        assert agenda.first == first


def test_a_deadline_that_is_postponed_often_does_not_grow_the_agenda() -> None:
    agenda = Agenda()
    agenda.set(0, 1e9)
    for second in range(100_000):
        agenda.set(1, float(second))

    assert agenda.first == (99_999.0, 1)
    assert sys.getsizeof(agenda._heap) < 4096
