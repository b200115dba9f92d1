"""Ten processes that sleep: what does the supervisor do meanwhile?

Counted over one window for the supervisor and for its helper processes, which are all descendants
but the ten; then, where strace is on PATH, the supervisor's system calls over a second window.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import harness
from harness import BenchmarkError, Contender, Figure, Run
from members import wait_for_members

SETTLE = 3.0  # from the last one's first word to the first window
FIGURES = [
    Figure("switches", "context switches, supervisor", 0),
    Figure("cpu", "CPU, supervisor, ms", 3),
    Figure("helpers", "helper processes", 0),
    Figure("helper switches", "context switches, helpers", 0),
    Figure("helper cpu", "CPU, helpers, ms", 3),
]
SYSTEM_CALLS = Figure("system calls", "system calls, supervisor", 0)


def measure(contender: Contender, place: Path, seconds: float) -> dict[str, float]:
    with harness.fresh_folder(place) as folder:
        env = harness.environment(folder, contender.settings)
        with Run(contender, env) as run:
            members = set(wait_for_members(run).values())
            time.sleep(SETTLE)
            everybody = {process.pid for process in harness.descendants()}
            helpers = everybody - members - {run.pid}
            before = {pid: activity(pid) for pid in (run.pid, *helpers)}
            time.sleep(seconds)
            used = {}
            for pid, (switches, nanoseconds) in before.items():
                after = activity(pid)
                used[pid] = after[0] - switches, (after[1] - nanoseconds) / 1e6
            values = {
                "switches": float(used[run.pid][0]),
                "cpu": used[run.pid][1],
                "helpers": float(len(helpers)),
                "helper switches": float(sum(used[pid][0] for pid in helpers)),
                "helper cpu": sum(used[pid][1] for pid in helpers),
            }
            if shutil.which("strace"):
                values["system calls"] = system_calls(run.pid, seconds, folder / "strace")
            run.stop()
            return values


def activity(pid: int) -> tuple[int, int]:
    """Context switches (voluntary and not) and CPU nanoseconds of all threads of a process."""
    switches = nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches:" in line:
                switches += int(line.split()[1])
        # proc_pid_schedstat(5): time on the CPU in ns; utime and stime have ticks of 10 ms.
        nanoseconds += int((task / "schedstat").read_text().split()[0])
    return switches, nanoseconds


def system_calls(pid: int, seconds: float, file: Path) -> int:
    """System calls which the main thread of a process finished while strace watched. The one that
    strace interrupts when it attaches, or finds under way at the end, is not among them."""
    command = ("strace", "-c", "-U", "calls,name", "-o", str(file), "-p", str(pid))
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(seconds)
        # It creates its file before it attaches: only one that still runs has watched.
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
    parser = harness.arguments(__doc__, rounds=1)
    parser.add_argument("--seconds", type=float, default=10, help="window (default: %(default)s)")
    options = parser.parse_args()
    contenders = [
        harness.honcho("Procfile.members"),
        harness.prodserver("project.settings_members"),
    ]
    where = harness.machine(contenders)
    figures = [*FIGURES, SYSTEM_CALLS] if shutil.which("strace") else FIGURES
    with harness.workplace() as place:
        results = harness.take_turns(
            contenders,
            options.rounds,
            lambda contender: measure(contender, place, options.seconds),
            show=figures,
            warm_up=False,
        )
    print(f"Over {options.seconds:g} s:")
    harness.report("idle", figures, results, contenders, where, options.json)


if __name__ == "__main__":
    with harness.benchmark():
        main()
