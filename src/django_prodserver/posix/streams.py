"""Streams: the stdout and stderr pipes of all lives, copied as whole lines to one output."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Sequence

from django_prodserver.logs.backlog import Backlog
from django_prodserver.logs.counts import Count, Counts
from django_prodserver.logs.formats import SYSTEM, Format, Piece, encoded
from django_prodserver.logs.lines import Block, Lines, whole
from django_prodserver.logs.recent import Recent
from django_prodserver.supervisor import report
from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.text import printable

from . import kernel
from .line_search import LineSearch
from .output import Output, wait_for_room
from .signals import SignalPipe

# CHUNK is the most bytes to read from one pipe before another has its turn, and the capacity of the
# first LARGE_PIPES pipes. Larger or more such pipes are no faster, and the kernel denies them to a
# user whose pipes have 64 MiB in total (pipe(7)).
CHUNK = 1 << 18
LARGE_PIPES = 64
# Bytes of the supervisor's own lines to keep while the output is stalled: this many of the first
# lines, and as many of the last.
BACKLOG = 1 << 15
# Seconds to wait for a slow reader of a last message.
LAST_COMPLAINT = 0.5


class Stream:
    """The read end of a life's pipe. It may outlive the life: other processes may hold the pipe.

    `kind` is "stdout" or "stderr".
    """

    __slots__ = ("count", "fd", "kind", "lines", "name", "search")

    def __init__(self, name: str, kind: str, fd: int, lines: Lines, count: Count) -> None:
        self.name = name
        self.kind = kind
        self.fd = fd
        self.lines = lines
        self.count = count
        # Searches the lines until it finds a match.
        self.search: Optional[LineSearch] = None


class Streams:
    """All pipes that lead to one output, read no faster than the output accepts their lines."""

    def __init__(
        self,
        selector: selectors.PollSelector,
        output: Output,
        format: Format,
        max_line: int,
        recent: Recent,
        counts: Counts,
    ) -> None:
        self.output = output
        self._selector = selector
        self._format = format
        self._max_line = max_line
        self._recent = recent
        self._counts = counts
        # The least recently read first; a dict, because sets have no order.
        self._open: dict[Stream, None] = {}
        self._reading = True
        # The seconds of all stalls that are over, and when the last one began.
        self._stalled_for = 0.0
        self._stalled_since = 0.0
        self._writing = False
        # Waiting for room in the output: pipes with last words, and our own lines.
        self._overdue: dict[Stream, None] = {}
        self._unsaid = Backlog(BACKLOG)

    def use(self, format: Format, max_line: int) -> None:
        """Use this format from now on; `max_line` applies to new pipes only."""
        self._format, self._max_line = format, max_line

    @property
    def stalled(self) -> bool:
        """The output has no room: what was written stays in the pipes."""
        return not self._reading or self.output.full

    @property
    def stalled_seconds(self) -> float:
        """For how many seconds in total the pipes were not read."""
        since = 0.0 if self._reading else time.monotonic() - self._stalled_since
        return self._stalled_for + since

    def create(self, name: str, kind: str) -> tuple[Stream, int]:
        """Create a pipe; return our end, to be passed to `add`, and the write end."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        if len(self._open) < LARGE_PIPES:
            kernel.enlarge_pipe(read, CHUNK)
        count = self._counts.of(name, kind)
        return Stream(name, kind, read, Lines(self._max_line), count), write

    def add(self, stream: Stream) -> None:
        self._open[stream] = None
        if self._reading:
            self._watch(stream)

    def log(self, name: str, kind: str, block: Block) -> None:
        """Write a block of whole lines to the log."""
        if block.end:
            self._recent.add(time.time(), name, kind, block)
            self.output.write(self._format.render(name, kind, block))

    def say(self, record: Record) -> None:
        """Write a line of the supervisor to the log, with the time of this call.

        It follows the output that it is about, and so it waits for all last words.
        """
        lines = b"".join(encoded(line) + b"\n" for line in _lines(record))
        self._recent.add(time.time(), SYSTEM, SYSTEM, whole(lines))
        if self._overdue or self._unsaid or self.stalled:
            self._unsaid.add(b"".join(self._said(record)))
        else:
            self.output.write(self._said(record))

    def complain(self, problem: Record, signals: SignalPipe) -> None:
        """Write to stderr what cannot be written to the log."""
        line = [f"prodserver: {printable(problem.message)}\n".encode()]
        _write_apart(2, self._said(problem) if self._format.for_machines else line, signals)

    def say_last(self, record: Record, fd: int, signals: SignalPipe) -> None:
        """Write a line of the supervisor to a log that is already closed."""
        _write_apart(fd, self._said(record), signals)

    def read_last_words(self, stream: Stream) -> None:
        """Log what is in the pipe now, or once the output has room, without waiting for EOF.

        A grandchild may hold the pipe open and write for ever; its unfinished line stays buffered.
        If no process holds the pipe open, EOF can be read now.
        """
        if stream not in self._open:
            return
        self._overdue[stream] = None
        # The pipe holds at most this many bytes.
        left = kernel.pipe_size(stream.fd)
        while left > 0 and not self.stalled:
            left = left - count if (count := self._read(stream, left)) else 0
        if not self.stalled:
            self._overdue.pop(stream, None)

    def apply_backpressure(self) -> None:
        """Stop reading while the output is full; poll the output only while bytes are pending."""
        if self._reading and self.output.full:
            self._reading = False
            self._stalled_since = time.monotonic()
            for stream in self._open:
                self._selector.unregister(stream.fd)
        elif not self._reading and self.output.ready:
            self._reading = True
            self._stalled_for += time.monotonic() - self._stalled_since
            for stream in self._open:
                self._watch(stream)
        self._catch_up()
        if self._writing != bool(self.output.pending):
            self._writing = not self._writing
            if self._writing:
                self._selector.register(self.output, selectors.EVENT_WRITE, self.output.flush)
            else:
                self._selector.unregister(self.output)

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for stream in self._open:
            os.close(stream.fd)
        self.output.release()

    def drain(self) -> bool:
        """Log the rest once no process writes to the pipes; False while the output has no room."""
        self.apply_backpressure()
        for stream in list(self._open):
            self.read_last_words(stream)
            if stream in self._overdue:
                return False
            if stream in self._open:
                self._end(stream)
        self._catch_up()
        return not self._unsaid

    def close(self) -> None:
        """Count as lost what the output has not accepted."""
        self.output.give_up()
        self.drain()

    def _catch_up(self) -> None:
        """Log what was waiting, while the output has room."""
        while self._overdue and not self.stalled:
            self.read_last_words(next(iter(self._overdue)))
        if self._unsaid and not self._overdue and not self.stalled:
            first, left_out, last = self._unsaid.take()
            gap = self._said(report.lines_left_out(left_out)) if left_out else []
            self.output.write([first, *gap, last])

    def _said(self, record: Record) -> list[Piece]:
        """Render a line of the supervisor, with its details if the format is for people."""
        first, *below = _lines(record)
        said = self._format.say(first, record.severity.name, record.members)
        if not self._format.for_machines:
            for line in below:
                said += self._format.say(line, record.severity.name, {})
        return said

    def _watch(self, stream: Stream) -> None:
        self._selector.register(stream.fd, selectors.EVENT_READ, lambda: self._take_turn(stream))

    def _take_turn(self, stream: Stream) -> None:
        # Skip a stream that has ended in the same round of the poll, or if the output is full by
        # now. When all are watched again, the skipped streams come first.
        if stream in self._open and not self.output.full:
            self._open[stream] = self._open.pop(stream)
            self._read(stream)

    def _read(self, stream: Stream, size: int = CHUNK) -> int:
        """Read once, at most `size` bytes; return how many: 0 at EOF, or if the pipe is empty."""
        try:
            chunk = os.read(stream.fd, size)
        except BlockingIOError:
            return 0
        if chunk:
            self._take(stream, stream.lines.feed(chunk))
        else:
            self._end(stream)
        return len(chunk)

    def _take(self, stream: Stream, block: Block) -> None:
        self.log(stream.name, stream.kind, block)
        stream.count.add(block, stream.lines.cut)
        if stream.search is not None and stream.search.over(block):
            stream.search = None

    def _end(self, stream: Stream) -> None:
        self._take(stream, stream.lines.finish())
        del self._open[stream]
        self._overdue.pop(stream, None)
        if self._reading:
            self._selector.unregister(stream.fd)
        os.close(stream.fd)


def _lines(record: Record) -> list[str]:
    """The message and each detail below it, each on one line, whatever it quotes."""
    return [printable(record.message), *(f"  {printable(line)}" for line in record.details)]


def _write_apart(fd: int, line: Sequence[Piece], signals: SignalPipe) -> None:
    output = Output(fd, signals=signals)  # `fd` may be the very pipe that is full.
    output.write(line)
    end = time.monotonic() + LAST_COMPLAINT
    while not output.finished() and wait_for_room([output], signals, end):
        pass
    output.give_up()
