"""What is held is what came, in its order, whatever is taken of it in between."""

from __future__ import annotations

from typing import Union

from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.logs.held import JOINED, MOST, SMALL, Held

SIZES = st.one_of(
    st.integers(0, 40),
    st.sampled_from([SMALL - 1, SMALL, SMALL + 1, JOINED, JOINED + 1]),
)
# Pieces, of which so many bytes are not held; or so many thousandths of what is held are removed.
STEPS = st.lists(
    st.one_of(st.tuples(st.lists(SIZES, max_size=4), st.integers(0, 5000)), st.integers(0, 1000))
)


@given(STEPS)
def test_held_output_keeps_its_order_through_additions_and_removals(
    steps: list[Union[int, tuple[list[int], int]]],
) -> None:
    held, expected, at = Held(), b"", 0
    for step in steps:
        if isinstance(step, int):
            count = min(step * held.size // 1000, sum(map(len, held.first())))
            held.remove(count)
            expected = expected[count:]
        else:
            pieces = [bytes((at + i) % 251 for i in range(size)) for size in step[0]]
            at += 1
            held.add(pieces, step[1])
            expected += b"".join(pieces)[step[1] :]
        assert held.size == len(expected)
        assert b"".join(held.first()) == expected
    held.clear()
    assert (held.size, list(held.first())) == (0, [])


def test_large_pieces_are_not_copied_and_small_ones_are_joined() -> None:
    held, large = Held(), bytes(SMALL + 1)

    held.add([large])
    for _ in range(10_000):
        held.add([b"a line\n"])

    first, *joined = held.first()
    assert isinstance(first, memoryview)
    assert first.obj is large
    assert len(joined) == 2


def test_no_more_pieces_are_returned_than_one_write_accepts() -> None:
    held = Held()
    for _ in range(MOST + 1):
        held.add([bytes(SMALL + 1)])

    assert len(held.first()) == MOST
    held.remove(MOST * (SMALL + 1))
    assert len(held.first()) == 1
