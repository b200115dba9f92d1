"""What is written before the log begins: by Django's setup, system checks, imports, and errors.

Where each line of the log is to be a value for machines, a helper process reads it and renders it
as the lines of the log are, from the first import to the moment when the loop takes over. It has to
be a process: the one thread is busy with the imports, and an unread pipe blocks them once
it is full. A file that is read afterwards would hide what a slow import says meanwhile, and lose
everything with a crash. A wrapper of `sys.stderr` would not see what handlers of Python's logging,
C libraries and faulthandler write.
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

# More than a pipe holds: one read takes all that is in it.
ALL = 1 << 20
# A byte to the helper: hand over. One from it: it goes on, because others have the pipes as well.
HAND_OVER, GOES_ON = b"h", b"g"

_current: Optional[EarlyOutput] = None


def begin(format: Format) -> None:
    """From now on, render what this process writes to stdout and stderr, until `end` or its end."""
    global _current
    if _current is None:
        # Without a helper the lines are not rendered, but the start goes on.
        with suppress(OSError):
            _current = EarlyOutput(format)
            atexit.register(_end_in_time)


def begun() -> bool:
    return _current is not None


def helper() -> int:
    """The pid of the process that renders; 0 where there is none."""
    return 0 if _current is None else _current.helper


def say(record: Record) -> None:
    """Write a line of our own to stderr, as one object: whatever it has becomes the line's.

    To be called once it has begun, by a format for machines.
    """
    from django_prodserver.logs.json_lines import object_of  # The format has imported it.

    message = record.message.encode(errors="replace").decode()
    members = {"severity": record.severity.name, "message": message, **record.members}
    sys.stderr.write(object_of(members) + "\n")


def adopt() -> None:
    """In a fork of the process that has begun it: it is what this one writes from now on."""
    if _current is not None:
        _current.adopt()


def leave() -> None:
    """Give stdout and stderr back to this process; one that was forked from it goes on."""
    if _current is not None:
        _current.leave()


def end(patience: Optional[float] = None) -> None:
    """Give stdout and stderr back, once all that was written there is written.

    That takes as long as its reader does, but not longer than `patience`, in seconds.
    """
    global _current
    if _current is not None:
        _current.end(patience)
        _current = None


def _end_in_time() -> None:
    """At the end of the program: nothing is left behind, not even a helper that cannot write."""
    end(LAST_FLUSH)


class EarlyOutput:
    """stdout and stderr of this process as two pipes, and the helper that reads them."""

    def __init__(self, format: Format) -> None:
        import warnings  # Nothing of this is for a supervisor that runs already.

        open_standard_descriptors()
        _flush()
        self._process = os.getpid()
        self._saved = {fd: os.dup(fd) for fd in DESCRIPTORS.values()}
        pipes = {fd: os.pipe() for fd in DESCRIPTORS.values()}
        heard, self._tell = os.pipe()
        self._hear, told = os.pipe()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Threads run; see child.fork.
                self.helper = os.fork()
            if self.helper == 0:
                for fd in (self._tell, self._hear, *(write for _, write in pipes.values())):
                    os.close(fd)
                _help({read: fd for fd, (read, _) in pipes.items()}, heard, told, format)
            for fd, (_, write) in pipes.items():
                os.dup2(write, fd)
        except OSError:
            os.close(self._tell)
            os.close(self._hear)
            raise
        finally:
            for fd in (heard, told, *(end for pipe in pipes.values() for end in pipe)):
                os.close(fd)

    def adopt(self) -> None:
        self._process = os.getpid()

    def leave(self) -> None:
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)

    def end(self, patience: Optional[float]) -> None:
        if os.getpid() != self._process:
            return  # A copy, in a process that the imports have forked.
        self._give_back()
        poll = select.poll()
        poll.register(self._hear, select.POLLIN)
        if not poll.poll(None if patience is None else patience * 1000):
            os.kill(self.helper, signal.SIGKILL)
        if os.read(self._hear, 1) != GOES_ON:
            with suppress(ChildProcessError):  # Something in the imports has reaped it.
                os.waitpid(self.helper, 0)
        os.close(self._tell)
        os.close(self._hear)

    def _give_back(self) -> None:
        _flush()
        for fd, saved in self._saved.items():
            os.dup2(saved, fd)
            os.close(saved)
        if self._saved:
            with suppress(BrokenPipeError):  # Something has killed it.
                os.write(self._tell, HAND_OVER)
        self._saved = {}


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


# ---- the helper ----


def _help(pipes: dict[int, int], heard: int, told: int, format: Format) -> NoReturn:
    """Render what comes from each pipe to its descriptor, until all have ended.

    Ends before that if the process that it helps does.
    """
    status = 1
    try:
        parent = os.getppid()
        signal.set_wakeup_fd(-1)
        # It ends with what it reads, whatever is sent to the whole group or the session.
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _read(pipes, heard, told, format, parent)
        status = 0
    finally:
        os._exit(status)


def _read(pipes: dict[int, int], heard: int, told: int, format: Format, parent: int) -> None:
    kinds = {fd: kind for kind, fd in DESCRIPTORS.items()}
    lines = {read: Lines() for read in pipes}
    poll = select.poll()
    for fd in (*pipes, heard):
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
        # What is written to stderr explains what was not written to stdout any more.
        for read in [fd for fd in ready if fd in lines]:
            take(read)
        if heard not in ready:
            continue
        word = os.read(heard, 1)
        for read in [*lines]:
            take(read)  # All that is in it now.
        for read in [*lines]:
            take(read)  # Its end, unless others have it.
        for read, rest in lines.items():
            log(read, rest.finish())
        if not word:
            return
        poll.unregister(heard)
        if lines:
            kernel.die_with_parent(parent)
            os.write(told, GOES_ON)


def _write(fd: int, rendered: bytes) -> None:
    left = memoryview(rendered)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            # Another process has made it non-blocking.
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
        except OSError:
            return  # The reader is gone, or the disk is full: read on, so that nothing blocks.
