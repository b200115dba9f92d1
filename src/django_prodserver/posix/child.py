"""Children: how they are forked, become a program, end and are reaped.

A child has a copy of everything that the supervisor has: its frames, its signal handlers, its file
descriptors. It gives all of that back first, and never returns into it.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Callable, NoReturn, Optional

from django_prodserver.supervisor.events import ExitStatus

from . import context, kernel, notify
from .clock import Clock
from .context import Context
from .interpreter import search_path
from .probes.targets import CommandTarget
from .program import Program
from .signals import SignalPipe, restore_defaults
from .titles import set_title

# For the supervisor alone: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
NOT_INHERITED = (
    notify.VARIABLE,
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)


def fork(become: Callable[[], NoReturn], signals: SignalPipe) -> int:
    """Start a process that calls `become`; returns its pid. Raises OSError.

    The signals are held back until they have handlers of the child's own, or none.
    """
    for stream in (sys.stdout, sys.stderr):
        # What is buffered would be printed by both.
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    signals.block()
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns where threads run; the log has said so already, and better.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            become()
        return pid
    finally:
        signals.unblock()


def reap() -> Iterator[tuple[int, ExitStatus]]:
    """Reap every child that has exited, adopted ones among them."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            yield pid, ExitStatus(code=code) if code >= 0 else ExitStatus(signal=-code)


def reap_all(pids: Collection[int], clock: Clock, signals: SignalPipe, end: float) -> None:
    """Reap until all of these children have been, or until that moment of the clock."""
    left = set(pids)
    while True:
        left -= {pid for pid, _ in reap()}
        patience = end - clock.now()
        if not left or patience <= 0:
            return
        clock.sleep(signals.wait, patience)


def become(
    program: Program,
    parent: int,
    stdout: int,
    stderr: int,
    notify_address: Optional[str],
    release: Callable[[], None],
) -> NoReturn:
    """Turn a freshly forked process into the program; never returns.

    `stdout` and `stderr` are its descriptors for these, and may be the same; `release` gives back
    what the parent holds.
    """

    def start() -> None:
        _stand_alone(parent, stdout, stderr, release)
        _assume(program.context, parent, f"{program.name} cannot be started")
        _set_environment(program.environ)
        if notify_address is not None:
            os.environ[notify.VARIABLE] = notify_address
        if program.watchdog is not None:
            os.environ[notify.WATCHDOG] = str(round(program.watchdog * 10**6))
        if program.execute:
            _execute(program.execute, f"{program.name} cannot be started: ")
        _enter(program.context, f"{program.name} cannot be started")
        _open_streams()
        sys.argv = list(program.argv)
        set_title(program.name)
        program.start()

    _live(start)


def become_command(
    command: CommandTarget, parent: int, output: int, release: Callable[[], None]
) -> NoReturn:
    """Turn a freshly forked process into the command of a health check; never returns."""

    def start() -> None:
        _stand_alone(parent, output, output, release)
        _assume(command.context, parent, "it cannot be started")
        _set_environment(command.environ)
        _enter(command.context, "it cannot be started")
        _execute(command.argv)

    _live(start)


def _live(start: Callable[[], object]) -> NoReturn:
    status = 1
    try:
        status = run_to_the_end(start)
    finally:
        os._exit(status)


def run_to_the_end(start: Callable[[], object]) -> int:
    """Call `start` and finish as an interpreter does; return the exit status.

    The order is Py_FinalizeEx's: non-daemon threads are joined, atexit handlers run, stdio is
    flushed. The two private names are those that multiprocessing uses for the same purpose in its
    forked children; there is no public way.
    """
    status = _status_of(start)
    for step in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined]
        _status_of(step)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            _status_of(stream.flush)
    return status


def _status_of(call: Callable[[], object]) -> int:
    try:
        call()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        sys.stderr.write(f"{end.code}\n")
        return 1
    except KeyboardInterrupt:
        # An interpreter dies by the signal, so that its parent can tell; no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _stand_alone(parent: int, stdout: int, stderr: int, release: Callable[[], None]) -> None:
    """Give back what belongs to the parent; take a session and descriptors of one's own."""
    release()
    kernel.die_with_parent(parent)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
    for fd in {null, stdout, stderr} - {0, 1, 2}:
        os.close(fd)


def _assume(wanted: Context, parent: int, otherwise: str) -> None:
    changes_user = wanted.changes_user
    if changes_user:
        for fd in (1, 2):
            # Its own pipes: programs that open /dev/stdout need a permission to do so.
            with suppress(OSError):
                os.fchown(fd, *(-1 if one is None else one for one in (wanted.uid, wanted.gid)))
    try:
        context.assume(wanted, os.environ)
    except context.Refused as error:
        _give_up(f"{otherwise}, because its {error.key} was refused: {error.reason}", 1)
    if changes_user:
        # The kernel has forgotten it for a moment, in which the parent may have ended.
        kernel.die_with_parent(parent)


def _enter(wanted: Context, otherwise: str) -> None:
    try:
        context.enter(wanted, os.environ)
    except context.Refused as error:
        message = f"{otherwise}, because its {error.key}, {wanted.folder}, cannot be entered"
        _give_up(f"{message}: {error.reason}", 1)


def _give_up(message: str, status: int) -> NoReturn:
    os.write(2, f"{message}\n".encode(errors="replace"))
    os._exit(status)


def _set_environment(added: Mapping[str, str]) -> None:
    for name in NOT_INHERITED:
        os.environ.pop(name, None)
    os.environ["PATH"] = search_path(os.environ.get("PATH"))
    # Python programs that this one starts are to write whole lines at once, too.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    os.environ.update(added)


def _execute(argv: Sequence[str], otherwise: str = "") -> NoReturn:
    """Become another program, found in the PATH of this environment; or end as shells do."""
    restore_defaults()
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        # It was there when it was checked, or the system has no memory for it.
        status = 127 if isinstance(error, FileNotFoundError) else 126
        _give_up(f"{otherwise}{argv[0]}: {error.strerror}", status)


def _open_streams() -> None:
    # None: that descriptor of the supervisor was closed when it was started.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    for stream in (sys.stdout, sys.stderr):
        # Whole lines at once, as on a terminal: otherwise what a process says last may be lost.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
