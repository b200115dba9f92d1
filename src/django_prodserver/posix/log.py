"""The supervisor's log: what all lives write, in one stream, or in two with stderr apart."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterable, Mapping, Sequence
from signal import Signals

from django_prodserver.logs.formats import Format
from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.values import Value

from . import kernel
from .output import Output
from .signals import SignalPipe
from .streams import Stream, Streams

# The standard streams and their descriptors.
STDOUT, STDERR = "stdout", "stderr"
DESCRIPTORS = {STDOUT: 1, STDERR: 2}

# Larger than a chunk with its prefixes, mostly.
RECYCLED = 1 << 20

# How long a reader that stalls may hold up the end, in seconds.
LAST_FLUSH = 5.0


class Pipes(Value):
    """What connects a life to the log: our ends, and those that it is to have."""

    streams: Sequence[Stream]
    stdout: int
    stderr: int

    def close_theirs(self) -> None:
        for fd in {self.stdout, self.stderr}:
            os.close(fd)

    def close_ours(self) -> None:
        for stream in self.streams:
            os.close(stream.fd)


class Log:
    """Where lines come from and where they go.

    `formats` says how lines are written to stdout; if it has one for stderr, too, that is kept
    apart, and otherwise has the same pipe, so that the order within an instance is exact.
    """

    def __init__(
        self, selector: selectors.PollSelector, formats: Mapping[str, Format], max_line: int
    ) -> None:
        kernel.recycle_memory(RECYCLED)
        self._streams: dict[str, Streams] = {}
        for kind, format in formats.items():
            # Two writers to one pipe would tear each other's lines.
            if kind == STDERR and os.path.sameopenfile(1, 2):
                self._streams[kind] = self._streams[STDOUT]
            else:
                output = Output(DESCRIPTORS[kind])
                self._streams[kind] = Streams(selector, output, format, max_line)
        # Each once, with the name that it goes by: the first one.
        self._distinct = {streams: kind for kind, streams in reversed(self._streams.items())}

    @property
    def gone(self) -> bool:
        """The reader of it, or of a part of it, is gone."""
        return any(streams.output.gone for streams in self._distinct)

    def say(self, record: Record) -> None:
        """Log a line of the supervisor's own."""
        self._streams[STDOUT].say(record)

    def create(self, name: str) -> Pipes:
        """Make the pipes of a life; our ends are to be given to `add`, or closed."""
        made: list[tuple[Stream, int]] = []
        try:
            for kind, streams in self._streams.items():
                made.append(streams.create(name, kind))
        except OSError:
            for stream, theirs in made:
                os.close(stream.fd)
                os.close(theirs)
            raise
        return Pipes([stream for stream, _ in made], made[0][1], made[-1][1])

    def add(self, streams: Iterable[Stream]) -> None:
        for stream in streams:
            self._streams[stream.kind].add(stream)

    def read_last_words(self, streams: Iterable[Stream]) -> None:
        """Log all that has been written by now; see `Streams`."""
        for stream in streams:
            self._streams[stream.kind].read_last_words(stream)

    def apply_backpressure(self) -> None:
        """Read as fast as the log is read, and not faster; to be called before each poll."""
        for streams in self._distinct:
            streams.apply_backpressure()

    def release(self) -> None:
        """In a forked child: give back what belongs to the supervisor."""
        for streams in self._distinct:
            streams.release()

    def close(self, signals: SignalPipe) -> None:
        """Log what is left in the pipes, and wait a moment for a reader that stalls.

        What it will never read is counted on stderr then. A signal ends the wait.
        """
        for streams in self._distinct:
            streams.close()
        self._write_the_rest(signals)
        for streams, kind in self._distinct.items():
            output = streams.output
            output.close()
            if output.lost and not output.gone:
                streams.complain(report.output_lost(output.lost, kind))

    def _write_the_rest(self, signals: SignalPipe) -> None:
        end = time.monotonic() + LAST_FLUSH
        while pending := [s.output for s in self._distinct if s.output.pending]:
            left = end - time.monotonic()
            if left <= 0:
                return
            with selectors.PollSelector() as selector:
                selector.register(signals, selectors.EVENT_READ)
                for output in pending:
                    selector.register(output, selectors.EVENT_WRITE)
                selector.select(left)
            for output in pending:
                output.flush()
            if any(signal is not Signals.SIGCHLD for signal in signals.drain()):
                return
