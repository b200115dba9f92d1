"""Ten processes that sleep: how soon does `prodctl status` show them?

As a whole process, beside a Python that does nothing; and the answer of the socket. Ours only.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import harness
import members
import peers
from harness import Figure, Run
from peers import Peer

TIMES = 20
PRODCTL = Path(sys.executable).with_name("prodctl")
FIGURES = [
    Figure("prodctl", "`prodctl status`, ms"),
    Figure("python", "`python -c pass`, ms"),
    Figure("answer", "answer of the socket, ms", 3),
]


def measure(place: Path, peer: Peer) -> dict[str, float]:
    with harness.fresh_folder(place) as folder:
        contender = peer.contender(members.COMMANDS, folder)
        path = folder / "control.sock"
        env = harness.environment(folder, contender.settings)
        env["PRODSERVER_CONTROL"] = str(path)
        with Run(contender, env) as run:
            members.wait_for_members(run)
            command = partial(process, env)
            return {
                "prodctl": median(partial(command, str(PRODCTL), "status")),
                "python": median(partial(command, sys.executable, "-c", "pass")),
                "answer": median(partial(ask, path)),
            }


def median(do: Callable[[], object]) -> float:
    """Return the median time in ms, after one call that does not count."""
    do()
    return 1000 * statistics.median(timed(do) for _ in range(TIMES))


def timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def process(env: dict[str, str], *words: str) -> None:
    subprocess.run(words, env=env, stdout=subprocess.DEVNULL, check=True)


def ask(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        while connection.recv(1 << 16):
            pass


def main(arguments: Sequence[str] | None = None) -> None:
    options = peers.arguments(__doc__ or "", rounds=5).parse_args(arguments)
    field = peers.Field(options.only, members.OURS, [])
    with harness.workplace() as place:
        turn = partial(measure, place)
        results = harness.take_turns(field.entrants, options.rounds, turn, FIGURES)
    field.report("control", {"": FIGURES}, results, options.json, ratio=False)


if __name__ == "__main__":
    main()
