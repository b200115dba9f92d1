"""1, 10, 100, 300 processes that do nothing: what does each one more cost?

All is seen from outside: a process is started once it has become `sleep`. It costs what the whole
tree costs, since what is done between fork and exec is done in its name.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import harness
import idle
import peers
import psutil
from harness import Figure, Results, Run
from peers import Command, Peer

ARGV = ("sleep", "1000")
COUNTS = (1, 10, 100, 300)
#: The number of processes at which the idle supervisor is watched.
IDLE = 100
LONGEST = 30.0
STOP = 20.0
SETTLE, WINDOW = 1.5, 3.0

STARTED = Figure("started", "started, s", 3)
STOPPED = Figure("stopped", "SIGTERM to the end of all, s", 3, STOP)
CPU = Figure("cpu of all", "CPU of the whole tree until all are started, s")
MEMORY = Figure("memory", "private memory of supervisor and helpers, MB", 1)
ASLEEP = [*idle.SUPERVISOR, *idle.HELPERS]


def measure(place: Path, count: int, peer: Peer) -> dict[str, float]:
    commands = [Command(f"s{number}", ARGV) for number in range(count)]
    with harness.fresh_folder(place) as folder:
        contender = peer.contender(commands, folder)
        env = harness.environment(folder, contender.settings)
        sleepers = Sleepers()
        with Run(contender, env) as run:
            pids = sleepers.wait(run, count)
            values = {"started": time.monotonic() - run.started, "cpu of all": cpu_seconds()}
            time.sleep(SETTLE)
            values["memory"] = private_bytes(pids) / 1e6
            if count == IDLE:
                values = {**idle.watch(run.pid, pids, WINDOW), **values}
            if peer.stops_on_sigterm:
                values["stopped"] = run.stop(STOP)
            return values


class Sleepers:
    """The processes that have become `sleep` since this was created."""

    def __init__(self) -> None:
        self._others = everybody()

    def wait(self, run: Run, count: int) -> set[int]:
        found: set[int] = set()
        wanted = b"".join(word.encode() + b"\0" for word in ARGV)
        deadline = run.started + LONGEST
        while len(found) < count:
            if run.ended is not None or time.monotonic() > deadline:
                raise run.error(f"has not started more than {len(found)} of {count}")
            time.sleep(0.01)
            for pid in everybody() - self._others - found:
                with suppress(OSError):
                    # pm2-runtime runs it by its absolute path.
                    if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(wanted):
                        found.add(pid)
        return found


def everybody() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}


def cpu_seconds() -> float:
    """Return the CPU time of the whole tree: of live processes with a precision of ns, because most
    use less than a tick of 10 ms; of reaped ones in ticks."""
    total = 0.0
    for process in harness.descendants():
        with suppress(psutil.NoSuchProcess, OSError):
            times = process.cpu_times()
            total += times.children_user + times.children_system
            total += idle.activity(process.pid)[1] / 1e9
    return total


def private_bytes(children: Collection[int]) -> int:
    """Return the private dirty memory of the supervisor and its helpers. The unique set size would
    include pages of files that no other process happens to use."""
    total = 0
    for process in harness.descendants():
        if process.pid not in children:
            with suppress(OSError):
                for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Private_Dirty:"):
                        total += int(line.split()[1]) * 1024
    return total


def table(figure: Figure, found: Mapping[int, Results], each: str = "") -> str:
    """Return a row for each contender, with a column for each number of processes; then the cost of
    one more process, in the unit `each`, which is a thousandth of the figure's unit."""
    counts = list(found)
    steps = list(zip(counts, counts[1:])) if each else []
    head = ["", *(f"{count}" for count in counts)]
    head += [f"each from {few} to {many}, {each}" for few, many in steps]
    rows = [head, ["---", *("---:" for _ in head[1:])]]
    for name in found[counts[0]]:
        values = {count: found[count][name].get(figure.key, []) for count in counts}
        row = [name]
        for count in counts:
            row.append(harness.spread(values[count], figure) if found[count][name] else "failed")
        for few, many in steps:
            known = values[few] and values[many]
            row.append(f"{slope(few, values[few], many, values[many]):.2f}" if known else "-")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def slope(few: int, cost: Sequence[float], many: int, more: Sequence[float]) -> float:
    return (statistics.median(more) - statistics.median(cost)) / (many - few) * 1000


def main() -> None:
    parser = peers.arguments(__doc__, rounds=1)
    parser.add_argument("--count", type=int, action="append", metavar="N", help="instead of all")
    options = parser.parse_args()
    field = peers.Field(options.only)
    found = {}
    with harness.workplace() as place:
        for count in options.count or COUNTS:
            harness.progress(f"{count}:")
            found[count] = harness.take_turns(
                field.entrants,
                options.rounds,
                partial(measure, place, count),
                show=[STARTED, STOPPED, CPU, MEMORY],
            )
    tables = {figure.title: table(figure, found) for figure in (STARTED, STOPPED)}
    tables[CPU.title] = table(CPU, found, "ms")
    tables[MEMORY.title] = table(MEMORY, found, "kB")
    if IDLE in found:
        title = f"{IDLE} of them, asleep, over {WINDOW:g} s"
        tables[title] = harness.table(ASLEEP, found[IDLE], ratio=False)
    harness.report("scale", tables, found, field.where, field.missing, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
