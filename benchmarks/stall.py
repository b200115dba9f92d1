"""Two writers flood, and nobody reads for five seconds: who holds it all in memory, who loses it?

Then, in a run of its own: SIGTERM to the supervisor while nobody reads. How soon have it and all
its processes ended? A writer has no handler for SIGTERM, as most programs have none. Who just dies
of SIGTERM and leaves its processes to their fate is not asked.
"""

from __future__ import annotations

import math
import os
import signal
import time
from functools import partial
from pathlib import Path

import harness
import lines
import logs
import peers
from harness import Figure
from logs import CHECKS, CHUNK, Stage
from peers import Command, Peer

WRITERS = 2
LENGTH = 1000
#: Lines for each writer: 300 MB in total, so that no contender's memory grows without limit.
COUNT = 150_000
#: In seconds: reading, not reading, and the longest that reading the rest may take.
BEFORE, STALL, LONGEST = 0.2, 5.0, 120.0
#: From the first line to SIGTERM, and from there to the end.
UNTIL_SIGTERM, ENDING = 2.0, 10.0
FIGURES = [
    Figure("growth", "memory grew by, MB", 1),
    Figure("stop", "SIGTERM to the end of all, s", limit=ENDING),
]


def measure(place: Path, peer: Peer) -> dict[str, float]:
    found = stalled(place, peer)
    if peer.stops_on_sigterm:
        found["stop"] = stopped(place, peer)
    return found


def commands() -> list[Command]:
    return [logs.writer(number, LENGTH, "cut") for number in range(WRITERS)]


def stalled(place: Path, peer: Peer) -> dict[str, float]:
    verifier = logs.verifier(peer, WRITERS, LENGTH)
    with harness.fresh_folder(place) as folder, Stage(peer, commands(), folder) as stage:
        before = most = stage.memory()
        stage.go([COUNT] * WRITERS)
        arrived = read(stage, verifier, 0, BEFORE)
        end = time.monotonic() + STALL
        while time.monotonic() < end:
            most = max(most, stage.memory())
            time.sleep(0.1)
        begin = time.monotonic()
        read(stage, verifier, arrived, LONGEST)
        if time.monotonic() - begin > LONGEST:
            raise stage.error(f"had not printed everything {LONGEST:g} s later")
    return {"growth": most - before, **logs.checks(verifier.total([COUNT] * WRITERS))}


def read(stage: Stage, verifier: lines.Verifier, arrived: int, seconds: float) -> int:
    """Read for `seconds`, until all is there or nothing more comes; return how many lines came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        enough = arrived >= COUNT * WRITERS
        if not stage.readable(logs.ENOUGH if enough else logs.QUIET):
            break
        piece = os.read(stage.fd, CHUNK)
        if not piece:
            break
        arrived += piece.count(lines.MARKER)
        verifier.feed(piece)
    return arrived


def stopped(place: Path, peer: Peer) -> float:
    with harness.fresh_folder(place) as folder, Stage(peer, commands(), folder) as stage:
        stage.go([COUNT] * WRITERS)
        time.sleep(UNTIL_SIGTERM)
        begin = time.monotonic()
        stage.popen.send_signal(signal.SIGTERM)
        while (seconds := time.monotonic() - begin) < ENDING:
            if not any(map(harness.alive, harness.descendants())):
                return seconds
            time.sleep(0.01)
    return math.inf


def main() -> None:
    options = peers.arguments(__doc__, rounds=1).parse_args()
    field = peers.Field(options.only, peers=logs.MULTIPLEXERS)
    with harness.workplace() as place:
        results = harness.take_turns(
            field.entrants, options.rounds, partial(measure, place), show=[*FIGURES, *CHECKS]
        )
    title = f"nobody reads for {STALL:g} s"
    field.report("stall", {title: [*FIGURES, *CHECKS]}, results, options.json, ratio=False)


if __name__ == "__main__":
    with harness.benchmark():
        main()
