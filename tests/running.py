"""How tests start commands: in a copy of a project, without leaving a process behind."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import textwrap
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any, NamedTuple, Optional, TypeVar

import psutil
import pytest

from django_prodserver import test

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "examples" / "quickstart"
SHELL = "django_prodserver.backends.command.ShellCommand"
PYTHON = (sys.executable, "-W", "error")

MARK = "PRODSERVER_TEST_MARK"
PRODUCTION = "PRODSERVER_TEST_PRODUCTION"
CHANNEL = "PRODSERVER_TEST_CHANNEL"
LINE = re.compile(r"(?:\d\d:\d\d:\d\d )?(\S+) +\| (.*)")

# Variables that the environment of the tests may have, and that would change the supervisor.
NOT_PASSED_ON = {
    "NO_COLOR",
    "FORCE_COLOR",
    "NOTIFY_SOCKET",
    "DJANGO_SETTINGS_MODULE",
    "PYTHONUNBUFFERED",
}

Processes = Mapping[str, Mapping[str, Any]]


class Line(NamedTuple):
    name: str
    text: str


class Reader:
    """Whole lines from a file descriptor; a closed terminal counts as the end."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._held = b""

    def chunk(self) -> bytes:
        held, self._held = self._held, b""
        if held:
            return held
        try:
            return os.read(self.fd, 1 << 20)
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise

    def line(self) -> Optional[str]:
        """The next line without its newline, or None at the end."""
        line = b""
        while not line.endswith(b"\n"):
            chunk = self.chunk()
            if not chunk:
                break
            first, newline, self._held = chunk.partition(b"\n")
            line += first + newline
        return line.decode(errors="replace").rstrip("\r\n") if line else None

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Run:
    """One running `manage.py prodserver`."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Optional[int], stderr: Path) -> None:
        self.popen = popen
        self.pid = popen.pid
        self.raw: list[str] = []
        self.lines: list[Line] = []
        self.output = Reader(output) if output is not None else None
        self.channel: Optional[Reader] = None
        self._stderr = stderr
        self._released: set[int] = set()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def read(self) -> Optional[Line]:
        """Read one more line; None at the end."""
        assert self.output is not None
        raw = self.output.line()
        if raw is None:
            return None
        self.raw.append(raw)
        match = LINE.fullmatch(raw)
        self.lines.append(Line(*match.groups()) if match else Line("", raw))
        return self.lines[-1]

    def wait_for(self, name: str, pattern: str) -> re.Match[str]:
        """Read until this name has written a matching line."""
        while True:
            line = self.read()
            assert line is not None, f"{name} never said {pattern!r}:\n" + "\n".join(self.raw)
            found = re.search(pattern, line.text)
            if line.name == name and found:
                return found

    def wait_for_each(self, patterns: Mapping[str, str]) -> None:
        """Read until each of these names has written a matching line, in any order."""
        waiting = dict(patterns)
        while waiting:
            line = self.read()
            assert line is not None, f"never said: {waiting}\n" + "\n".join(self.raw)
            if line.name in waiting and re.search(waiting[line.name], line.text):
                del waiting[line.name]

    def wait_for_all(self, *lines: tuple[str, str]) -> None:
        """Read until each (name, pattern) has a line of its own, in any order."""
        waiting = list(lines)
        while waiting:
            line = self.read()
            assert line is not None, f"never said: {waiting}\n" + "\n".join(self.raw)
            found = [x for x in waiting if x[0] == line.name and re.search(x[1], line.text)]
            if found:
                waiting.remove(found[0])

    def wait_for_each_of(self, *patterns: str) -> None:
        """Read until each of these patterns has matched a line of any process, in any order."""
        waiting = set(patterns)
        while waiting:
            line = self.read()
            assert line is not None, f"never said: {waiting}\n" + "\n".join(self.raw)
            waiting -= {pattern for pattern in waiting if re.search(pattern, line.text)}

    def hear(self) -> Optional[str]:
        """Wait for a line that a child sends by `tell`; None once no process can send any."""
        assert self.channel is not None
        return self.channel.line()

    def held(self, name: str) -> int:
        """The pid of this instance, which is `held` (see project/backends.py)."""
        while True:
            found = [re.fullmatch(r"held as (\d+)", text) for text in self.said(name)]
            pids = {int(match[1]) for match in found if match} - self._released
            if pids:
                return pids.pop()
            assert self.read() is not None, f"{name} was never held:\n" + "\n".join(self.raw)

    def release(self, name: str) -> None:
        pid = self.held(name)
        self._released.add(pid)
        self.kill(pid, signal.SIGALRM)

    def signal(self, number: Signals) -> None:
        os.kill(self.pid, number)

    def kill(self, pid: int, number: int) -> None:
        """Send a signal to one of its processes."""
        os.kill(pid, number)

    def enter(self) -> None:
        """Make the only child of the started command the supervisor; the command is unshare(1)."""
        (child,) = psutil.Process(self.popen.pid).children()
        self.pid = child.pid

    def descendants(self) -> list[int]:
        """The pids of all its descendants, including zombies, but not its templates."""
        templates = self.templates()
        found = psutil.Process(self.pid).children(recursive=True)
        return [process.pid for process in found if process.pid not in templates]

    def children(self) -> list[psutil.Process]:
        """Its children without its templates; call it after a child has written a line."""
        templates = self.templates()
        children = psutil.Process(self.pid).children()
        return [process for process in children if process.pid not in templates]

    def templates(self) -> list[int]:
        """The pids of its templates."""
        return [
            process.pid
            for process in psutil.Process(self.pid).children()
            if _cmdline(process)[:1] == ["prodserver: template"]
        ]

    def handshake(self) -> None:
        """Wait for a turn of the supervisor's loop: everything before it has been handled."""
        self.signal(signal.SIGUSR2)
        self.wait_for("system", "SIGUSR2 received; ignored")

    def end(self, number: Optional[Signals] = None) -> int:
        """Send the signal, if any; read the rest of the output, and return the exit status."""
        if number is not None:
            self.signal(number)
        while self.output is not None and self.read() is not None:
            pass
        return self.popen.wait()

    def said(self, name: str) -> list[str]:
        """The lines that this name has written so far."""
        return [line.text for line in self.lines if line.name == name]

    def close(self) -> None:
        for reader in (self.output, self.channel):
            if reader is not None:
                reader.close()


def not_measured() -> dict[str, str]:
    """The environment without coverage, for processes that cannot write its data."""
    return {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}


AnyRuns = TypeVar("AnyRuns", bound="Runs")


class Runs:
    """Starts commands in a copy of the smallest project, and leaves no process behind.

    As a context manager, it fails on exit if a process is left.
    """

    # The folders that the project is copied from; later ones replace files of earlier ones.
    sources: Sequence[Path] = (ROOT / "tests" / "functional" / "project",)
    # The words between `python -W error` and the options of a run.
    program: Sequence[str] = ("manage.py", "prodserver")
    # Whether runs are measured, if coverage is on.
    measured = True

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        # Where its supervisors create their control sockets.
        self.runtime = folder
        self._folder = folder
        self._mark = uuid.uuid4().hex
        self._runs: list[Run] = []
        ignore = shutil.ignore_patterns("__pycache__")
        self.project.mkdir(parents=True)
        for source in self.sources:
            shutil.copytree(source, self.project, ignore=ignore, dirs_exist_ok=True)

    def __enter__(self: AnyRuns) -> AnyRuns:
        return self

    def __exit__(self, *error: object) -> None:
        left = self.close()
        assert not left, f"left behind: {', '.join(left)}"

    def __call__(
        self,
        processes: Processes,
        *options: str,
        supervisor: Mapping[str, Any] = {},
        files: Mapping[str, str] = {},
        env: Mapping[str, str] = {},
        prefix: Sequence[str] = (),
        program: Optional[Sequence[str]] = None,
        **how: Any,
    ) -> Run:
        """Start `manage.py prodserver`; the default options are `--all --no-timestamps`.

        `files` are written into the project first; for `how` see `command`. `program` replaces
        `manage.py prodserver` by another Python program.
        """
        for name, source in files.items():
            (self.project / name).write_text(textwrap.dedent(source))
        words = self.program if program is None else program
        options = options or ("--all", "--no-timestamps")
        env = {**self.configure(processes, supervisor), **env}
        return self.command([*prefix, *PYTHON, *words, *options], env=env, **how)

    def command(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] = {},
        stdout: Optional[int] = None,
        channel: bool = False,
        **popen: Any,
    ) -> Run:
        """Start any command in the project.

        `stdout` is a file descriptor that replaces the pipe of the run. With `channel` the children
        can `tell`.
        """
        environ = dict(os.environ) if self.measured else not_measured()
        environ = {key: value for key, value in environ.items() if key not in NOT_PASSED_ON}
        environ[MARK] = self._mark
        environ["XDG_RUNTIME_DIR"] = str(self.runtime)
        listen, tell = os.pipe() if channel else (None, None)
        if tell is not None:
            environ[CHANNEL] = str(tell)
            popen["pass_fds"] = [tell]
        stderr_file = self._folder / f"stderr-{len(self._runs)}"
        with stderr_file.open("wb") as stderr:
            started = subprocess.Popen(
                command,
                cwd=popen.pop("cwd", self.project),
                env={**environ, **env},
                stdout=subprocess.PIPE if stdout is None else stdout,
                stderr=popen.pop("stderr", stderr),
                stdin=popen.pop("stdin", subprocess.DEVNULL),
                **popen,
            )
        output = None
        if started.stdout is not None:
            output = os.dup(started.stdout.fileno())
            started.stdout.close()
        run = Run(started, output, stderr_file)
        if tell is not None and listen is not None:
            os.close(tell)
            run.channel = Reader(listen)
        self._runs.append(run)
        return run

    def running(
        self, processes: Processes, *names: str, env: Mapping[str, str] = {}, **kwargs: Any
    ) -> AbstractContextManager[test.Run]:
        """Run these processes as the tests of a project do; `kwargs` go to `test.running`."""
        kwargs.setdefault("command", [*PYTHON, *self.program[:-1]])
        env = {**self.configure(processes, kwargs.pop("supervisor", {})), **env}
        return test.running(*names, cwd=self.project, env=env, **kwargs)

    def configure(self, processes: Processes, supervisor: Mapping[str, Any] = {}) -> dict[str, str]:
        """The environment variables that make these the settings of the project."""
        production = self._folder / f"production-{uuid.uuid4().hex}.json"
        production.write_text(json.dumps({"processes": processes, "supervisor": supervisor}))
        return {MARK: self._mark, PRODUCTION: str(production)}

    def close(self, quietly: bool = False) -> list[str]:
        """Kill the processes that are left, and return their command lines; print their output."""
        left = self.left()
        # The guard of a killed supervisor first kills the lives, then ends on its own.
        guards = [process for process in left if _cmdline(process)[:1] == ["prodserver: template"]]
        ended, _ = psutil.wait_procs(guards, timeout=5)
        left = [process for process in left if process not in ended and self._is_ours(process)]
        names = [f"{' '.join(_cmdline(process))} (pid {process.pid})" for process in left]
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for run in self._runs:
            run.popen.wait()
            if not quietly:
                print(*run.raw[-200:], run.stderr, sep="\n")
            run.close()
        return names

    def left(self) -> list[psutil.Process]:
        """All processes of its runs, without zombies."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            # Two marks: a process title overwrites the environment, a daemon may change its folder.
            if process.cwd() == str(self.project.resolve()):
                return True
            return process.environ().get(MARK) == self._mark
        except (psutil.Error, OSError):
            return False


class Site(Runs):
    """Starts commands in a copy of tests/project, which has requests and tasks to work on."""

    sources = (*Runs.sources, ROOT / "tests" / "project")
    # Warnings of the servers themselves are not ours to fix.
    program = ("-W", "ignore", "manage.py", "prodserver")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        shutil.copy(QUICKSTART / "quickstart" / "compat.py", self.project)

    def send(self, *work: tuple[str, list[str], str], **kwargs: Any) -> None:
        """Migrate, and queue tasks: each a name, its arguments and Celery's queue, if any."""
        program = ("-W", "ignore", "manage.py", "send")
        processes = {"any": {"BACKEND": SHELL, "ARGS": "true"}}
        assert self(processes, json.dumps(work), program=program, **kwargs).end() == 0

    def call(self, function: str, *args: Any, **kwargs: Any) -> None:
        """Migrate, and call a function of the project, by its dotted path, in a process."""
        program = ("-W", "ignore", "manage.py", "call")
        processes = {"any": {"BACKEND": SHELL, "ARGS": "true"}}
        run = self(processes, function, json.dumps(args), program=program, **kwargs)
        assert run.end() == 0, run.stderr

    def let_anyone_write(self) -> None:
        for path in (self.project.parent, self.project, *self.project.rglob("*")):
            path.chmod(0o777)

    def hold(self, *names: str) -> None:
        """Let the work of these names block until it is released."""
        for name in names:
            os.mkfifo(self.project / f"{name}.fifo")

    def release(self, name: str) -> None:
        with open(self.project / f"{name}.fifo", "w"):
            pass


class Terminal:
    """A pseudo-terminal, and what a user does at it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        settings = termios.tcgetattr(self.slave)
        settings[3] &= ~termios.ECHO  # An echo would appear in the middle of output lines.
        termios.tcsetattr(self.slave, termios.TCSANOW, settings)

    def start(self, runs: Runs, processes: Processes, *options: str, **kwargs: Any) -> Run:
        """Start a supervisor as a shell does, with this as its controlling terminal."""

        def take_control() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        kwargs.setdefault("stdout", self.slave)
        run = runs(
            processes,
            *options,
            stdin=self.slave,
            start_new_session=True,
            preexec_fn=take_control,
            **kwargs,
        )
        os.close(self.slave)
        if run.output is None:
            run.output = Reader(self.master)
        return run

    def close(self) -> None:
        os.close(self.master)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def folder_for_all_users() -> Iterator[Path]:
    """A folder that every user can enter and write to, unlike pytest's own."""
    made = Path(tempfile.mkdtemp(prefix="prodserver-test-")).resolve()
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


def gone(pid: int) -> bool:
    """Whether it has ended; a zombie that another process has to reap counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def skip_unless_it_works(*command: str) -> None:
    """Skip the test where the machine does not permit this command."""
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"there is no {command[0]} here")
    if tried.returncode:
        pytest.skip(f"{' '.join(command)} is not permitted here: {tried.stderr.strip()}")


def is_there(module: str) -> bool:
    """Whether a module can be imported.

    It is only looked up: importing sentry_sdk makes eventlet warn of each later fork.
    """
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # The package that would contain it.
        return False


def skip_without(module: str) -> None:
    """Skip the test, or the whole file, where this module is missing."""
    if not is_there(module):
        pytest.skip(f"{module} is missing", allow_module_level=True)


def without_access_to_all() -> list[str]:
    """A prefix with which a command of the superuser cannot open a pipe of mode 0.

    It stands in for a pipe of another user, as after `su`.
    """
    if os.geteuid():
        return []
    prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    skip_unless_it_works(*prefix)
    return prefix
