"""Helpers for a project's tests: is its configuration valid, and do its processes run?

A failure raises AssertionError, so any test runner will do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from signal import SIGTERM, Signals
from threading import Condition, Thread
from typing import IO, NamedTuple, Optional, Union

import msgspec
import psutil
from django.conf import settings as project

from django_prodserver.launch.examine import all_findings
from django_prodserver.logs.formats import SYSTEM
from django_prodserver.settings.load import read
from django_prodserver.settings.wording import no_such_process

__all__ = ["Line", "Run", "assert_valid_configuration", "running"]

DJANGO = (sys.executable, "-m", "django")


# ---- the configuration ----


def assert_valid_configuration(*names: str, preload: bool = True) -> None:
    """Check what `prodserver --check` checks; the AssertionError has a line for each mistake.

    It checks the named processes, or all enabled ones, with the current settings
    (`override_settings` works). It does not check users, folders and whether addresses are in use,
    because these depend on the machine. Without `preload` it imports only the backends, and does
    not find mistakes that show when the project and its servers are imported.
    """
    configuration = read()
    configured = configuration.processes
    missing = [no_such_process(name, configured) for name in names if name not in configured]
    enabled = [name for name in configured if name not in configuration.disabled]
    known = [name for name in names or enabled if name in configured]
    found = all_findings(configuration, known, in_use=False, imports=preload)
    wrong = [*missing, *(str(one) for one in found if one.blocks)]
    if wrong:
        raise AssertionError("\n".join(wrong))


# ---- processes ----


class Line(NamedTuple):
    """A line of the log."""

    # The instance that wrote it (`web.1`), or `system`; empty if it is not a line of the log, such
    # as a message about wrong settings.
    name: str
    text: str
    stream: str = "stderr"


class Run:
    """A supervisor with its processes, started by `running`."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Optional[Union[str, os.PathLike[str]]],
        env: Mapping[str, str],
        stop_within: float,
    ) -> None:
        self.lines: list[Line] = []
        self._stop_within = stop_within
        self._searched: dict[str, int] = {}
        self._descendants: set[psutil.Process] = set()
        self._status: Optional[int] = None
        self._popen = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C in a terminal reaches only the tests; they then stop the supervisor.
            start_new_session=True,
        )
        self.pid = self._popen.pid
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._pipes = (self._popen.stdout, self._popen.stderr)
        # A full pipe would block the processes while the test does something else, so threads read
        # them. A file would not block, but a test that waits for a line would have to poll it.
        self._open = len(self._pipes)
        self._news = Condition()
        self._threads = [Thread(target=self._drain, args=[p], daemon=True) for p in self._pipes]
        for thread in self._threads:
            thread.start()

    @property
    def output(self) -> str:
        """Everything that has been written so far, as text."""
        return "\n".join(
            f"{one.name:<9} | {one.text}" if one.name else one.text for one in self.lines
        )

    def said(self, name: str) -> list[str]:
        """The lines that this instance, or `system`, has written so far."""
        return [line.text for line in list(self.lines) if line.name == name]

    def wait_for(self, name: str, pattern: str, timeout: float = 30) -> re.Match[str]:
        """Wait for a line of this instance, or of `system`, that matches the pattern.

        Each search begins after the line that the last one for the same name has found. Raises
        AssertionError after `timeout` seconds, or if the supervisor exits before.
        """
        with self._news:
            found = self._news.wait_for(lambda: self._find(name, pattern) or self._ended, timeout)
        if isinstance(found, re.Match):
            return found
        how = "before the end" if found else f"within {timeout:g} s"
        raise self._failure(f"{name} did not write {pattern!r} {how}")

    def stop(self, number: Signals = SIGTERM) -> int:
        """Stop everything, unless the supervisor has ended; returns its exit status.

        Raises AssertionError if that takes longer than `stop_within`, or a process is left behind.
        """
        self._remember_descendants()
        self._ask(number)
        status = self.wait(self._stop_within)
        left = self._left()
        if left:
            names = ", ".join(f"{process.name()} (pid {process.pid})" for process in left)
            raise self._failure(f"left behind: {names}")
        return status

    def wait(self, timeout: float = 30) -> int:
        """Wait until the supervisor exits on its own; returns its exit status."""
        with self._news:
            ended = self._news.wait_for(lambda: self._ended, timeout)
        if not ended:
            whose = "supervisor" if self._popen.poll() is None else "output of the supervisor"
            raise self._failure(f"the {whose} did not end within {timeout:g} s")
        self._status = self._popen.wait()
        return self._status

    @property
    def _ended(self) -> bool:
        return not self._open

    def _drain(self, pipe: IO[bytes]) -> None:
        for raw in pipe:
            line = _line(raw)
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def _find(self, name: str, pattern: str) -> Optional[re.Match[str]]:
        for number in range(self._searched.get(name, 0), len(self.lines)):
            self._searched[name] = number + 1
            line = self.lines[number]
            found = re.search(pattern, line.text) if line.name == name else None
            if found:
                return found
        return None

    def _become_ready(self, within: float) -> None:
        try:
            self.wait_for("system", r"^all \d+ (ready|finished) after ", within)
        except AssertionError:
            if not self._ended:
                raise self._failure(f"not everything was ready within {within:g} s") from None
            status = f"the supervisor ended with status {self.wait()}"
            raise self._failure(f"{status} before everything was ready") from None
        self._searched.clear()
        # Look for them now, because the descendants of a killed supervisor cannot be found.
        self._remember_descendants()

    def _end_well(self) -> None:
        """Require exit status 0, unless the block has called `stop` or `wait` itself."""
        if self._status is None:
            status = self.stop()
            if status:
                raise self._failure(f"the supervisor ended with status {status}")

    def _close(self) -> None:
        """Leave no process behind, whatever happened."""
        try:
            if self._popen.poll() is None:
                self._remember_descendants()
                self._ask(SIGTERM)
                with self._news:
                    self._news.wait_for(lambda: self._ended, self._stop_within)
        finally:
            self._remember_descendants()
            self._popen.kill()
            for process in self._left():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._popen.wait()
            for thread, pipe in zip(self._threads, self._pipes):
                thread.join(timeout=5)
                if not thread.is_alive():  # A process that escaped may hold the pipe.
                    pipe.close()

    def _ask(self, number: Signals) -> None:
        # After this line a signal could kill the supervisor, and its exit status would be lost.
        leaving = any(text.startswith("all stopped after ") for text in self.said("system"))
        if self._popen.poll() is None and not leaving:
            self._popen.send_signal(number)

    def _remember_descendants(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._descendants.update(psutil.Process(self.pid).children(recursive=True))

    def _left(self) -> list[psutil.Process]:
        return [process for process in self._descendants if _lives(process)]

    def _failure(self, what: str) -> AssertionError:
        return AssertionError(f"{what}. What was written:\n{self.output}")


@contextmanager
def running(
    *names: str,
    settings: Optional[str] = None,
    env: Mapping[str, str] = {},
    cwd: Optional[Union[str, os.PathLike[str]]] = None,
    command: Sequence[str] = DJANGO,
    options: Sequence[str] = (),
    ready_within: float = 90,
    stop_within: float = 60,
) -> Iterator[Run]:
    """Run processes under a supervisor: inside the block all are ready, after it all are gone.

    Names are as on the command line: `web`, `worker=2`, or none for all; a single name runs one
    instance. `command` is the part before `prodserver`, such as `[sys.executable, "manage.py"]`; it
    is executed in the folder `cwd`. `settings` names a module; without it, the settings of this
    process are used. `options` are more options of `prodserver`.

    Raises AssertionError, with everything that was written, if not all are ready within
    `ready_within` seconds, or if the exit status is not 0 and the block has called neither `stop`
    nor `wait`. A supervisor that does not stop within `stop_within` seconds is killed.
    """
    given = list(names) if names else ["--all"]
    if len(names) == 1 and "=" not in names[0]:
        given = [f"{names[0]}=1"]  # A name alone would run without a supervisor.
    run = Run(
        [*command, "prodserver", *given, "--log-format=json", *options],
        cwd,
        {**os.environ, **_settings_module(settings), **env},
        stop_within,
    )
    try:
        run._become_ready(ready_within)
        yield run
        run._end_well()
    finally:
        run._close()


def _settings_module(named: Optional[str]) -> dict[str, str]:
    # Another process cannot import settings made by `settings.configure()`.
    module = named or (getattr(project, "SETTINGS_MODULE", None) if project.configured else None)
    return {"DJANGO_SETTINGS_MODULE": module} if module else {}


# The keys that `JsonFormat` writes before the keys of a process's own JSON object.
_OURS = re.compile(
    rb'\{(?:"time":"[^"]*",)?"(?:prodserver\.)*process":"([^"]*)",'
    rb'"(?:prodserver\.)*stream":"([^"]*)",?'
)


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    message: str


class _Said(msgspec.Struct):
    message: str


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_said = msgspec.json.Decoder(_Said).decode


def _line(raw: bytes) -> Line:
    ours = _OURS.match(raw)
    if ours is None:
        return Line("", raw.decode(errors="replace").rstrip("\r\n"))
    name, stream = (group.decode() for group in ours.groups())
    rest = b"{" + raw[ours.end() :].rstrip(b"\n")
    if stream == SYSTEM:
        return Line(SYSTEM, _decode_said(rest).message, stream)
    try:
        text = _decode_message(rest).message
    except msgspec.MsgspecError:
        text = rest.decode()  # The process wrote a JSON object.
    # Output from before the log begins is named `system`, but is not the supervisor's.
    return Line("" if name == SYSTEM else name, text, stream)


def _lives(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: it only waits to be reaped by its parent."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
