"""The supervisor's log: what all lives write, in one stream, or in two with stderr apart."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterable, Mapping, Sequence

from django_prodserver.control.events import RecentEvents
from django_prodserver.logs.counts import Counts
from django_prodserver.logs.formats import Format
from django_prodserver.logs.recent import Recent
from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.values import Value

from . import kernel
from .output import Output, wait_for_room
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
        self,
        selector: selectors.PollSelector,
        signals: SignalPipe,
        formats: Mapping[str, Format],
        max_line: int,
    ) -> None:
        kernel.recycle_memory(RECYCLED)
        # The last lines of all, and the last events, for those who ask.
        self.recent = Recent()
        self.counts = Counts()
        self.events = RecentEvents(time.time)
        self._signals = signals
        self._streams: dict[str, Streams] = {}
        for kind, format in formats.items():
            # Two writers to one pipe would tear each other's lines.
            if kind == STDERR and os.path.sameopenfile(1, 2):
                self._streams[kind] = self._streams[STDOUT]
            else:
                others = [streams.output for streams in self._streams.values()]
                output = Output(DESCRIPTORS[kind], signals=signals, others=others)
                kept = self.recent, self.counts
                self._streams[kind] = Streams(selector, output, format, max_line, *kept)
        # Each once, with the name that it goes by: the first one.
        self._distinct = {streams: kind for kind, streams in reversed(self._streams.items())}

    @property
    def gone(self) -> bool:
        """The reader of it, or of a part of it, is gone."""
        return any(streams.output.gone for streams in self._distinct)

    @property
    def stalled(self) -> bool:
        """It, or a part of it, takes no more for the time being."""
        return any(streams.stalled for streams in self._distinct)

    @property
    def stalled_seconds(self) -> float:
        """For how long it has taken nothing; of two streams the one that was slower."""
        return max(streams.stalled_seconds for streams in self._distinct)

    @property
    def backlog(self) -> int:
        """What waits to be taken, in bytes."""
        return sum(streams.output.pending for streams in self._distinct)

    @property
    def lost(self) -> int:
        """What could not be written, in bytes."""
        return sum(streams.output.lost for streams in self._distinct)

    @property
    def writers(self) -> list[int]:
        """The pids of processes that write it."""
        writers = [streams.output.writer for streams in self._distinct]
        return [writer.pid for writer in writers if writer is not None and not writer.ended]

    def reaped(self, pid: int) -> bool:
        """Take note of the exit of a process; False if it was not one of the `writers`."""
        return any(streams.output.writer_exited(pid) for streams in self._distinct)

    def say(self, record: Record) -> None:
        """Log a line of the supervisor's own, which is an event."""
        self.events.add(record)
        self.mention(record)

    def mention(self, record: Record) -> None:
        """Log a line of the supervisor's own, of which nobody else is told."""
        self._streams[STDOUT].say(record)

    def change(self, formats: Mapping[str, Format], max_line: int) -> bool:
        """Write lines like this from now on; False if stderr cannot be kept apart, or is."""
        for kind, format in formats.items():
            if kind in self._streams:
                self._streams[kind].use(format, max_line)
        return formats.keys() == self._streams.keys()

    def complain(self, problem: Record) -> None:
        """Say on stderr why nothing is started."""
        self._streams[STDOUT].complain(problem, self._signals)

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

    def close(self) -> None:
        """Log what is left in the pipes, and wait a moment for a reader that stalls.

        What it will never read is counted on stderr then. A signal ends the wait.
        """
        self._write_the_rest()
        for streams, kind in self._distinct.items():
            streams.close()
            output = streams.output
            if output.lost and not output.gone:
                streams.complain(report.output_lost(output.lost, kind), self._signals)

    def say_last(self, record: Record) -> None:
        """Log a line after all, though it is closed."""
        self._streams[STDOUT].say_last(record, DESCRIPTORS[STDOUT], self._signals)

    def _write_the_rest(self) -> None:
        end = time.monotonic() + LAST_FLUSH
        while unread := [s for s in self._distinct if not (s.drain() and s.output.finished())]:
            if not wait_for_room([streams.output for streams in unread], self._signals, end):
                return
