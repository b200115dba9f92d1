"""A probe that runs a command."""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable
from contextlib import suppress
from signal import SIGKILL

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import Optional

from .probe import NotBegun, Probe
from .targets import CommandTarget

# How many bytes of a command's output are kept, from the end: enough for its last line.
KEPT = 4096

# Starts a command with a descriptor for its output; returns its pid, or raises OSError.
Execute = Callable[[CommandTarget, int], int]


class CommandProbe(Probe):
    """Ends when the command exits; what is left in its process group is killed."""

    def __init__(
        self, selector: selectors.PollSelector, execute: Execute, target: CommandTarget
    ) -> None:
        super().__init__(selector)
        self._execute = execute
        self._target = target
        self.pid = 0
        self._reaped = False
        self._output: Optional[int] = None
        self._said = b""

    def ended(self, status: ExitStatus) -> None:
        """The command exited and is reaped."""
        self._read()
        self._reaped = True
        said = self._said.decode(errors="replace").rstrip().rpartition("\n")[2]
        failure = f"command {report.exit_status(status)}"
        if said:
            failure = f"{failure}: {said}"
        self.finish("" if status.code == 0 else failure)

    def close(self) -> None:
        super().close()
        if self.pid:
            # PermissionError: it runs as another user by now.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, SIGKILL)
                return
            if not self._reaped:  # It was just forked, and has no process group of its own yet.
                with suppress(PermissionError):
                    os.kill(self.pid, SIGKILL)

    def release(self) -> None:
        if self._output is not None:
            os.close(self._output)
            self._output = None

    def _begin(self) -> None:
        try:
            self._output, write = os.pipe()
            try:
                self.pid = self._execute(self._target, write)
            finally:
                os.close(write)
        except OSError as error:
            self.finish(NotBegun(error.strerror or str(error)))
            return
        os.set_blocking(self._output, False)
        self._watch(self._output, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        if self._output is None:
            return
        chunk = b""
        with suppress(BlockingIOError):
            chunk = os.read(self._output, 1 << 16)
            if not chunk:  # The command has closed its output, and may run on for long.
                self._unwatch()
        self._said = (self._said + chunk)[-KEPT:]
