"""Streams between real pipes, without processes: the order of turns, and the fate of the bytes."""

from __future__ import annotations

import os
import resource
import selectors
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import example, given
from hypothesis import strategies as st

from django_prodserver.logs.counts import Counts
from django_prodserver.logs.formats import TextFormat
from django_prodserver.logs.recent import Recent
from django_prodserver.posix import kernel
from django_prodserver.posix.output import Output
from django_prodserver.posix.streams import BACKLOG, CHUNK, Streams
from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record, Severity

LINE = b"x" * 99 + b"\n"


class Path:
    """Writers, the streams and one reader; data moves only when a method is called."""

    def __init__(self, writers: int, capacity: int, limit: int) -> None:
        self.selector = selectors.PollSelector()
        self.reader, write = os.pipe()
        kernel.enlarge_pipe(write, capacity)
        self.output = Output(write, limit)
        os.close(write)
        os.set_blocking(self.reader, False)
        names = [f"w{number}" for number in range(writers)]
        form = TextFormat(names)
        self.streams = Streams(
            self.selector, self.output, form, max_line=65536, recent=Recent(), counts=Counts()
        )
        self.writers = []
        self.lives = []
        for name in names:
            stream, fd = self.streams.create(name, "stdout")
            os.set_blocking(fd, False)
            self.streams.add(stream)
            self.lives.append(stream)
            self.writers.append(fd)

    def write(self, number: int, data: bytes) -> int:
        try:
            return os.write(self.writers[number], data)
        except BlockingIOError:
            return 0

    def fill(self, number: int) -> None:
        while self.write(number, LINE * 100):
            pass

    def end(self, number: int, last_words: bytes = b"") -> None:
        """Close a writer; its last words are what is then in its pipe."""
        self.write(number, last_words)
        os.close(self.writers.pop(number))
        self.streams.read_last_words(self.lives[number])

    def say(self, text: str) -> None:
        self.streams.say(Record("test", Severity.INFO, text))

    def stall(self) -> None:
        """Let the first writer write until the output is full."""
        while not self.output.full:
            self.fill(0)
            self.turn()
        self.turn()

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
        """Close all writers, and let the data in flight arrive."""
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
    os.close(made.reader)


def said_by(number: int, said: bytes) -> list[bytes]:
    label = b"w%d     | " % number
    return [line[len(label) :] for line in said.split(b"\n")[:-1] if line.startswith(label)]


def test_a_quiet_process_waits_for_at_most_one_chunk_of_a_flooding_process() -> None:
    with path(writers=2, capacity=1 << 20) as made:
        assert kernel.enlarge_pipe(made.writers[0], 2 * CHUNK)
        made.fill(0)
        made.write(1, b"quiet\n")

        made.turn()

        before, quiet, _ = made.read().partition(b"w1     | quiet\n")
        assert quiet
        assert len(said_by(0, before)) * len(LINE) <= CHUNK


def test_processes_share_the_output_fairly_while_it_is_always_full() -> None:
    said = b""
    with path(writers=5, capacity=4096, limit=4096) as made:
        while len(said) < 20 * CHUNK:
            for number in range(5):
                made.fill(number)
            made.turn()
            said += made.read()

    heard = [len(said_by(number, said)) * len(LINE) for number in range(5)]
    assert max(heard) - min(heard) <= CHUNK


def test_pending_output_stays_bounded_however_many_processes_write() -> None:
    with path(writers=20, capacity=4096, limit=4096) as made:
        for number in range(20):
            made.fill(number)

        for _ in range(10):
            made.turn()

        assert made.output.full
        assert made.output.pending < 4096 + 2 * CHUNK


def test_enlarging_a_descriptor_that_is_not_a_pipe_returns_false() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    assert not kernel.enlarge_pipe(null, CHUNK)
    os.close(null)


def test_the_last_output_of_a_process_stays_in_its_pipe_while_stdout_is_full() -> None:
    with path(writers=3, capacity=4096, limit=4096) as made:
        made.stall()
        pending = made.output.pending

        made.end(2, b"last words\n" + LINE * 100)
        made.say("w2 exited")
        made.end(1, b"half a line")
        made.say("w1 exited")
        made.turn()

        assert made.output.pending == pending
        said = made.drain()
    label = b"system | "
    order = [b"last words", label + b"w2 exited", label + b"w1 exited"]
    places = [said.index(words) for words in [*order[:1], b"half a line\n", *order[1:]]]
    assert places == sorted(places)
    assert said_by(2, said) == [b"last words", *[LINE[:-1]] * 100]


def test_log_lines_for_a_full_output_are_bounded_and_omitted_lines_counted() -> None:
    said_at = [f"line {number}" for number in range(10_000)]
    with path(writers=1, capacity=4096, limit=4096) as made:
        made.stall()
        pending = made.output.pending
        for text in said_at:
            made.say(text)
        made.turn()
        assert made.output.pending == pending
        said = made.drain()

    said_of_it = [line[9:].decode() for line in said.split(b"\n") if line.startswith(b"system")]
    (gap,) = [text for text in said_of_it if text not in said_at]
    first = said_of_it[: said_of_it.index(gap)]
    last = said_of_it[len(first) + 1 :]
    assert said_at[: len(first)] == first
    assert said_at[-len(last) :] == last
    assert gap == report.lines_left_out(len(said_at) - len(first) - len(last)).message
    assert sum(len(f"system | {text}\n") for text in said_of_it) <= 2 * BACKLOG + 100


def test_output_without_room_at_the_end_stays_in_the_pipes_and_counts_as_lost() -> None:
    with path(writers=5, capacity=4096, limit=4096) as made:
        made.stall()
        for number in range(1, 5):
            made.fill(number)
        assert not made.streams.drain()
        assert made.output.pending < 4096 + 2 * CHUNK
        before = made.output.pending

        made.streams.close()

        assert made.output.lost > before + 4 * 4096
        assert made.output.pending == 0


WRITES = st.tuples(
    st.integers(0, 2),
    st.binary(max_size=40) | st.sampled_from([b"\n", b"\n\n", b"half", LINE, LINE * 50]),
)
STEPS = st.lists(WRITES | st.sampled_from(["turn", "read", "read little"]), max_size=60)


@given(STEPS, st.sampled_from([1, 100, 1 << 20]))
@example([(0, b"x" * 5000), "turn", (1, b"\n"), "read little", "turn", (0, b"\n")], 1)
def test_output_arrives_in_whole_lines_and_in_order(steps: list[object], limit: int) -> None:
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


# ---- a full disk ----


class Disk:
    """A file with room for a limited number of bytes."""

    def __init__(self, room: int) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.output = Output(self.file.fileno())
        self.room = room

    @property
    def content(self) -> bytes:
        return os.pread(self.file.fileno(), 1 << 20, 0)

    def write(self, *pieces: bytes) -> None:
        with self._limited():
            self.output.write(pieces)

    def flush(self) -> None:
        with self._limited():
            self.output.flush()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Growing the file beyond the limit fails with EFBIG, as a full disk does with ENOSPC."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.room, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_after_a_truncated_line_starts_on_a_new_line() -> None:
    disk = Disk(room=10)
    disk.write(b"one\n", b"two\nthree\n")
    disk.write(b"four\n")
    disk.flush()
    disk.write(b"five\n")
    assert (disk.content, disk.output.lost) == (b"one\ntwo\nth", 4 + 5 + 5)

    disk.room = 100
    disk.write(b"six\n", b"seven\n")

    assert (disk.content, disk.output.lost) == (b"one\ntwo\nth\nsix\nseven\n", 14)
    disk.file.close()


def test_no_newline_is_added_if_the_last_line_was_written_in_full() -> None:
    disk = Disk(room=8)
    disk.write(b"one\n", b"two\nthree\n")
    disk.flush()
    disk.room = 100
    disk.write(b"four\n")

    assert (disk.content, disk.output.lost) == (b"one\ntwo\nfour\n", 6)
    disk.file.close()


def test_a_truncated_line_is_ended_even_if_there_is_room_only_for_a_newline() -> None:
    disk = Disk(room=2)
    disk.write(b"one\n")
    disk.flush()
    disk.room = 3
    disk.write(b"two\n")
    disk.flush()
    assert (disk.content, disk.output.lost) == (b"on\n", 2 + 4)

    disk.room = 100
    disk.write(b"three\n")

    assert (disk.content, disk.output.lost) == (b"on\nthree\n", 6)
    disk.file.close()


FULL_DISK = st.lists(st.integers(0, 40) | st.sampled_from(["write", "write two", "flush"]))


@given(FULL_DISK)
def test_lines_are_never_joined_on_a_disk_that_is_full_at_times(steps: list[object]) -> None:
    disk = Disk(room=0)
    written: list[bytes] = []
    for step in [*steps, 1000, "write"]:
        if isinstance(step, int):
            disk.room = len(disk.content) + step
        elif step == "flush":
            disk.flush()
        else:
            lines = [b"<%d>" % (len(written) + n) * 3 for n in range(1 + (step == "write two"))]
            disk.write(*(line + b"\n" for line in lines))
            written += lines
    disk.flush()

    *found, rest = disk.content.split(b"\n")
    assert rest == b""
    assert found[-1] == written[-1]
    ahead = iter(written)
    for line in found:
        assert line
        assert any(one.startswith(line) for one in ahead)
    inserted = disk.output.lost + len(disk.content) - sum(len(line) + 1 for line in written)
    assert len([line for line in found if line not in written]) <= inserted <= len(steps)
    disk.file.close()
