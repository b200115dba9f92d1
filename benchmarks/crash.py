"""Ten processes, one dies: how soon is the stop signal at the other nine?

The processes themselves write down when they died and when SIGTERM or SIGINT came
(project/member.py). Who lets the others live does not take part.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from functools import partial
from pathlib import Path

import harness
import members
import peers
from harness import Figure, Run
from peers import Peer

VICTIM = "m5"
LONGEST = 10.0
FIGURES = [
    Figure("first", "death to stop signal at the first, ms"),
    Figure("median", "median of the nine, ms"),
    Figure("last", "at the last, ms"),
]


def measure(place: Path, peer: Peer) -> dict[str, float]:
    with harness.fresh_folder(place) as folder:
        contender = peer.contender(members.COMMANDS, folder)
        with Run(contender, harness.environment(folder, contender.settings)) as run:
            os.kill(members.wait_for_members(run)[VICTIM], signal.SIGUSR1)
            moments = stop_signals(run, folder)
        death = int((folder / f"{VICTIM}.died").read_bytes())
    delays = [(moment - death) / 1e6 for moment in moments]
    return {"first": min(delays), "median": statistics.median(delays), "last": max(delays)}


def stop_signals(run: Run, folder: Path) -> list[int]:
    files = [folder / f"{name}.stopped" for name in members.NAMES if name != VICTIM]
    deadline = time.monotonic() + LONGEST
    while not all(file.stat().st_size for file in files):
        if time.monotonic() > deadline:
            raise run.error(f"has not sent everybody a stop signal within {LONGEST:g} s")
        time.sleep(0.1)
    return [int(file.read_bytes()) for file in files]


def main() -> None:
    options = peers.arguments(__doc__, rounds=15).parse_args()
    able = [peer for peer in peers.PEERS if peer.stops_all_on_exit]
    field = peers.Field(options.only, members.OURS, able)
    with harness.workplace() as place:
        turn = partial(measure, place)
        results = harness.take_turns(field.entrants, options.rounds, turn, FIGURES, warm_up=turn)
    field.report("crash", {"": FIGURES}, results, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
