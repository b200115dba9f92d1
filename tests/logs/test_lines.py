"""Bytes in, whole prefixed lines out, against a slow reference that is plainly right."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from django_prodserver.logs.lines import MAX_LINE, Block, Lines, whole


def pieces(line: bytes, max_line: int) -> list[bytes]:
    return [line[i : i + max_line] for i in range(0, len(line), max_line)] or [b""]


def expected(data: bytes, max_line: int) -> bytes:
    """All that can be known to be a line once `data` has been written."""
    *lines, rest = data.split(b"\n")
    known = [piece for line in lines for piece in pieces(line, max_line)]
    return b"".join(piece + b"\n" for piece in known + pieces(rest, max_line)[:-1])


def expected_rest(data: bytes, max_line: int) -> bytes:
    rest = pieces(data.split(b"\n")[-1], max_line)[-1]
    return rest + b"\n" if rest else b""


def check(chunks: list[bytes], max_line: int) -> None:
    lines = Lines(max_line)
    written, given_out = b"", b""
    for chunk in chunks:
        block = lines.feed(chunk)
        written, given_out = written + chunk, given_out + bytes(block)
        assert b"\n" not in block.head
        assert (block.body.rfind(b"\n") + 1, bool(block.end)) == (block.end, bool(bytes(block)))
        # Not only the same lines in the end: each as soon as it can be known, and nothing held
        # beyond `max_line` bytes.
        assert given_out == expected(written, max_line)
    rest = bytes(lines.finish())
    assert rest == expected_rest(written, max_line)
    assert len(rest) <= max_line + 1
    assert lines.finish() == whole(b"")


SHORT = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r\n", b"\xff", b"12345678"])).map(b"".join)


@given(st.lists(st.binary() | SHORT), st.integers(1, 12) | st.sampled_from([64, MAX_LINE]))
def test_lines_do_not_depend_on_how_the_bytes_are_chunked(
    chunks: list[bytes], max_line: int
) -> None:
    check(chunks, max_line)


@given(
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2)), max_size=5),
    st.lists(st.integers(1, 40)),
)
@settings(max_examples=5 * settings().max_examples)
def test_lines_near_the_length_limit_are_split_correctly(
    max_line: int, lengths: list[tuple[int, int]], sizes: list[int]
) -> None:
    data = b"".join(b"x" * (times * max_line + more) + b"\n" for times, more in lengths)
    cuts = [0, *itertools.accumulate(sizes), len(data)]

    check([data[start:end] for start, end in zip(cuts, cuts[1:])], max_line)


LENGTHS = st.sampled_from(
    [0, 1, 100, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE - 1, 2 * MAX_LINE + 1, 300_000]
)


@given(st.lists(LENGTHS, max_size=4), st.integers(20_000, 200_000))
@settings(max_examples=max(1, settings().max_examples // 5))
def test_long_lines_in_large_chunks_are_split_correctly(lengths: list[int], size: int) -> None:
    data = b"\n".join(b"x" * length for length in lengths)

    check([data[i : i + size] for i in range(0, len(data), size)], MAX_LINE)


def test_a_writer_that_never_ends_its_line_takes_no_more_memory_than_one_line() -> None:
    lines = Lines(max_line=10)

    blocks = [bytes(lines.feed(b"x" * 7)) for _ in range(1000)]

    assert sum(map(len, blocks)) == 7000 // 10 * 11 - 11
    assert lines.finish() == whole(b"x" * 10 + b"\n")


def test_an_unfinished_line_waits_for_its_newline() -> None:
    lines = Lines()

    assert lines.feed(b"one\ntw") == Block(b"", b"one\ntw", end=4)
    assert lines.feed(b"o") == whole(b"")
    assert lines.feed(b"\nthree") == Block(b"two", b"\nthree", end=1)
    assert lines.finish() == whole(b"three\n")


def test_output_after_an_unfinished_last_line_starts_a_new_line() -> None:
    lines = Lines()
    lines.feed(b"last words")

    assert lines.finish() == whole(b"last words\n")
    assert lines.feed(b"a grandchild's\n") == whole(b"a grandchild's\n")


def test_binary_bytes_and_carriage_returns_pass_through_unchanged() -> None:
    lines = Lines()

    odd = b"\xff\xfe\x00\r\n10 %\r20 %\r\n"

    assert lines.feed(odd) == whole(odd)
