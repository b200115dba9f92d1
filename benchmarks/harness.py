"""Shared by the benchmarks: starts a contender in a session of its own, reads and times its output
line by line, measures its whole process tree and, whatever happens, kills it.

Linux only: it needs /proc, PSS and the adoption of orphans.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import psutil

HERE = Path(__file__).resolve().parent
PROJECT = HERE / "project"
SOURCE = HERE.parent / "src"
PACKAGES = (
    "django",
    "gunicorn",
    "uvicorn",
    "waitress",
    "celery",
    "django-tasks",
    "django-tasks-db",
    "psutil",
)


class Entrant(Protocol):
    """A participant in a benchmark, such as a peers.Peer."""

    @property
    def name(self) -> str: ...


class Results(dict[str, dict[str, list[float]]]):
    """Contender -> figure -> one value per round; the last contender is ours."""

    def __init__(self) -> None:
        super().__init__()
        #: which contender failed, when and why
        self.failures: list[str] = []


@dataclass(frozen=True)
class Contender:
    """What to run; `env` is added to the environment that all contenders share."""

    name: str
    command: tuple[str, ...]
    settings: str
    env: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Figure:
    """A measured figure; an infinite value means that `limit` was exceeded."""

    key: str
    title: str
    digits: int = 2
    limit: float = math.inf


class BenchmarkError(Exception):
    """A benchmark has no result; the message says why, with the contender's last lines."""


# What runs


EntrantT = TypeVar("EntrantT", bound=Entrant)


def take_turns(
    entrants: Sequence[EntrantT],
    rounds: int,
    measure: Callable[[EntrantT], Mapping[str, float]],
    show: Sequence[Figure],
    warm_up: Callable[[EntrantT], Mapping[str, float]] | None = None,
) -> Results:
    """Measure every entrant once per round, after a warm-up that does not count (round 0). The
    order is reversed every other round, so that no entrant benefits from coming first.

    A peer that fails gets one more chance in the next round. A failure of ours ends the benchmark.
    """
    results = Results()
    for entrant in entrants:
        results[entrant.name] = {}
    chances = dict.fromkeys(results, 2)
    for number in range(0 if warm_up else 1, rounds + 1):
        title = f"round {number}" if number else "warm-up"
        for entrant in entrants if number % 2 == 0 else reversed(entrants):
            if not chances[entrant.name]:
                continue
            try:
                values = measure(entrant) if number or not warm_up else warm_up(entrant)
            except (BenchmarkError, OSError) as error:
                if entrant is entrants[-1]:
                    raise
                reason = str(error).removeprefix(f"{entrant.name} ")
                progress(f"{title}: {entrant.name} failed: {reason}")
                reason = reason.partition(" Its last lines:")[0]
                results.failures.append(f"{entrant.name} failed in {title}: {reason}")
                chances[entrant.name] -= 1
                continue
            said = (f"{f.title}: {_number(values[f.key], f)}" for f in show if f.key in values)
            progress(f"{title}: {entrant.name}: {', '.join(said)}")
            if number:
                for key, value in values.items():
                    results[entrant.name].setdefault(key, []).append(value)
    return results


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder with a migrated database, as a template for the runs."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        template = Path(name) / "template"
        for folder in ("queue", "control"):
            (template / folder).mkdir(parents=True)
        subprocess.run(
            ("python", "manage.py", "migrate", "--verbosity", "0"),
            cwd=PROJECT,
            env=environment(template, "project.settings"),
            check=True,
        )
        yield Path(name)


@contextmanager
def fresh_folder(place: Path) -> Iterator[Path]:
    """A copy of the template, so that no run finds leftovers of another."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(shutil.copytree(place / "template", name, dirs_exist_ok=True))


def environment(
    folder: Path, settings: str, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment: the same for every contender, except for the settings module."""
    interpreter = os.path.dirname(sys.executable)
    return {
        "PATH": os.pathsep.join((interpreter, os.environ.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH")))),
        "DJANGO_SETTINGS_MODULE": settings,
        "BENCH_FOLDER": str(folder),
        # gunicorn puts its control socket in HOME.
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "BENCH_HEAVY": os.environ.get("BENCH_HEAVY", ""),
        **(extra or {}),
    }


class Run:
    """A running contender. Leaving the `with` block kills the rest of its process tree."""

    def __init__(self, contender: Contender, env: Mapping[str, str]) -> None:
        self.contender = contender
        env = {**env, **contender.env}
        self.lines: list[tuple[float, str]] = []
        self._news = threading.Condition()
        self._all_read = False
        self.started = time.monotonic()
        try:
            self._popen = subprocess.Popen(
                contender.command,
                executable=shutil.which(contender.command[0], path=env["PATH"]),
                cwd=PROJECT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise BenchmarkError(f"{contender.name} is not installed ({error})") from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        kill_descendants(self._popen)
        self._reader.join(5)
        assert self._popen.stdout is not None
        self._popen.stdout.close()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._popen.poll()

    def wait_for_lines(
        self, patterns: Collection[re.Pattern[str]], timeout: float
    ) -> dict[re.Pattern[str], tuple[float, re.Match[str]]]:
        """Return, for each pattern, when the first matching line came, and the match."""
        deadline = time.monotonic() + timeout
        found: dict[re.Pattern[str], tuple[float, re.Match[str]]] = {}
        seen = 0
        with self._news:
            while True:
                for moment, line in self.lines[seen:]:
                    for pattern in patterns:
                        match = pattern.search(line)
                        if match and pattern not in found:
                            found[pattern] = (moment, match)
                seen = len(self.lines)
                if len(found) == len(patterns):
                    return found
                missing = [pattern.pattern for pattern in patterns if pattern not in found]
                if self.ended is not None:
                    raise self.error(f"ended with {self.ended} before {missing}")
                if time.monotonic() > deadline:
                    raise self.error(f"printed nothing like {missing} within {timeout:g} s")
                self._news.wait(0.1)

    def end(self, limit: float) -> float:
        """Send SIGTERM to the supervisor alone; return the seconds until it exits, or infinity."""
        begin = time.monotonic()
        self._popen.send_signal(signal.SIGTERM)
        while (seconds := time.monotonic() - begin) < limit:
            if self.ended is not None:
                return seconds
            time.sleep(0.005)
        return math.inf

    def stop(self, limit: float) -> float:
        """Do the same, but wait until all its processes have exited as well."""
        begin = time.monotonic()
        seconds = self.end(limit)
        while seconds < limit and any(map(alive, descendants())):
            time.sleep(0.005)
            seconds = time.monotonic() - begin
        return seconds if seconds < limit else math.inf

    def error(self, problem: str) -> BenchmarkError:
        if self.ended is not None:
            with self._news:
                self._news.wait_for(lambda: self._all_read, 1)
        last = "\n".join(f"    {line}" for _, line in self.lines[-25:])
        return BenchmarkError(
            f"{self.contender.name} {problem}. Its last lines:\n{last or '    (none)'}"
        )

    def _read(self) -> None:
        assert self._popen.stdout is not None
        fd = self._popen.stdout.fileno()
        rest = b""
        while True:
            chunk = os.read(fd, 65536)
            moment = time.monotonic()
            *whole, rest = (rest + chunk).split(b"\n")
            with self._news:
                self.lines += [(moment, line.decode(errors="replace")) for line in whole]
                self._all_read = not chunk
                self._news.notify_all()
            if not chunk:
                return


# What is measured


def http_ok_at(port: int, deadline: float) -> float | None:
    """Request / on 127.0.0.1 every 5 ms; return when the first response with 200 came."""
    while time.monotonic() < deadline:
        with suppress(OSError):
            if b" 200 " in http_status(port, deadline - time.monotonic()):
                return time.monotonic()
        time.sleep(0.005)
    return None


def http_status(port: int, timeout: float = 10) -> bytes:
    """Return the status line of a GET of / on 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b""
        while b"\r\n" not in answer:
            chunk = connection.recv(4096)
            if not chunk:
                break
            answer += chunk
        return answer.split(b"\r\n", 1)[0]


def free_ports(first: int, count: int) -> list[int]:
    """Return the first `count` free ports from `first` upwards."""
    ports: list[int] = []
    for port in range(first, first + 100):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise BenchmarkError(f"fewer than {count} ports are free from {first} to {first + 99}")


def adopt_orphans() -> None:
    """Make orphans children of this process, not of init. Its descendants are then the whole tree
    of the contender, even if that abandons processes or dies before them."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants() -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def cpu_seconds() -> float:
    """Return user and system time of the whole tree. A live process (or zombie) counts its own time
    and that of the children it has reaped. Only one parent reaps a process, so nothing counts
    twice."""
    total = 0.0
    for process in descendants():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def pss_bytes() -> int:
    """Return the PSS of the whole tree: a page that n processes share counts 1/n in each."""
    total = 0
    for process in descendants():
        with suppress(psutil.NoSuchProcess):  # ZombieProcess is a subclass; a zombie has no memory
            total += process.memory_full_info().pss
    return total


def kill_descendants(popen: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to every process of the tree, by PID, until none is left."""
    for _ in range(100):
        popen.poll()
        left = descendants()
        if not left:
            return
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=0.2)
        for process in left:
            # Reap adopted orphans, but not popen, which the next poll() reaps.
            if process.pid != popen.pid:
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
    raise BenchmarkError(f"processes that cannot be killed: {descendants()}")


# What is printed


def arguments(description: str, rounds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=_positive, default=rounds, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there, too")
    return parser


def machine(versions_of_peers: Sequence[str]) -> str:
    """Return what the numbers depend on, in one line."""
    versions = []
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    versions += versions_of_peers
    return (
        f"{len(os.sched_getaffinity(0))} cores, {_cpu_model()}, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}, "
        f"load {os.getloadavg()[0]:.2f} at the start"
    )


def table(figures: Sequence[Figure], results: Results, ratio: bool = True) -> str:
    """Return Markdown, a row for each contender: the median (min-max), and ours divided by it."""
    *_, ours = results.values()
    head = [""]
    for figure in figures:
        head += [figure.title, "ratio"][: 1 + ratio]
    rows = [head, ["---", *("---:" for _ in head[1:])]]
    for name, values in results.items():
        row = [name]
        for figure in figures:
            theirs = values.get(figure.key, [])
            row.append(spread(theirs, figure) if values else "failed")
            if ratio:
                row.append("" if values is ours else _ratio(ours.get(figure.key, []), theirs))
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(
    benchmark: str,
    tables: Mapping[str, str],
    results: Mapping[str, Results],
    where: str,
    missing: Sequence[str],
    file: Path | None,
) -> None:
    """Print the tables, failed and missing contenders, and what the numbers depend on. Write every
    value to `file`, with null for a value beyond the limit."""
    date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    for title, text in tables.items():
        print(f"\n{title}:\n\n{text}" if title else f"\n{text}")
    remarks = [*missing, *(f for found in results.values() for f in found.failures)]
    if remarks:
        print("\n" + "\n".join(f"- {remark}" for remark in remarks))
    rounds = max(len(v) for found in results.values() for f in found.values() for v in f.values())
    print(f"\nRounds: {rounds}. {where}. {date}.")
    if file:
        data = {"benchmark": benchmark, "date": date, "machine": where, "remarks": remarks}
        data["results"] = json.loads(json.dumps(results), parse_constant=lambda _: None)
        file.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def benchmark() -> Iterator[None]:
    """Wrap a benchmark: SIGTERM cleans up as Ctrl-C does, and a failure becomes a message."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    adopt_orphans()
    try:
        yield
    except BenchmarkError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1, please")
    return number


def spread(values: Sequence[float], figure: Figure) -> str:
    if not values:
        return "-"
    middle, low, high = (
        _number(value, figure) for value in (statistics.median(values), min(values), max(values))
    )
    return middle if len(values) == 1 or low == high else f"{middle} ({low}-{high})"


def _number(value: float, figure: Figure) -> str:
    if math.isinf(value):
        return f"> {figure.limit:g}"
    return f"{value:.{figure.digits}f}"


def _ratio(mine: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the ratio of the medians."""
    m, t = (statistics.median(values) if values else 0.0 for values in (mine, theirs))
    if not t or math.isinf(m + t):
        return "-"
    digits = 0 if m / t >= 10 else 2 if m / t >= 0.1 else 4
    return f"{m / t:.{digits}f}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
