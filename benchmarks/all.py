"""All benchmarks, one after the other, into one folder: report.md, and a JSON file for each."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import harness
import peers

#: About twenty minutes on two cores.
FULL = {
    "startup": "--rounds 3",
    "logs": "--rounds 3",
    "latency": "--rounds 2",
    "stall": "--rounds 1",
    "scale": "--rounds 1",
    "idle": "--rounds 1 --seconds 3",
    "crash": "--rounds 7",
}
#: About two minutes: few rounds, few peers.
HONCHO = "--only honcho"
SUPERVISORD = "--only supervisord"
QUICK = {
    "startup": f"--rounds 1 {HONCHO}",
    "logs": f"--rounds 1 --scenario 1 {SUPERVISORD} --only cat",
    "latency": f"--rounds 1 {HONCHO}",
    "stall": f"--rounds 1 {SUPERVISORD}",
    "scale": f"--rounds 1 --count 10 --count 100 {HONCHO}",
    "idle": f"--rounds 1 --seconds 2 {HONCHO}",
    "crash": f"--rounds 3 {HONCHO}",
}


def run(name: str, options: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a benchmark; return its exit status and output. Its progress goes to our stderr."""
    program = str(harness.HERE / f"{name}.py")
    command = (sys.executable, program, *options, "--json", str(folder / f"{name}.json"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as benchmark:
        try:
            printed, _ = benchmark.communicate()
        except SystemExit:
            benchmark.terminate()
            raise
        return benchmark.returncode, printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes, few peers, one round")
    parser.add_argument("--benchmark", action="append", choices=FULL, help="this one; repeatable")
    parser.add_argument("--folder", type=Path, default=harness.HERE / "results")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    report = options.folder / "report.md"
    failed, chapters = [], [f"# Benchmarks\n\n{peers.overview()}\n\n{harness.machine([])}.\n"]
    for name, words in (QUICK if options.quick else FULL).items():
        if options.benchmark and name not in options.benchmark:
            continue
        harness.progress(f"== {name} {words} ==")
        begin = time.monotonic()
        status, printed = run(name, shlex.split(words), options.folder)
        took = f"`{name}.py {words}` took {time.monotonic() - begin:.0f} s."
        if status:
            failed.append(name)
            took += f" It FAILED with exit status {status}."
        harness.progress(took)
        chapters.append(f"## {name}\n\n{took}\n{printed}")
        report.write_text("\n".join(chapters), encoding="utf-8")
    print(report)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    with harness.benchmark():
        main()
