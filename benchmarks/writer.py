"""A process that writes lines on a signal: `python writer.py NUMBER LENGTH MODE`.

It depends on neither Django nor a supervisor. In BENCH_FOLDER, `wNUMBER.ready` holds its PID. On
SIGUSR1 it writes the number of lines in `wNUMBER.go`, stores how many it has written so far in
`wNUMBER.done`, and waits again. SIGUSR2 ends the writing early, at the end of a line. SIGTERM kills
it, like most programs. The modes:

cut      as fast as possible, in blocks that end anywhere
flushed  as fast as possible, each line in a write of its own
exit     like `cut`, then it exits at once; SIGTERM does not interrupt it
stamps   every few ms a line with the time, in ns of CLOCK_MONOTONIC
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from itertools import cycle as endless
from pathlib import Path

import lines

# A byte, part of a line, a page, a full pipe: blocks end anywhere, and most bytes come in bulk.
BLOCKS = (1, 65536, 17, 20000, 4096, 65536, 100, 9999, 65536, 30011, 32768, 8192)
STAMP = b"stamp "
INTERVAL = 0.002, 0.005


class Writer:
    def __init__(self, number: int, length: int, mode: str) -> None:
        self.length = length
        self.mode = mode
        self.written = 0  # bytes
        self.stopped = False
        self._path = Path(os.environ["BENCH_FOLDER"]) / f"w{number}"
        one = b"".join(lines.cycle(number, length))
        self._bytes = len(one)
        # Long enough that the longest block can begin anywhere in a cycle.
        self._view = memoryview(one + one[: max(*BLOCKS, length)])
        self._blocks = endless(BLOCKS)
        self._random = random.Random(number)

    def live(self) -> None:
        _write_file(self._path.with_suffix(".ready"), os.getpid())
        while True:
            signal.sigwait({signal.SIGUSR1})
            count = int(self._path.with_suffix(".go").read_text())
            self.stopped = False
            if self.mode == "stamps":
                self._stamps(count)
            elif self.mode == "flushed":
                self._flushed(count)
            else:
                self._cut(count)
            if self.mode == "exit":
                os._exit(0)
            _write_file(self._path.with_suffix(".done"), self.written // self.length)

    def _cut(self, count: int) -> None:
        end = self.written + count * self.length
        while self.written < end and not self.stopped:
            self._write(min(next(self._blocks), end - self.written))
        while self.written % self.length:
            self._write(self.length - self.written % self.length)

    def _flushed(self, count: int) -> None:
        for _ in range(count):
            self._write(self.length)
            while self.written % self.length:
                self._write(self.length - self.written % self.length)
            if self.stopped:
                return

    def _write(self, size: int) -> None:
        start = self.written % self._bytes
        self.written += os.write(1, self._view[start : start + size])

    def _stamps(self, count: int) -> None:
        for _ in range(count):
            # Random intervals, so that they do not align with any other period.
            time.sleep(self._random.uniform(*INTERVAL))
            os.write(1, b"%s%d\n" % (STAMP, time.monotonic_ns()))
            self.written += self.length

    def stop(self, *_: object) -> None:
        self.stopped = True


def _write_file(path: Path, number: int) -> None:
    """Replace the file atomically, so that readers never see part of it."""
    temporary = path.with_suffix(".new")
    temporary.write_text(str(number))
    temporary.replace(path)


def main(number: int, length: int, mode: str) -> None:
    # This comes first: until then a signal has its default or inherited action.
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGTERM})
    for fatal in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
        signal.signal(fatal, signal.SIG_DFL)
    writer = Writer(number, length, mode)
    signal.signal(signal.SIGUSR2, writer.stop)
    if mode != "exit":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    writer.live()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
