"""Everybody who can run a list of commands under one stdout, so that a benchmark measures them all.

    python benchmarks/peers.py          # who can take part here, and in which version
    python benchmarks/peers.py --try    # each runs three commands and is stopped

Each is configured as its documentation tells a user who wants the output of all processes on the
supervisor's stdout, prefixed where it can do that. Nothing else differs from its defaults.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import harness
from harness import PROJECT, BenchmarkError, Contender, Run

NODE_MODULES = harness.HERE / "node_modules"
#: For peers that signal only their child: if that is a shell, the process is left behind. Honcho
#: signals the process group, and concurrently the tree.
EXEC = "exec "


@dataclass(frozen=True)
class Command:
    """`name` has only letters and digits, which every peer accepts; `argv[0]` needs no quoting."""

    name: str
    argv: tuple[str, ...]

    @property
    def line(self) -> str:
        line = shlex.join(self.argv)
        if "\n" in line:
            raise BenchmarkError(f"more than one line to a Procfile: {line}")
        return line


class Peer(ABC):
    name: str
    program: str
    #: how to get it
    install: str
    #: Whether it reads its processes' output. Otherwise they inherit its stdout.
    multiplexes = True
    #: Whether it stops all other processes when one exits, and with which signal.
    stops_all_on_exit = False
    stop_signal = signal.SIGTERM
    #: Whether it stops its processes on SIGTERM. Otherwise it dies and leaves them running.
    stops_on_sigterm = True

    def missing(self) -> str | None:
        """Return why it cannot take part here; None if it can."""
        return None if which(self.program) else f"no {self.program} on PATH ({self.install})"

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        """Return what to run. Its files go into `folder`, which belongs to this run alone."""


# Python


class PythonPeer(Peer):
    package: str

    def version(self) -> str:
        return metadata.version(self.package)

    def python_contender(self, *argv: object) -> Contender:
        command = (self.program, *map(str, argv))
        return Contender(self.name, command, "project.settings")


class Prodserver(PythonPeer):
    """Ours. Its commands are executed without a shell."""

    name = "prodserver"
    program = "python"
    install = "it runs this"
    package = "django-prodserver"
    stops_all_on_exit = True

    def version(self) -> str:
        sys.path.insert(0, str(harness.SOURCE))
        try:
            import django_prodserver
        finally:
            sys.path.remove(str(harness.SOURCE))
        return django_prodserver.__version__

    def contender(
        self, commands: Sequence[Command], folder: Path, *options: str, name: str = ""
    ) -> Contender:
        """`options` follow `--all`; `name` distinguishes two entries of ours in one report."""
        file = folder / "commands.json"
        file.write_text(json.dumps({command.name: command.argv for command in commands}))
        return Contender(
            name or self.name,
            ("python", "manage.py", "prodserver", "--all", *options),
            "project.settings_commands",
            {"BENCH_COMMANDS": str(file)},
        )


class Configured(Prodserver):
    """Ours, with the processes in a settings module instead of commands."""

    def __init__(self, settings: str) -> None:
        self.settings = settings

    def contender(
        self, commands: Sequence[Command], folder: Path, *options: str, name: str = ""
    ) -> Contender:
        command = ("python", "manage.py", "prodserver", "--all", *options)
        return Contender(name or self.name, command, self.settings)


class Honcho(PythonPeer):
    """A SIGTERM while it prints raises an exception (reentrant call), and then it hangs."""

    name = program = package = "honcho"
    install = "pip install honcho"
    stops_all_on_exit = True

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        return self.python_contender("-f", procfile(commands, folder), "start")


class Supervisord(PythonPeer):
    """It has no prefixes: it passes chunks on as they come, including partial lines."""

    name = program = "supervisord"
    install = "pip install supervisor"
    package = "supervisor"

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        supervisord = {
            "nodaemon": "true",
            "logfile": "/dev/null",
            "logfile_maxbytes": "0",
            "pidfile": str(folder / "supervisord.pid"),
        }
        programs = {
            f"program:{command.name}": {
                "command": command.line,
                "stdout_logfile": "/dev/fd/1",
                "stdout_logfile_maxbytes": "0",
                "redirect_stderr": "true",
            }
            for command in commands
        }
        file = folder / "supervisord.conf"
        write_ini(file, {"supervisord": supervisord, **programs}, percent="%%")
        return self.python_contender("-c", file)


class Circus(PythonPeer):
    """FancyStdoutStream is its only stream that shows which process wrote a line, by its PID. It
    colours each line up to its end, and begins a new line after each read of 1024 bytes.
    StdoutStream passes chunks on as they come."""

    name = package = "circus"
    program = "circusd"
    install = "pip install circus"

    def __init__(self, stream: str = "FancyStdoutStream") -> None:
        self.stream = stream

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        circus = {
            "endpoint": f"ipc://{folder}/circus",
            "pubsub_endpoint": f"ipc://{folder}/circus-pubsub",
            # By default it listens on the whole network.
            "multicast_endpoint": "",
        }
        watchers = {
            f"watcher:{command.name}": {
                "cmd": command.line,
                "copy_env": "true",
                "stdout_stream.class": self.stream,
                "stderr_stream.class": self.stream,
            }
            for command in commands
        }
        file = folder / "circus.ini"
        write_ini(file, {"circus": circus, **watchers})
        return self.python_contender(file)


# Node


class NodePeer(Peer):
    package: str
    install = "npm install in benchmarks"

    def missing(self) -> str | None:
        if not which("node"):
            return "no node on PATH"
        if not (NODE_MODULES / ".bin" / self.program).exists():
            return f"{self.program} is not in benchmarks/node_modules (npm install)"
        return None

    def version(self) -> str:
        about = json.loads((NODE_MODULES / self.package / "package.json").read_text())
        return f"{about['version']} (node {said('node', '--version').lstrip('v')})"

    def node_contender(self, *argv: object, **env: str) -> Contender:
        command = (str(NODE_MODULES / ".bin" / self.program), *map(str, argv))
        return Contender(self.name, command, "project.settings", env)


class NodeForeman(NodePeer):
    """On SIGTERM it dies and leaves its processes running. It wraps lines longer than 500
    characters, and splits a line in two if a chunk ends within it."""

    name = "foreman (node)"
    program = "nf"
    package = "foreman"
    stops_all_on_exit = True
    stop_signal = signal.SIGINT
    stops_on_sigterm = False

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        return self.node_contender("start", "-j", procfile(commands, folder, EXEC))


class Concurrently(NodePeer):
    """To stop a process it runs ps once for each process in its tree, and each one that exits makes
    it stop all others again: it cannot stop 300 processes within 40 s."""

    name = program = package = "concurrently"
    stops_all_on_exit = True

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        names = ",".join(command.name for command in commands)
        options = ("--names", names, "--prefix", "name", "--no-color", "--kill-others")
        return self.node_contender(*options, *(command.line for command in commands))


class Pm2Runtime(NodePeer):
    """Its default output is raw: `--formatted` adds prefixes, in colour. It splits a line in two if
    a chunk ends within it, and loses empty lines. It also writes log files to PM2_HOME."""

    name = program = "pm2-runtime"
    package = "pm2"
    stop_signal = signal.SIGINT

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        apps = [
            {
                "name": command.name,
                "script": which(command.argv[0]) or command.argv[0],
                "args": command.argv[1:],
                "interpreter": "none",
                "exec_mode": "fork",
                "autorestart": False,
                "cwd": str(PROJECT),
            }
            for command in commands
        ]
        file = folder / "ecosystem.json"
        file.write_text(json.dumps({"apps": apps}, indent=2))
        return self.node_contender("start", file, "--formatted", PM2_HOME=str(folder / "pm2"))


# Others


class RubyForeman(Peer):
    name = "foreman (ruby)"
    program = "foreman"
    install = "gem install foreman"
    stops_all_on_exit = True

    def version(self) -> str:
        return f"{said('foreman', '--version')} (ruby {said('ruby', '--version').split()[1]})"

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        # Without -d, its processes would run in the Procfile's folder.
        file = procfile(commands, folder, EXEC)
        command = ("foreman", "start", "-f", str(file), "-d", str(PROJECT))
        return Contender(self.name, command, "project.settings")


class S6(Peer):
    name = "s6"
    program = "s6-svscan"
    install = "your distribution's s6"
    multiplexes = False

    def version(self) -> str:
        """Ask Debian's package manager, because s6 does not print its version."""
        return said("dpkg-query", "-W", "-f", "${Version}", "s6") if which("dpkg-query") else "?"

    def contender(self, commands: Sequence[Command], folder: Path) -> Contender:
        for command in commands:
            run = folder / "s6" / command.name / "run"
            run.parent.mkdir(parents=True)
            # s6-supervise runs in the folder of its service.
            cd = shlex.join(("cd", str(PROJECT)))
            run.write_text(f"#!/bin/sh\nexec 2>&1\n{cd}\nexec {command.line}\n")
            run.chmod(0o755)
        scan = ("s6-svscan", str(folder / "s6"))
        return Contender(self.name, scan, "project.settings")


PEERS: tuple[Peer, ...] = (
    Honcho(),
    Supervisord(),
    Circus(),
    RubyForeman(),
    NodeForeman(),
    Concurrently(),
    Pm2Runtime(),
    S6(),
)
OURS = Prodserver()


def present(peers: Iterable[Peer] = PEERS) -> list[Peer]:
    """Return the peers that can take part here; the others are named on stderr."""
    peers = list(peers)
    for remark in absent(peers):
        harness.progress(remark)
    return [peer for peer in peers if not peer.missing()]


def absent(peers: Iterable[Peer] = PEERS) -> list[str]:
    """Return which peers cannot take part, and why."""
    return [f"without {peer.name}: {reason}" for peer in peers if (reason := peer.missing())]


class Field:
    """The participants of a benchmark: the selected peers that are installed, and ours."""

    def __init__(
        self, only: Sequence[str], ours: Peer = OURS, peers: Iterable[Peer] = PEERS
    ) -> None:
        wanted = [peer for peer in peers if not only or peer.name in only]
        self.missing = absent(wanted)
        self.entrants = [*present(wanted), ours]
        self.where = harness.machine([f"{peer.name} {peer.version()}" for peer in self.entrants])

    def report(
        self,
        benchmark: str,
        tables: Mapping[str, Sequence[harness.Figure]],
        results: harness.Results,
        file: Path | None,
        ratio: bool = True,
    ) -> None:
        rendered = {
            title: harness.table(figures, results, ratio) for title, figures in tables.items()
        }
        harness.report(benchmark, rendered, {"": results}, self.where, self.missing, file)


def arguments(description: str, rounds: int) -> argparse.ArgumentParser:
    parser = harness.arguments(description, rounds)
    help_ = "this peer, and ours; may be repeated"
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=help_)
    return parser


# Their files


def procfile(commands: Sequence[Command], folder: Path, before: str = "") -> Path:
    file = folder / "Procfile"
    file.write_text("".join(f"{command.name}: {before}{command.line}\n" for command in commands))
    return file


def write_ini(file: Path, sections: dict[str, dict[str, str]], percent: str = "%") -> None:
    text = ""
    for section, values in sections.items():
        text += f"[{section}]\n"
        for key, value in values.items():
            if re.search(r"\s[;#]", value):
                raise BenchmarkError(f"to an ini file the end of this is a comment: {value}")
            text += f"{key} = {value.replace('%', percent)}\n"
    file.write_text(text)


def which(program: str) -> str | None:
    """Return the path of a program in a contender's environment."""
    return shutil.which(program, path=harness.environment(PROJECT, "")["PATH"])


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# By hand


def overview() -> str:
    rows = [("peer", "version", "multiplexes", "stops all when one ends"), ("---",) * 4]
    for peer in (*PEERS, OURS):
        version = peer.missing() or peer.version()
        flags = (peer.multiplexes, peer.stops_all_on_exit)
        rows.append((peer.name, version, *("yes" if flag else "no" for flag in flags)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def try_out(peer: Peer, folder: Path) -> str:
    """Return what a peer prints for three commands, and how it stops. The commands contain
    characters that break with careless quoting."""
    code = (
        "import itertools, sys, time; "
        '[print("%s\'s $HOME; 100%%" % sys.argv[1], n, flush=True) or time.sleep(.2) '
        "for n in itertools.count()]"
    )
    names = ("one", "two", "three")
    commands = [Command(name, ("python", "-c", code, name)) for name in names]
    contender = peer.contender(commands, folder)
    with Run(contender, harness.environment(folder, contender.settings)) as run:
        wanted = [re.compile(rf"{name}'s \$HOME; 100% \d") for name in names]
        found = run.wait_for_lines(wanted, 20)
        started = max(moment for moment, _ in found.values()) - run.started
        lines = [repr(match.string) for _, match in found.values()]
        # honcho hangs if the signal comes while it prints, and it has just printed.
        time.sleep(0.1)
        seconds = run.end(20)
        # Count at once: a process left behind has a broken stdout, and soon dies of that.
        left = sum(map(harness.alive, harness.descendants()))
    if bool(left) == peer.stops_on_sigterm:
        raise run.error(f"left {left} processes running, which is not what peers.py says")
    end = f"all three up in {started:.2f} s, SIGTERM to end {seconds:.3f} s, {left} left"
    return "\n".join(f"    {line}" for line in (*lines, end))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--try", action="store_true", dest="try_all", help="start each of them")
    parser.add_argument("--only", metavar="NAME", help="with --try: this one alone")
    options = parser.parse_args()
    print(overview())
    if not options.try_all:
        return
    for peer in present((*PEERS, OURS)):
        if options.only in (None, peer.name):
            print(f"\n{peer.name}", flush=True)
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                print(try_out(peer, Path(folder)), flush=True)


if __name__ == "__main__":
    with harness.benchmark():
        main()
