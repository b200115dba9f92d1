"""Output before the log begins: from Django's setup, system checks, imports, and errors.

If the log has a format for machines, a helper process reads this output and renders it like the
lines of the log, from the first import until the loop takes over. It has to be a process: the only
thread here is busy with the imports, and these would block as soon as an unread pipe is full. A
file that is read afterwards would hide what a slow import prints, and a crash would lose all of it.
A wrapper of `sys.stderr` would miss what logging handlers, C libraries and faulthandler write.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
from contextlib import suppress

from django_prodserver.logs.formats import SYSTEM, Format
from django_prodserver.logs.lines import Block, Lines
from django_prodserver.supervisor.hints import NoReturn, Optional
from django_prodserver.supervisor.record import Record

from . import kernel
from .log import DESCRIPTORS, LAST_FLUSH
from .output import open_standard_descriptors

# More than a pipe holds, in bytes: one read empties it.
ALL = 1 << 20
# Sent to the helper: hand over. Sent by the helper: it goes on, as other processes hold the pipes.
HAND_OVER, GOES_ON = b"h", b"g"

_current: Optional[EarlyOutput] = None


def begin(format: Format) -> None:
    """Render what this process writes to stdout and stderr, from now until `end` or its exit."""
    global _current
    if _current is None:
        # Without a helper the lines are not rendered, but the start goes on.
        with suppress(OSError):
            _current = EarlyOutput(format)
            atexit.register(_end_in_time)


def begun() -> bool:
    return _current is not None


def helper() -> int:
    """The pid of the helper process; 0 if there is none."""
    return 0 if _current is None else _current.helper


def say(record: Record) -> None:
    """Write a record to stderr as a JSON object, whose members become those of the log line.

    Call it only after `begin`, with a format for machines.
    """
    from django_prodserver.logs.json_lines import object_of  # The format has imported it.

    message = record.message.encode(errors="replace").decode()
    members = {"severity": record.severity.name, "message": message, **record.members}
    sys.stderr.write(object_of(members) + "\n")


def adopt() -> None:
    """In a fork of the process that called `begin`: let this process call `end` instead."""
    if _current is not None:
        _current.adopt()


def leave() -> None:
    """Restore stdout and stderr in this process; a process forked from it keeps the helper."""
    if _current is not None:
        _current.leave()


def end(patience: Optional[float] = None) -> None:
    """Restore stdout and stderr, and wait until the helper has written everything.

    That takes as long as the reader of the log takes. After `patience` seconds, if given, the
    helper is killed.
    """
    global _current
    if _current is not None:
        _current.end(patience)
        _current = None


def _end_in_time() -> None:
    """At exit: leave nothing behind, not even a helper that is blocked in a write."""
    end(LAST_FLUSH)


class EarlyOutput:
    """stdout and stderr of this process as two pipes, and the helper that reads them."""

    def __init__(self, format: Format) -> None:
        import warnings  # Imported here: a running supervisor does not need it.

        open_standard_descriptors()
        _flush()
        self._process = os.getpid()
        self._saved = {fd: os.dup(fd) for fd in DESCRIPTORS.values()}
        pipes = {fd: os.pipe() for fd in DESCRIPTORS.values()}
        from_parent, self._to_helper = os.pipe()
        self._from_helper, to_parent = os.pipe()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # See child.quiet_fork.
                self.helper = os.fork()
            if self.helper == 0:
                for fd in (
                    self._to_helper,
                    self._from_helper,
                    *(write for _, write in pipes.values()),
                ):
                    os.close(fd)
                _help({read: fd for fd, (read, _) in pipes.items()}, from_parent, to_parent, format)
            for fd, (_, write) in pipes.items():
                os.dup2(write, fd)
        except OSError:
            os.close(self._to_helper)
            os.close(self._from_helper)
            raise
        finally:
            for fd in (from_parent, to_parent, *(end for pipe in pipes.values() for end in pipe)):
                os.close(fd)

    def adopt(self) -> None:
        self._process = os.getpid()

    def leave(self) -> None:
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)

    def end(self, patience: Optional[float]) -> None:
        if os.getpid() != self._process:
            return  # This is a copy, in a process that imported code has forked.
        self._give_back()
        poll = select.poll()
        poll.register(self._from_helper, select.POLLIN)
        if not poll.poll(None if patience is None else patience * 1000):
            os.kill(self.helper, signal.SIGKILL)
        if os.read(self._from_helper, 1) != GOES_ON:
            with suppress(ChildProcessError):  # Imported code has reaped it.
                os.waitpid(self.helper, 0)
        os.close(self._to_helper)
        os.close(self._from_helper)

    def _give_back(self) -> None:
        _flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        if self._saved:
            with suppress(BrokenPipeError):  # The helper was killed.
                os.write(self._to_helper, HAND_OVER)
        self._saved = {}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


# ---- the helper ----


def _help(pipes: dict[int, int], from_parent: int, to_parent: int, format: Format) -> NoReturn:
    """Render what arrives in each pipe to its file descriptor, until all pipes have ended.

    Returns earlier if the process that it helps exits.
    """
    status = 1
    try:
        parent = os.getppid()
        signal.set_wakeup_fd(-1)
        # It exits at the end of its input, whatever signals the process group or session gets.
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _read(pipes, from_parent, to_parent, format, parent)
        status = 0
    finally:
        os._exit(status)


def _read(
    pipes: dict[int, int], from_parent: int, to_parent: int, format: Format, parent: int
) -> None:
    kinds = {fd: kind for kind, fd in DESCRIPTORS.items()}
    lines = {read: Lines() for read in pipes}
    poll = select.poll()
    for fd in (*pipes, from_parent):
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)

    def log(read: int, block: Block) -> None:
        if block.end:
            fd = pipes[read]
            _write(fd, b"".join(format.render(SYSTEM, kinds[fd], block)))

    def take(read: int) -> None:
        try:
            chunk = os.read(read, ALL)
        except BlockingIOError:
            return
        log(read, lines[read].feed(chunk) if chunk else lines[read].finish())
        if not chunk:
            poll.unregister(read)
            del lines[read]

    while lines:
        ready = [fd for fd, _ in poll.poll()]
        # stdout comes first: stderr may explain why nothing more was written to stdout.
        for read in [fd for fd in ready if fd in lines]:
            take(read)
        if from_parent not in ready:
            continue
        word = os.read(from_parent, 1)
        for read in [*lines]:
            take(read)  # All that is in the pipe now.
        for read in [*lines]:
            take(read)  # Its end of file, unless other processes hold the pipe.
        for read, rest in lines.items():
            log(read, rest.finish())
        if not word:
            return
        poll.unregister(from_parent)
        if lines:
            kernel.die_with_parent(parent)
            os.write(to_parent, GOES_ON)


def _write(fd: int, rendered: bytes) -> None:
    left = memoryview(rendered)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            # Another process has made the descriptor non-blocking.
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
        except OSError:
            return  # The reader is gone, or the disk is full: keep reading, so that nothing blocks.
