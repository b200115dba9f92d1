"""Ten processes that sleep: what does the supervisor do meanwhile?

Counted over one window for the supervisor and for its helper processes, which are all descendants
but the ten; then, where strace is on PATH, the supervisor's system calls over a second window.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

import harness
import members
import peers
from harness import BenchmarkError, Figure, Run
from peers import Peer

SETTLE = 3.0  # from the first line of the last process to the first window
SUPERVISOR = [
    Figure("switches", "context switches, supervisor", 0),
    Figure("cpu", "CPU, supervisor, ms", 3),
]
SYSTEM_CALLS = Figure("system calls", "system calls, supervisor", 0)
HELPERS = [
    Figure("helpers", "helper processes", 0),
    Figure("helper switches", "context switches, helpers", 0),
    Figure("helper cpu", "CPU, helpers, ms", 3),
]


def measure(place: Path, seconds: float, peer: Peer) -> dict[str, float]:
    with harness.fresh_folder(place) as folder:
        contender = peer.contender(members.COMMANDS, folder)
        with Run(contender, harness.environment(folder, contender.settings)) as run:
            pids = set(members.wait_for_members(run).values())
            time.sleep(SETTLE)
            values = watch(run.pid, pids, seconds)
            if shutil.which("strace"):
                values["system calls"] = system_calls(run.pid, seconds, folder / "strace")
            return values


def watch(supervisor: int, children: Collection[int], seconds: float) -> dict[str, float]:
    """Measure the supervisor and its helpers, which are all descendants except the children."""
    helpers = {process.pid for process in harness.descendants()} - {supervisor, *children}
    before = {pid: activity(pid) for pid in (supervisor, *helpers)}
    time.sleep(seconds)
    used = {}
    for pid, (switches, nanoseconds) in before.items():
        after = activity(pid)
        used[pid] = after[0] - switches, (after[1] - nanoseconds) / 1e6
    return {
        "switches": float(used[supervisor][0]),
        "cpu": used[supervisor][1],
        "helpers": float(len(helpers)),
        "helper switches": float(sum(used[pid][0] for pid in helpers)),
        "helper cpu": sum(used[pid][1] for pid in helpers),
    }


def activity(pid: int) -> tuple[int, int]:
    """Return context switches (voluntary and not) and CPU nanoseconds of all threads."""
    switches = nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches:" in line:
                switches += int(line.split()[1])
        # proc_pid_schedstat(5): time on the CPU in ns; utime and stime have ticks of 10 ms.
        nanoseconds += int((task / "schedstat").read_text().split()[0])
    return switches, nanoseconds


def system_calls(pid: int, seconds: float, file: Path) -> int:
    """Count the system calls that a process's main thread finished while strace watched. A call
    that strace interrupts when it attaches, or that is not finished at the end, does not count."""
    command = ("strace", "-c", "-U", "calls,name", "-o", str(file), "-p", str(pid))
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(seconds)
        # It creates its file before it attaches, so check that it still runs.
        watched = strace.poll() is None
        strace.send_signal(signal.SIGINT)
        _, complaint = strace.communicate(timeout=10)
    finally:
        strace.kill()
        strace.wait()
    if not watched:
        raise BenchmarkError(f"strace says: {complaint.strip()}")
    for line in file.read_text().splitlines():
        if line.split()[-1:] == ["total"]:
            return int(line.split()[0])
    return 0


def main() -> None:
    parser = peers.arguments(__doc__, rounds=1)
    parser.add_argument("--seconds", type=float, default=5, help="window (default: %(default)s)")
    options = parser.parse_args()
    supervisor = [*SUPERVISOR, SYSTEM_CALLS] if shutil.which("strace") else SUPERVISOR
    field = peers.Field(options.only, members.OURS)
    with harness.workplace() as place:
        results = harness.take_turns(
            field.entrants,
            options.rounds,
            partial(measure, place, options.seconds),
            show=[*supervisor, *HELPERS],
        )
    tables = {f"over {options.seconds:g} s": [*supervisor, *HELPERS]}
    field.report("idle", tables, results, options.json, ratio=False)


if __name__ == "__main__":
    with harness.benchmark():
        main()
