"""Ten processes, one dies: how soon is the stop signal at the other nine?

The processes themselves write down when they died and when SIGTERM came (project/member.py).
"""

from __future__ import annotations

import os
import signal
import statistics
from pathlib import Path

import harness
from harness import Contender, Figure, Run
from members import NAMES, wait_for_members

VICTIM = "m5"
FIGURES = [
    Figure("first", "death to SIGTERM at the first, ms"),
    Figure("median", "death to SIGTERM, median of the nine, ms"),
    Figure("last", "death to SIGTERM at the last, ms"),
]


def measure(contender: Contender, place: Path) -> dict[str, float]:
    with harness.fresh_folder(place) as folder:
        env = harness.environment(folder, contender.settings)
        with Run(contender, env) as run:
            os.kill(wait_for_members(run)[VICTIM], signal.SIGUSR1)
            run.wait(40)
        death = int((folder / f"{VICTIM}.died").read_bytes())
        delays = []
        for name in NAMES:
            if name != VICTIM:
                stopped = (folder / f"{name}.stopped").read_bytes()
                if not stopped:
                    raise run.error(f"sent {name} no SIGTERM")
                delays.append((int(stopped) - death) / 1e6)
    return {"first": min(delays), "median": statistics.median(delays), "last": max(delays)}


def main() -> None:
    options = harness.arguments(__doc__, rounds=15).parse_args()
    contenders = [
        harness.honcho("Procfile.members"),
        harness.prodserver("project.settings_members"),
    ]
    where = harness.machine(contenders)
    with harness.workplace() as place:
        results = harness.take_turns(
            contenders,
            options.rounds,
            lambda contender: measure(contender, place),
            show=FIGURES,
        )
    harness.report("crash", FIGURES, results, contenders, where, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
