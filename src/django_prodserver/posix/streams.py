"""From the pipes behind stdout and stderr of all lives, as whole lines, to one output of ours."""

from __future__ import annotations

import fcntl
import os
import selectors
import struct
import termios
from typing import Optional

from django_prodserver.logs.formats import Format, Piece
from django_prodserver.logs.lines import Block, Lines
from django_prodserver.supervisor.record import Record

from . import kernel
from .line_search import LineSearch
from .output import Output

# The most that is read from one pipe before another has its turn, in bytes, and the capacity that
# the first few pipes are to have. More of it, or more of them, are no quicker, and are denied to
# the whole user once all its pipes have 64 MiB (pipe(7)).
CHUNK = 1 << 18
LARGE_PIPES = 64


class Stream:
    """The reading end of one life's pipe. It may outlive the life: other processes may hold it.

    `kind` says which of its standard streams it is: "stdout" or "stderr".
    """

    __slots__ = ("fd", "kind", "lines", "name", "search")

    def __init__(self, name: str, kind: str, fd: int, lines: Lines) -> None:
        self.name = name
        self.kind = kind
        self.fd = fd
        self.lines = lines
        # What its lines are searched for, until it is found.
        self.search: Optional[LineSearch] = None


class Streams:
    """All pipes that lead to one output, read as fast as it takes what they bring, not faster."""

    def __init__(
        self, selector: selectors.PollSelector, output: Output, format: Format, max_line: int
    ) -> None:
        self.output = output
        self._selector = selector
        self._format = format
        self._max_line = max_line
        # In the order in which they were read last; a dict, because sets have no order.
        self._open: dict[Stream, None] = {}
        self._reading = True
        self._writing = False

    def create(self, name: str, kind: str) -> tuple[Stream, int]:
        """Make a pipe; return our end, to be given to `add`, and the one to write to."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        if len(self._open) < LARGE_PIPES:
            kernel.enlarge_pipe(read, CHUNK)
        return Stream(name, kind, read, Lines(self._max_line)), write

    def add(self, stream: Stream) -> None:
        self._open[stream] = None
        if self._reading:
            self._watch(stream)

    def log(self, name: str, kind: str, block: Block) -> None:
        """Put a block of whole lines into the log."""
        if block.end:
            self.output.write(self._format.render(name, kind, block))

    def say(self, record: Record) -> None:
        """Put a line of the supervisor's own into the log."""
        self.output.write(self._said(record))

    def complain(self, record: Record) -> None:
        """Say on stderr that the log is not complete."""
        stderr = Output(2)  # It may be the very pipe that takes no more.
        if self._format.for_machines:
            stderr.write(self._said(record))
        else:
            stderr.write([f"prodserver: {record.message}\n".encode()])
        stderr.close()

    def read_last_words(self, stream: Stream) -> None:
        """Log all that is in the pipe now, without waiting for its end.

        A grandchild may hold the pipe open, and may go on writing for ever; a line that it has
        begun is left to it. If none does, the end of the pipe is there to be read.
        """
        if stream not in self._open:
            return
        left = _readable(stream.fd)
        while left > 0:
            left -= self._read(stream, left)
        self._read(stream)

    def apply_backpressure(self) -> None:
        """Do not read while the output is full; poll the output only while bytes are pending."""
        if self._reading and self.output.full:
            self._reading = False
            for stream in self._open:
                self._selector.unregister(stream.fd)
        elif not self._reading and self.output.ready:
            self._reading = True
            for stream in self._open:
                self._watch(stream)
        if self._writing != bool(self.output.pending):
            self._writing = not self._writing
            if self._writing:
                self._selector.register(self.output, selectors.EVENT_WRITE, self.output.flush)
            else:
                self._selector.unregister(self.output)

    def release(self) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        for stream in self._open:
            os.close(stream.fd)
        self.output.release()

    def close(self) -> None:
        """Log what is left in the pipes."""
        for stream in list(self._open):
            self.read_last_words(stream)
            if stream in self._open:
                self._end(stream)

    def _said(self, record: Record) -> list[Piece]:
        return self._format.say(record.message, record.severity.name, record.members)

    def _watch(self, stream: Stream) -> None:
        self._selector.register(stream.fd, selectors.EVENT_READ, lambda: self._take_turn(stream))

    def _take_turn(self, stream: Stream) -> None:
        # Not if its end was seen in the same round of the poll, or the output is full by now. One
        # that is left out comes before those that were not when all are watched again.
        if stream in self._open and not self.output.full:
            self._open[stream] = self._open.pop(stream)
            self._read(stream)

    def _read(self, stream: Stream, size: int = CHUNK) -> int:
        """Read once, at most `size` bytes; return how many: 0 at the end, or for nothing there."""
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
        if stream.search is not None and stream.search.over(block):
            stream.search = None

    def _end(self, stream: Stream) -> None:
        self._take(stream, stream.lines.finish())
        del self._open[stream]
        if self._reading:
            self._selector.unregister(stream.fd)
        os.close(stream.fd)


def _readable(fd: int) -> int:
    """How many bytes are in the pipe (FIONREAD)."""
    size: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    return size
