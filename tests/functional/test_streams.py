"""From real pipes into a real one, without a process: who has a turn, and what becomes of bytes."""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.logs.formats import TextFormat
from django_prodserver.posix import kernel
from django_prodserver.posix.output import Output
from django_prodserver.posix.streams import CHUNK, Streams

LINE = b"x" * 99 + b"\n"


class Path:
    """Writers, the streams between, and the one reader; nothing moves but by a call."""

    def __init__(self, writers: int, capacity: int, limit: int) -> None:
        self.selector = selectors.PollSelector()
        self.reader, write = os.pipe()
        kernel.enlarge_pipe(write, capacity)
        self.output = Output(write, limit)
        os.close(write)
        os.set_blocking(self.reader, False)
        names = [f"w{number}" for number in range(writers)]
        self.streams = Streams(self.selector, self.output, TextFormat(names), max_line=65536)
        self.writers = []
        for name in names:
            stream, fd = self.streams.create(name, "stdout")
            os.set_blocking(fd, False)
            self.streams.add(stream)
            self.writers.append(fd)

    def write(self, number: int, data: bytes) -> int:
        try:
            return os.write(self.writers[number], data)
        except BlockingIOError:
            return 0

    def fill(self, number: int) -> None:
        while self.write(number, LINE * 100):
            pass

    def turn(self) -> None:
        """One round of the supervisor's loop."""
        self.streams.apply_backpressure()
        for key, _ in self.selector.select(0):
            key.data()

    def read(self, size: int = 1 << 20) -> bytes:
        with suppress(BlockingIOError):
            return os.read(self.reader, size)
        return b""

    def drain(self) -> bytes:
        """Close all writers, and let what is under way arrive."""
        while self.writers:
            os.close(self.writers.pop())
        said = []
        self.turn()
        while self.selector.get_map() or self.output.pending:
            self.turn()
            said.append(self.read())
        return b"".join(said) + self.read()


@contextmanager
def path(writers: int, capacity: int = CHUNK, limit: int = 1 << 20) -> Iterator[Path]:
    made = Path(writers, capacity, limit)
    yield made
    for fd in made.writers:
        os.close(fd)
    made.streams.close()
    made.selector.close()
    made.output.close()
    os.close(made.reader)


def said_by(number: int, said: bytes) -> list[bytes]:
    label = b"w%d     | " % number
    return [line[len(label) :] for line in said.split(b"\n")[:-1] if line.startswith(label)]


def test_a_quiet_one_waits_for_one_chunk_of_one_who_floods() -> None:
    with path(writers=2, capacity=1 << 20) as made:
        assert kernel.enlarge_pipe(made.writers[0], 2 * CHUNK)
        made.fill(0)
        made.write(1, b"quiet\n")

        made.turn()

        before, quiet, _ = made.read().partition(b"w1     | quiet\n")
        assert quiet
        assert len(said_by(0, before)) * len(LINE) <= CHUNK


def test_everybody_has_a_turn_though_the_output_is_always_full() -> None:
    said = b""
    with path(writers=5, capacity=4096, limit=4096) as made:
        while len(said) < 20 * CHUNK:
            for number in range(5):
                made.fill(number)
            made.turn()
            said += made.read()

    heard = [len(said_by(number, said)) * len(LINE) for number in range(5)]
    assert max(heard) - min(heard) <= CHUNK


def test_a_round_holds_one_chunk_more_than_the_limit_however_many_write() -> None:
    with path(writers=20, capacity=4096, limit=4096) as made:
        for number in range(20):
            made.fill(number)

        for _ in range(10):
            made.turn()

        assert made.output.full
        assert made.output.pending < 4096 + 2 * CHUNK


def test_a_pipe_that_cannot_be_enlarged_does() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    assert not kernel.enlarge_pipe(null, CHUNK)
    os.close(null)


WRITES = st.tuples(
    st.integers(0, 2),
    st.binary(max_size=40) | st.sampled_from([b"\n", b"\n\n", b"half", LINE, LINE * 50]),
)
STEPS = st.lists(WRITES | st.sampled_from(["turn", "read", "read little"]), max_size=60)


@given(STEPS, st.sampled_from([1, 100, 1 << 20]))
@example([(0, b"x" * 5000), "turn", (1, b"\n"), "read little", "turn", (0, b"\n")], 1)
def test_whatever_is_written_arrives_in_whole_lines_and_in_order(
    steps: list[object], limit: int
) -> None:
    written = [b"", b"", b""]
    with path(writers=3, capacity=4096, limit=limit) as made:
        said = b""
        for step in steps:
            if step == "turn":
                made.turn()
            elif step == "read":
                said += made.read()
            elif step == "read little":
                said += made.read(7)
            else:
                number, data = step
                written[number] += data[: made.write(number, data)]
        said += made.drain()

    for number in range(3):
        *lines, rest = written[number].split(b"\n")
        assert said_by(number, said) == lines + ([rest] if rest else [])
