"""How soon does each server answer at a socket that the supervisor holds, and at one of its own?

One client sends one request after the other, on one connection, and then with a new connection for
each. What the application does takes no time. Ours only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.load import Client
from tests.reloading import SERVERS, Site

BINDS = ("held", "own")
WARM_UP = 200
#: Requests in each round: on one connection that is kept, and each on a new one.
REQUESTS = {"kept": 2000, "new": 500}
#: The columns: kind of connection, percentile, and who binds the socket.
COLUMNS = [(way, percent, binds) for way in REQUESTS for percent in (50, 99) for binds in BINDS]


def measure(server: str, binds: str) -> dict[str, list[float]]:
    """Return how long each request took, in ms."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), server, replicas=1)
        site.set({"web": {**site.web, "SOCKETS": binds}})
        with site.running():
            place = ("127.0.0.1", site.port)
            with Client(place) as client:
                for _ in range(WARM_UP):
                    client.ask()
                took = {"kept": [timed(client) for _ in range(REQUESTS["kept"])]}
            took["new"] = [timed_connection(place) for _ in range(REQUESTS["new"])]
    return took


def timed(client: Client) -> float:
    began = time.perf_counter()
    client.ask()
    return (time.perf_counter() - began) * 1000


def timed_connection(place: tuple[str, int]) -> float:
    began = time.perf_counter()
    with Client(place) as client:
        client.ask()
    return (time.perf_counter() - began) * 1000


def cell(rounds: Sequence[Sequence[float]], percent: int) -> str:
    """Return the median of all rounds, with the lowest and the highest."""
    found = [statistics.quantiles(one, n=100)[percent - 1] for one in rounds]
    return f"{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def row(server: str, found: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> str:
    cells = [cell([one[way] for one in found[binds]], percent) for way, percent, binds in COLUMNS]
    return f"| {server} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write all of it there, too")
    options = parser.parse_args()
    heads = [f"{way} p{percent}, {binds}" for way, percent, binds in COLUMNS]
    print(f"| server, ms | {' | '.join(heads)} |\n| --- |{' ---: |' * len(heads)}")
    everything = {}
    for server in options.only:
        found: dict[str, list[dict[str, list[float]]]] = {binds: [] for binds in BINDS}
        for number in range(options.rounds):
            for binds in BINDS if number % 2 else reversed(BINDS):
                found[binds].append(measure(server, binds))
        everything[server] = found
        print(row(server, found), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(everything))


if __name__ == "__main__":
    main()
