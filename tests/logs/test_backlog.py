"""The backlog: lines that wait, the first and the last of them."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.logs.backlog import Backlog


def test_lines_that_fit_are_kept_in_order() -> None:
    backlog = Backlog(100)
    assert not backlog
    for number in range(50):
        backlog.add(b"%02d\n" % number)

    assert backlog
    first, left_out, last = backlog.take()
    assert (first + last, left_out) == (b"".join(b"%02d\n" % n for n in range(50)), 0)


def test_an_overfull_backlog_keeps_the_first_and_the_last_line() -> None:
    backlog = Backlog(7)
    for number in range(1000):
        backlog.add(b"%03d\n" % number)

    assert backlog.take() == (b"000\n", 998, b"999\n")


def test_the_last_line_is_kept_even_if_it_exceeds_the_limit() -> None:
    backlog = Backlog(10)
    backlog.add(b"short\n")
    backlog.add(b"x" * 100 + b"\n")
    assert backlog.take() == (b"short\n", 0, b"x" * 100 + b"\n")


def test_the_backlog_is_empty_after_its_lines_are_taken() -> None:
    backlog = Backlog(10)
    backlog.add(b"a line\n")
    backlog.take()

    assert not backlog
    assert backlog.take() == (b"", 0, b"")


@given(st.integers(0, 50), st.lists(st.binary(min_size=1, max_size=20)))
def test_dropped_lines_are_counted_and_the_backlog_stays_within_its_limit(
    size: int, lines: list[bytes]
) -> None:
    backlog = Backlog(size)
    for line in lines:
        backlog.add(line)

    first, left_out, last = backlog.take()
    whole = b"".join(lines)
    assert whole.startswith(first)
    assert whole.endswith(last)
    ends = [0, *accumulate(map(len, lines))]
    assert left_out == ends.index(len(whole) - len(last)) - ends.index(len(first))
    assert len(first) <= size
    assert len(last) <= max(size, *map(len, lines), 0)
    assert not lines or last or len(first) == len(whole)
