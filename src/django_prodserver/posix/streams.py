"""From the pipes behind the instances' stdout and stderr, as whole lines, to ours."""

from __future__ import annotations

import fcntl
import os
import selectors
import struct
import termios
import time
from dataclasses import dataclass

from django_prodserver.supervisor.lines import Lines, TextFormat

from .output import Output

# The most that is read from one pipe before another has its turn, in bytes.
CHUNK = 1 << 20


@dataclass(eq=False)
class Stream:
    """The reading end of one instance's pipe. It may outlive the instance: others may hold it."""

    name: str
    fd: int
    lines: Lines


class Streams:
    """All pipes that are open, read as fast as stdout takes what they bring, and no faster."""

    def __init__(
        self,
        selector: selectors.PollSelector,
        output: Output,
        format: TextFormat,
        max_line: int,
    ) -> None:
        self._selector = selector
        self._output = output
        self._format = format
        self._max_line = max_line
        self._open: set[Stream] = set()
        self._reading = True
        self._writing = False

    def create(self, name: str) -> tuple[Stream, int]:
        """Make a pipe; return our end, to be given to `add`, and the instance's end."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        return Stream(name, read, Lines(self._max_line)), write

    def add(self, stream: Stream) -> None:
        self._open.add(stream)
        if self._reading:
            self._watch(stream)

    def log(self, name: str, block: bytes) -> None:
        """Put a block of whole lines into the log."""
        if block:
            self._output.write(self._format.block(name, block, time.strftime("%H:%M:%S")))

    def read_last_words(self, stream: Stream) -> None:
        """Log all that is in the pipe now, without waiting for its end.

        A grandchild may hold the pipe open, and may go on writing for ever; a line that it has
        begun is left to it. If nobody does, the end of the pipe is there to be read.
        """
        if stream not in self._open:
            return
        left = _readable(stream.fd)
        while left > 0:
            left -= self._read(stream, left)
        self._read(stream)

    def regulate(self) -> None:
        """Read from the instances, and poll stdout, only while there is a use in it."""
        if self._reading == self._output.full:
            self._reading = not self._reading
            for stream in self._open:
                if self._reading:
                    self._watch(stream)
                else:
                    self._selector.unregister(stream.fd)
        if self._writing != bool(self._output.pending):
            self._writing = not self._writing
            if self._writing:
                self._selector.register(self._output, selectors.EVENT_WRITE, self._output.flush)
            else:
                self._selector.unregister(self._output)

    def release(self) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        for stream in self._open:
            os.close(stream.fd)
        self._output.release()

    def close(self) -> None:
        """Log what is left in the pipes."""
        for stream in list(self._open):
            self.read_last_words(stream)
            if stream in self._open:
                self._end(stream)

    def _watch(self, stream: Stream) -> None:
        self._selector.register(stream.fd, selectors.EVENT_READ, lambda: self._read(stream))

    def _read(self, stream: Stream, size: int = CHUNK) -> int:
        """Read once, at most `size` bytes; return how many: 0 at the end, or for nothing there."""
        if stream not in self._open:
            return 0  # Its end was seen in the same round of the poll.
        try:
            chunk = os.read(stream.fd, size)
        except BlockingIOError:
            return 0
        if chunk:
            self.log(stream.name, stream.lines.feed(chunk))
        else:
            self._end(stream)
        return len(chunk)

    def _end(self, stream: Stream) -> None:
        self.log(stream.name, stream.lines.finish())
        self._open.discard(stream)
        if self._reading:
            self._selector.unregister(stream.fd)
        os.close(stream.fd)


def _readable(fd: int) -> int:
    """How many bytes are in the pipe (FIONREAD)."""
    size: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    return size
