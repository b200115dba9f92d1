"""A process that sleeps until a signal comes, and records when. It depends on neither Django nor a
supervisor: a peer runs `python -m project.member NAME`; under django-prodserver a backend calls
`main`.

SIGUSR1 makes it exit on its own; SIGTERM or SIGINT, whichever comes first, is the stop signal.
`NAME.died` and `NAME.stopped` in BENCH_FOLDER hold the time in ns of CLOCK_MONOTONIC, which all
processes share.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main(name: str) -> None:
    # sigwait returns without a Python handler in between, so the time is that of the signal.
    awaited = {signal.SIGUSR1, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    folder = os.environ["BENCH_FOLDER"]
    died = os.open(os.path.join(folder, f"{name}.died"), os.O_WRONLY | os.O_CREAT)
    stopped = os.open(os.path.join(folder, f"{name}.stopped"), os.O_WRONLY | os.O_CREAT)
    print(f"waiting {name} {os.getpid()}", flush=True)

    if signal.sigwait(awaited) != signal.SIGUSR1:
        os.write(stopped, b"%d" % time.monotonic_ns())
        # The kernel takes a while to tear down a process: exit only after the others are signalled.
        time.sleep(0.2)
        os._exit(0)
    # _exit, so that no interpreter shutdown comes between the recorded time and the exit.
    os.write(died, b"%d" % time.monotonic_ns())
    os._exit(3)


if __name__ == "__main__":
    main(sys.argv[1])
