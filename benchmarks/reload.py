"""Failed requests while a site is reloaded, updated and stopped, for each server.

A whole site each time: `manage.py prodserver --all` with two instances of the server, under
clients that verify every response. Ours only; benchmarks/README.md names what peers do.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.load import Failure
from tests.reloading import SERVERS, Site

# How many requests have to succeed between two reloads or updates.
BETWEEN = 100


class Row(NamedTuple):
    """The results of one server."""

    server: str
    requests: int
    reloads: int
    updates: int
    stops: int
    seconds: float
    # Of the supervisor, after the first and the last reload: PSS in MiB, and file descriptors.
    memory: tuple[float, float]
    descriptors: tuple[int, int]
    failures: Mapping[str, int]


def measure(server: str, folder: Path, times: argparse.Namespace) -> Row:
    site = Site(folder, server)
    failures: list[tuple[str, Failure]] = []
    requests, took, sizes = 0, [], []
    with site.running() as run:
        for what, count, words in (
            ("reloads", times.reloads, ["reload"]),
            ("updates", times.updates, ["restart", "web"]),
        ):
            with site.load() as load:
                load.wait_for(BETWEEN)
                for _ in range(count):
                    began = time.monotonic()
                    assert site.prodctl(*words).status == 0, site.log[-2000:]
                    if what == "reloads":
                        took.append(time.monotonic() - began)
                        sizes.append((_pss(run.pid), len(os.listdir(f"/proc/{run.pid}/fd"))))
                    load.wait_for(BETWEEN)
            requests += sum(load.succeeded.values())
            failures += [(what, one) for one in load.failures]
    for _ in range(times.stops):
        with site.running() as run, site.load() as load:
            load.wait_for(BETWEEN)
            run.send_signal(signal.SIGTERM)
            run.wait(60)
        requests += sum(load.succeeded.values())
        # After the stop, connections are refused: the client knows, and no request is lost.
        failures += [
            ("stops", one) for one in load.failures if "ConnectionRefusedError" not in one.why
        ]
    count = Counter(what for what, _ in failures)
    memory = (sizes[0][0], sizes[-1][0]) if sizes else (0.0, 0.0)
    descriptors = (sizes[0][1], sizes[-1][1]) if sizes else (0, 0)
    return Row(
        server,
        requests,
        *(count[what] for what in ("reloads", "updates", "stops")),
        statistics.median(took) if took else 0.0,
        memory,
        descriptors,
        Counter(f"{what}: {one.kind}, {_where(one)}, {one.why}" for what, one in failures),
    )


def _where(failure: Failure) -> str:
    """Say whether the connection was idle: a server may close an idle one just as it is used.

    RFC 9112, section 9.3.1.
    """
    if failure.idle is None:
        return "on a new connection"
    return f"on a connection that was idle for {failure.idle:.1f} s"


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--stops", type=int, default=30)
    parser.add_argument("--json", metavar="FILE", help="write all of it there, too")
    times = parser.parse_args(arguments)
    rows = []
    print(
        f"| server | requests | failed in {times.reloads} reloads | failed in {times.updates} ",
        end="",
    )
    print(f"updates | lost in {times.stops} stops | a reload, s | supervisor, MiB | descriptors |")
    print("| --- |" + " ---: |" * 7)
    for server in times.only:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(server, Path(folder), times)
        rows.append(row)
        cells = [
            row.server,
            str(row.requests),
            str(row.reloads),
            str(row.updates),
            str(row.stops),
            f"{row.seconds:.2f}",
            "{:.1f} to {:.1f}".format(*row.memory),
            "{} to {}".format(*row.descriptors),
        ]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        for what, count in row.failures.items():
            print(f"  {count} x {what}", file=sys.stderr, flush=True)
    if times.json:
        Path(times.json).write_text(json.dumps([row._asdict() for row in rows], indent=1))


if __name__ == "__main__":
    main()
