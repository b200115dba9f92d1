"""One writer says every few ms what time it is: how long until its line can be read?

Quiet, and while another writer floods. The clock is CLOCK_MONOTONIC, which processes share: read by
the writer just before it writes, and here just after the read that brings the end of the line. A
line that does not come counts as if it came at the very end of the wait.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from functools import partial
from pathlib import Path

import harness
import logs
import peers
from harness import Figure
from logs import CHUNK, Stage
from peers import Peer
from writer import STAMP

COUNT = 700
LENGTH = 100
#: The longest wait. From the first line to the last it takes about 2.5 s.
LONGEST = 8.0
#: The most that the other writer writes, in lines.
FLOOD = 20_000_000
STAMPED = re.compile(STAMP + rb"(\d+)")
FIGURES = [
    Figure("p50", "p50, ms", 3),
    Figure("p99", "p99, ms", 3),
    Figure("max", "max, ms", 3),
    Figure("missing", f"missing of {COUNT}", 0),
]


def measure(place: Path, flood: int, peer: Peer) -> dict[str, float]:
    commands = [logs.writer(0, LENGTH, "stamps"), logs.writer(1, LENGTH, "cut")]
    with harness.fresh_folder(place) as folder, Stage(peer, commands, folder) as stage:
        stage.go([COUNT, flood])
        found = delays(stage)
    missing = COUNT - len(found)
    found += [LONGEST * 1e3] * missing
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98], "max": max(found), "missing": missing}


def delays(stage: Stage) -> list[float]:
    """Return the delay of each line that comes, in ms. Everything is read and nothing is kept."""
    memory = bytearray(b"\n") * (2 * CHUNK)
    view = memoryview(memory)
    found: list[float] = []
    begun = 0  # bytes of an incomplete line
    deadline = time.monotonic() + LONGEST
    while len(found) < COUNT and time.monotonic() < deadline:
        if not stage.readable(1):
            continue
        number = os.readv(stage.fd, [view[begun : begun + CHUNK]])
        moment = time.monotonic_ns()
        if not number:
            raise stage.error("closed its stdout")
        size = begun + number
        end = memory.rfind(b"\n", 0, size) + 1
        if memory.find(STAMP, 0, end) >= 0:
            found += [(moment - int(at)) / 1e6 for at in STAMPED.findall(view[:end])]
        begun = size - end
        if begun > CHUNK:
            raise stage.error("prints a line without an end")
        view[:begun] = bytes(view[end:size])
    return found


def main() -> None:
    options = peers.arguments(__doc__, rounds=3).parse_args()
    field = peers.Field(options.only, peers=[*logs.MULTIPLEXERS, logs.CAT])
    results, tables = {}, {}
    with harness.workplace() as place:
        for title, flood in (("quiet", 0), ("while another one floods", FLOOD)):
            harness.progress(f"{title}:")
            results[title] = harness.take_turns(
                field.entrants, options.rounds, partial(measure, place, flood), show=FIGURES
            )
            tables[title] = harness.table(FIGURES, results[title], ratio=False)
    harness.report("latency", tables, results, field.where, field.missing, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
