"""Ours alone, for minutes: four writers at full speed, a reader that pauses as it likes.

Every line is verified. The exit status is 1 if one is not whole and in its place, or if the
supervisor's memory has grown.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Sequence

import harness
import lines
import logs
import peers
from logs import CHUNK, Stage

WRITERS = 4
LENGTH = 100
PAUSE = 0.3
#: Seconds until memory has settled, and how many MB it may grow after that.
SETTLE, GROWTH = 5.0, 8.0
SAMPLE = 1.0
FOREVER = 10**12


class Soak:
    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._random = random.Random(seed)
        self.verifier = lines.Verifier(WRITERS, LENGTH)
        self.memory: list[float] = []

    def run(self, seconds: float) -> list[int]:
        """Read for that long; return how many lines each writer has written."""
        begin = time.monotonic()
        sample = begin + min(SETTLE, seconds / 2)
        self._stage.go([FOREVER] * WRITERS)
        while (now := time.monotonic()) < begin + seconds:
            if now >= sample:
                self.memory.append(self._stage.memory())
                sample = now + SAMPLE
            self._read(self._random.uniform(0, PAUSE))
            time.sleep(self._random.uniform(0, PAUSE))
        self._stage.signal_writers(signal.SIGUSR2)
        return self._read_to_the_end()

    def _read(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._stage.readable(seconds):
                self._feed()

    def _read_to_the_end(self) -> list[int]:
        while self._stage.readable(logs.QUIET):
            self._feed()
        self.memory.append(self._stage.memory())
        counts = [count for count in self._stage.written() if count is not None]
        if len(counts) < WRITERS:
            raise self._stage.error("lets its writers wait, and prints nothing")
        return counts

    def _feed(self) -> None:
        piece = os.read(self._stage.fd, CHUNK)
        if not piece:
            raise self._stage.error("closed its stdout")
        self.verifier.feed(piece)


def verdict(tallies: Sequence[lines.Tally], memory: Sequence[float]) -> str:
    """Return what is wrong; "" if nothing is."""
    problems = []
    if not all(tally.perfect for tally in tallies):
        problems.append("lines are missing or wrong")
    if max(memory) - memory[0] > GROWTH:
        problems.append(f"memory grew by more than {GROWTH:g} MB")
    return ", ".join(problems)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the pauses (default: %(default)s)")
    options = parser.parse_args()
    commands = [logs.writer(number, LENGTH, "cut") for number in range(WRITERS)]
    with (
        harness.workplace() as place,
        harness.fresh_folder(place) as folder,
        Stage(peers.OURS, commands, folder) as stage,
    ):
        soak = Soak(stage, options.seed)
        counts = soak.run(options.minutes * 60)
    tallies = soak.verifier.tallies(counts)
    total = sum(tallies, lines.Tally())
    print(
        f"{total.expected:,} lines: {total.lost} lost, {total.torn} torn, "
        f"{total.out_of_order} out of order, {total.duplicated} duplicated. "
        f"Memory: {soak.memory[0]:.1f} MB at the start, {max(soak.memory):.1f} at most, "
        f"{soak.memory[-1]:.1f} at the end."
    )
    sys.exit(verdict(tallies, soak.memory) or 0)


if __name__ == "__main__":
    with harness.benchmark():
        main()
