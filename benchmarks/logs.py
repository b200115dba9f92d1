"""Writers at full speed: how many lines a second come out, whole and in order, at what cost?

Every line is compared with the one that was written, after the clock has stopped. `cat`, with all
writers on one pipe, is the yardstick: as fast as it gets, but the lines of several writers are cut
into each other, so its lines are not looked at.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import harness
import lines
import peers
import psutil
from harness import BenchmarkError, Contender, Figure
from idle import activity
from peers import Command, Peer

START = 30.0
#: The longest that a contender may take to print what the writers write.
LONGEST = 60.0
#: Reading ends after this long without output: if all lines have come, and if some are missing.
ENOUGH, QUIET = 0.3, 2.0
#: The intended length of a measured run in seconds, and the most that it may print in bytes.
TARGET = 0.8
MOST = 400_000_000
CHUNK = 1 << 20
BLOCK = 8 << 20
WARM_UP = 10_000
LAST_WORDS = (100, 600, 5000)


@dataclass(frozen=True)
class Scenario:
    name: str
    writers: int
    length: int
    mode: str

    @property
    def commands(self) -> list[Command]:
        return [writer(number, self.length, self.mode) for number in range(self.writers)]


SCENARIOS = [
    Scenario("4 writers, lines of 100 bytes, blocks cut anywhere", 4, 100, "cut"),
    Scenario("4 writers, lines of 1000 bytes, blocks cut anywhere", 4, 1000, "cut"),
    Scenario("8 writers, lines of 100 bytes, one write a line", 8, 100, "flushed"),
]
LAST = Scenario("4 writers that write and exit at once, lines of 100 bytes", 4, 100, "exit")

RATE = Figure("rate", "lines/s, thousands", 0)
CPU = Figure("cpu", "CPU, µs a line")
CHECKS = [
    Figure("torn", "torn", 0),
    Figure("lost", "lost", 0),
    Figure("out of order", "out of order", 0),
    Figure("duplicated", "duplicated", 0),
]
COMPLETE = Figure("complete", f"complete of {len(LAST_WORDS)} runs", 0)


# Who takes part


def writer(number: int, length: int, mode: str) -> Command:
    program = str(harness.HERE / "writer.py")
    return Command(f"w{number}", ("python", program, str(number), str(length), mode))


class Cat(Peer):
    """The yardstick, not a supervisor: all writers on one pipe, and `cat` at its end."""

    name = program = "cat"
    install = "it is everywhere"

    def version(self) -> str:
        return peers.said("cat", "--version").split()[3]

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        writers = " ".join(f"{shlex.join(command.argv)} &" for command in commands)
        shell = ("sh", "-c", f"{{ {writers} wait; }} | cat")
        return Contender(self.name, shell, "project.settings")


class Json(peers.Prodserver):
    """Ours, with the log format "json"."""

    name = "prodserver, json"

    def contender(self, commands: Sequence[Command], folder: Path, *options: str) -> Contender:
        return super().contender(commands, folder, "--log-format", "json", *options)


CAT, JSON = Cat(), Json()
MULTIPLEXERS = [peer for peer in peers.PEERS if peer.multiplexes]


def verifier(peer: Peer, writers: int, length: int) -> lines.Verifier:
    payloads = lines.json_payloads() if peer is JSON else lines.text_payloads
    return lines.Verifier(writers, length, payloads)


# What runs


class Stage:
    """A contender and its writers. Its stdout is a pipe that the benchmark has to read.

    Leaving the `with` block kills the rest of its process tree.
    """

    def __init__(self, peer: Peer, commands: Sequence[Command], folder: Path) -> None:
        self.name = peer.name
        self._folder = folder
        self._names = [command.name for command in commands]
        self._last = b""
        contender = peer.contender(commands, folder)
        env = harness.environment(folder, contender.settings, contender.env)
        with (folder / "stderr").open("wb") as stderr:
            self.popen = subprocess.Popen(
                contender.command,
                executable=shutil.which(contender.command[0], path=env["PATH"]),
                cwd=harness.PROJECT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        assert self.popen.stdout is not None
        self.fd = self.popen.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN)
        self.writers: list[int] = []

    def __enter__(self) -> Stage:
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        harness.kill_descendants(self.popen)
        assert self.popen.stdout is not None
        self.popen.stdout.close()

    def _wait_until_ready(self) -> None:
        """Read its first output until every writer waits for its signal."""
        deadline = time.monotonic() + START
        while None in (pids := [self._number(name, "ready") for name in self._names]):
            if self.readable(0.02):
                words = os.read(self.fd, CHUNK)
                self._last = (self._last + words)[-3000:]
                if not words:
                    raise self.error("closed its stdout before its writers were ready")
            if time.monotonic() > deadline:
                raise self.error(f"did not have its writers ready within {START:g} s")
        self.writers = [pid for pid in pids if pid is not None]

    def readable(self, seconds: float) -> bool:
        return bool(self._poll.poll(seconds * 1000))

    def go(self, counts: Sequence[int]) -> None:
        """Have each writer write that many more lines."""
        for name, count in zip(self._names, counts):
            (self._folder / f"{name}.done").unlink(missing_ok=True)
            (self._folder / f"{name}.go").write_text(str(count))
        self.signal_writers(signal.SIGUSR1)

    def signal_writers(self, number: signal.Signals) -> None:
        for pid in self.writers:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def written(self) -> list[int | None]:
        """Return how many lines each writer has written in all; None while it writes."""
        return [self._number(name, "done") for name in self._names]

    def helpers(self) -> list[psutil.Process]:
        """Return the supervisor and every other process of the tree that is not a writer."""
        return [found for found in harness.descendants() if found.pid not in self.writers]

    def cpu(self) -> dict[int, int]:
        """Return the CPU nanoseconds that each helper has used."""
        used = {}
        for process in self.helpers():
            with suppress(OSError):
                used[process.pid] = activity(process.pid)[1]
        return used

    def memory(self) -> float:
        """Return the unique set size of the helpers, in MB."""
        total = 0
        for process in self.helpers():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().uss
        return total / 1e6

    def error(self, problem: str) -> BenchmarkError:
        said = self._last + (self._folder / "stderr").read_bytes()[-3000:]
        last = "\n".join(f"    {line}" for line in said.decode(errors="replace").splitlines()[-25:])
        return BenchmarkError(f"{self.name} {problem}. Its last words:\n{last or '    (none)'}")

    def _number(self, name: str, what: str) -> int | None:
        with suppress(FileNotFoundError):
            return int((self._folder / f"{name}.{what}").read_text())
        return None


class Capture:
    """Memory for the whole output of a run. Its pages are allocated before the clock starts. During
    the run the bytes are not processed; only the time of each read is recorded."""

    def __init__(self, size: int = MOST) -> None:
        self._memory = bytearray(b"\n") * size
        self._view = memoryview(self._memory)
        self._reads: list[tuple[int, int]] = []  # (end of what has been read, when)
        self.size = 0

    def collect(self, stage: Stage, expected: int) -> None:
        """Read until `expected` lines have come and nothing follows, or until output ceases."""
        self._reads = []
        self.size = arrived = counted = 0
        quiet = 0.0
        deadline = time.monotonic() + LONGEST
        while quiet < QUIET and time.monotonic() < deadline:
            if stage.readable(ENOUGH):
                if not self._read(stage):
                    return
                quiet = 0.0
                continue
            quiet += ENOUGH
            arrived += self._memory.count(lines.MARKER, counted, self.size)
            counted = self.size
            if arrived >= expected:
                return

    def _read(self, stage: Stage) -> int:
        number = os.readv(stage.fd, [self._view[self.size : self.size + CHUNK]])
        moment = time.monotonic_ns()
        self.size += number
        self._reads.append((self.size, moment))
        if self.size == len(self._memory):
            raise stage.error(f"printed more than {self.size / 1e6:.0f} MB")
        return number

    def arrived(self) -> int:
        """Return how many lines have come, whole or not."""
        return self._memory.count(lines.MARKER, 0, self.size)

    def complete(self) -> int:
        """Return when the end of the last line came; later output of the contender is ignored."""
        last = self._memory.rfind(lines.MARKER, 0, self.size)
        if last < 0:
            raise BenchmarkError("not a single line came")
        end = self._memory.find(b"\n", last, self.size) + 1 or self.size
        return self._reads[bisect_left(self._reads, (end, 0))][1]

    def feed(self, verifier: lines.Verifier) -> None:
        bounds = [*range(0, self.size, BLOCK), self.size]
        for start, end in pairwise(bounds):
            verifier.feed(bytes(self._view[start:end]))


# What is measured


class Throughput:
    """Runs of one scenario. Each contender's warm-up determines how many lines its runs have."""

    def __init__(self, scenario: Scenario, place: Path, capture: Capture) -> None:
        self._scenario = scenario
        self._place = place
        self._capture = capture
        self._lines: dict[str, int] = {}

    def __call__(self, peer: Peer) -> dict[str, float]:
        scenario = self._scenario
        found = verifier(peer, scenario.writers, scenario.length)
        with (
            harness.fresh_folder(self._place) as folder,
            Stage(peer, scenario.commands, folder) as stage,
        ):
            warm_up = self._run(stage, WARM_UP, found)
            written = warm_up["expected"]
            if peer.name not in self._lines:
                while warm_up["seconds"] < TARGET / 4 and warm_up["expected"] < self._most(warm_up):
                    warm_up = self._run(stage, self._next(warm_up, 16), found)
                    written += warm_up["expected"]
                self._lines[peer.name] = self._next(warm_up, 1000)
            values = self._run(stage, self._lines[peer.name], found)
        if peer is CAT:  # Its lines are torn, because nothing keeps them apart.
            return values
        share = int(written + values["expected"]) // scenario.writers
        return {**values, **checks(found.total([share] * scenario.writers))}

    def _most(self, values: Mapping[str, float]) -> float:
        """Return how many lines fit into the memory, estimated from the lines so far."""
        return MOST * 0.95 / values["bytes"]

    def _next(self, values: Mapping[str, float], growth: float) -> int:
        wanted = values["expected"] * min(growth, TARGET / values["seconds"])
        return int(min(wanted, self._most(values)))

    def _run(self, stage: Stage, count: int, found: lines.Verifier) -> dict[str, float]:
        """Have the writers write `count` lines in total, and read them."""
        share = max(1, count // self._scenario.writers)
        expected = share * self._scenario.writers
        before = stage.cpu()
        begin = time.monotonic_ns()
        stage.go([share] * self._scenario.writers)
        self._capture.collect(stage, expected)
        used = sum(used - before.get(pid, 0) for pid, used in stage.cpu().items())
        seconds = (self._capture.complete() - begin) / 1e9
        arrived = self._capture.arrived()
        self._capture.feed(found)
        return {
            "expected": expected,
            "seconds": seconds,
            "rate": arrived / seconds / 1000,
            "cpu": used / 1000 / arrived,
            "bytes": self._capture.size / arrived,
        }


def checks(tally: lines.Tally) -> dict[str, float]:
    return {
        "torn": tally.torn,
        "lost": tally.lost,
        "out of order": tally.out_of_order,
        "duplicated": tally.duplicated,
    }


def last_words(place: Path, capture: Capture, peer: Peer) -> dict[str, float]:
    """Measure writers whose last lines are still in the pipe when they exit."""
    values: dict[str, float] = defaultdict(float, complete=0)
    for count in LAST_WORDS:
        found = verifier(peer, LAST.writers, LAST.length)
        with (
            harness.fresh_folder(place) as folder,
            Stage(peer, LAST.commands, folder) as stage,
        ):
            stage.go([count] * LAST.writers)
            capture.collect(stage, count * LAST.writers)
            capture.feed(found)
        total = found.total([count] * LAST.writers)
        values["complete"] += total.perfect
        for name, value in checks(total).items():
            values[name] += value
    return values


def main() -> None:
    parser = peers.arguments(__doc__, rounds=3)
    everything = range(1, len(SCENARIOS) + 2)
    parser.add_argument("--scenario", type=int, action="append", metavar="N", choices=everything)
    options = parser.parse_args()
    wanted = options.scenario or everything
    field = peers.Field(options.only, peers=[*MULTIPLEXERS, CAT, JSON])
    capture = Capture()
    results, tables = {}, {}
    with harness.workplace() as place:
        for number, scenario in enumerate(SCENARIOS, 1):
            if number in wanted:
                harness.progress(f"{scenario.name}:")
                results[scenario.name] = found = harness.take_turns(
                    [peer for peer in field.entrants if number == 1 or peer is not JSON],
                    options.rounds,
                    Throughput(scenario, place, capture),
                    show=[RATE, CPU, *CHECKS],
                )
                tables[scenario.name] = harness.table([RATE, CPU], found)
                tables[f"{scenario.name}: lines"] = harness.table(CHECKS, found, ratio=False)
        if len(SCENARIOS) + 1 in wanted:
            harness.progress(f"{LAST.name}:")
            results[LAST.name] = found = harness.take_turns(
                [peer for peer in field.entrants if peer not in (CAT, JSON)],
                options.rounds,
                partial(last_words, place, capture),
                show=[COMPLETE, *CHECKS],
            )
            tables[LAST.name] = harness.table([COMPLETE, *CHECKS], found, ratio=False)
    harness.report("logs", tables, results, field.where, field.missing, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
