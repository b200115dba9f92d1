"""The supervisor's log: the output of all lives, in one stream, or in two with stderr separate."""

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

# Usually larger than a chunk with its prefixes, in bytes; see `kernel.recycle_memory`.
RECYCLED = 1 << 20

# How long a stalled reader may delay the exit, in seconds.
LAST_FLUSH = 5.0


class Pipes(Value):
    """The pipes that connect a life to the log: our ends, and the ends that the life gets."""

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
    """Reads the lines of all lives, and writes them to stdout and stderr.

    `formats` has the format for stdout. If it has one for stderr as well, stderr is kept separate.
    Otherwise both streams of a life share one pipe, so that the order of its lines is exact.
    """

    def __init__(
        self,
        selector: selectors.PollSelector,
        signals: SignalPipe,
        formats: Mapping[str, Format],
        max_line: int,
    ) -> None:
        kernel.recycle_memory(RECYCLED)
        # Kept for queries: the last lines, the counts of lines, and the last events.
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
        # Each `Streams` once, under the first of its kinds.
        self._distinct = {streams: kind for kind, streams in reversed(self._streams.items())}

    @property
    def gone(self) -> bool:
        """Whether the reader of stdout or stderr is gone."""
        return any(streams.output.gone for streams in self._distinct)

    @property
    def stalled(self) -> bool:
        """Whether stdout or stderr has no room for more output at the moment."""
        return any(streams.stalled for streams in self._distinct)

    @property
    def stalled_seconds(self) -> float:
        """For how long the log has been stalled in total; of two outputs, the longer time."""
        return max(streams.stalled_seconds for streams in self._distinct)

    @property
    def backlog(self) -> int:
        """The number of bytes that wait to be written."""
        return sum(streams.output.pending for streams in self._distinct)

    @property
    def lost(self) -> int:
        """The number of bytes that could not be written."""
        return sum(streams.output.lost for streams in self._distinct)

    @property
    def writers(self) -> list[int]:
        """The pids of the processes that write where a write could block; see `Writer`."""
        writers = [streams.output.writer for streams in self._distinct]
        return [writer.pid for writer in writers if writer is not None and not writer.ended]

    def reaped(self, pid: int) -> bool:
        """Record the exit of a process; False if it is not one of the `writers`."""
        return any(streams.output.writer_exited(pid) for streams in self._distinct)

    def say(self, record: Record) -> None:
        """Log a record of the supervisor, as a line and as an event."""
        self.events.add(record)
        self.mention(record)

    def mention(self, record: Record) -> None:
        """Log a record of the supervisor as a line only, not as an event."""
        self._streams[STDOUT].say(record)

    def change(self, formats: Mapping[str, Format], max_line: int) -> bool:
        """Use these formats from now on; False if they would separate or merge stderr."""
        for kind, format in formats.items():
            if kind in self._streams:
                self._streams[kind].use(format, max_line)
        return formats.keys() == self._streams.keys()

    def complain(self, problem: Record) -> None:
        """Say on stderr why nothing is started."""
        self._streams[STDOUT].complain(problem, self._signals)

    def create(self, name: str) -> Pipes:
        """Create the pipes of a life; the caller passes our ends to `add`, or closes them."""
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
        """Log everything that has been written so far; see `Streams`."""
        for stream in streams:
            self._streams[stream.kind].read_last_words(stream)

    def apply_backpressure(self) -> None:
        """Read from lives no faster than the log itself is read. Call it before each poll."""
        for streams in self._distinct:
            streams.apply_backpressure()

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for streams in self._distinct:
            streams.release()

    def close(self) -> None:
        """Log what is left in the pipes, and wait up to LAST_FLUSH seconds for a stalled reader.

        The number of bytes that are lost is then reported on stderr. A signal ends the wait.
        """
        self._write_the_rest()
        for streams, kind in self._distinct.items():
            streams.close()
            output = streams.output
            if output.lost and not output.gone:
                streams.complain(report.output_lost(output.lost, kind), self._signals)

    def say_last(self, record: Record) -> None:
        """Log one more line, although the log is closed."""
        self._streams[STDOUT].say_last(record, DESCRIPTORS[STDOUT], self._signals)

    def _write_the_rest(self) -> None:
        end = time.monotonic() + LAST_FLUSH
        while unread := [s for s in self._distinct if not (s.drain() and s.output.finished())]:
            if not wait_for_room([streams.output for streams in unread], self._signals, end):
                return
