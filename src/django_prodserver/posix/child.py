"""Children: how they are forked, become a program, exit and are reaped.

A child starts with a copy of everything the supervisor has: its stack frames, its signal handlers,
its file descriptors. It first releases all of that, and never returns into the supervisor's code.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import Callable, NoReturn, Optional
from django_prodserver.supervisor.text import literal
from django_prodserver.supervisor.values import Value

from . import context, held, kernel, marks, notify
from .clock import Clock
from .context import Context
from .interpreter import search_path
from .probes.targets import CommandTarget
from .program import Code, Program
from .signals import SignalPipe, restore_defaults
from .titles import set_title

# Meant for the supervisor only: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
NOT_INHERITED = (
    notify.VARIABLE,
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    held.PID,
    held.COUNT,
    held.NAMES,
)


def fork(become: Callable[[], NoReturn], signals: SignalPipe) -> int:
    """Start a process that calls `become`; return its pid. Raises OSError.

    Signals are blocked until the child has replaced or reset their handlers.
    """
    flush()
    signals.block()
    try:
        pid = quiet_fork()
        if pid == 0:
            become()
        return pid
    finally:
        signals.unblock()


def quiet_fork() -> int:
    """os.fork without Python's warning about threads: the log names them. Raises OSError."""
    if "threading" not in sys.modules:
        return os.fork()
    import warnings  # Since Python 3.12, os.fork warns if threads are running.

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def flush() -> None:
    """Flush stdout and stderr before a fork: otherwise both processes print what is buffered."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def reap() -> Iterator[tuple[int, ExitStatus, float]]:
    """Reap every child that has exited, including adopted ones.

    Yields pid, exit status, and the processor time in seconds that the child and the children that
    it had reaped have used.
    """
    with suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            code, dumped_core = os.waitstatus_to_exitcode(status), os.WCOREDUMP(status)
            how = ExitStatus(code) if code >= 0 else ExitStatus(None, -code, dumped_core)
            yield pid, how, used.ru_utime + used.ru_stime


def reap_all(pids: Collection[int], clock: Clock, signals: SignalPipe, end: float) -> set[int]:
    """Reap until all of these children are reaped, or until `end`, a time of the clock.

    Returns the pids of those that are left. Does not wait for children that were reaped elsewhere.
    """
    left = set(pids)
    while True:
        left -= {pid for pid, *_ in reap()}
        left = set(filter(_is_child, left))
        patience = end - clock.now()
        if not left or patience <= 0:
            return left
        clock.sleep(signals.wait, patience)


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class Wiring(Value):
    """What connects a life to the supervisor."""

    # File descriptors; both may be the same.
    stdout: int
    stderr: int
    # Identifies the life and all its descendants; see `marks`.
    mark: str
    # Added to its environment: where it sends its reports.
    environ: Mapping[str, str] = MappingProxyType({})
    # The file descriptors of its held sockets.
    sockets: Sequence[int] = ()


def reap_or_kill(pids: Collection[int], clock: Clock, signals: SignalPipe, patience: float) -> None:
    """Reap these children, which are about to exit; SIGKILL those that take longer."""
    left = reap_all(pids, clock, signals, clock.now() + patience)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    reap_all(left, clock, signals, clock.now() + patience)


def become(
    program: Program,
    code: Optional[Code],
    wiring: Wiring,
    supervisor: int,
    release: Callable[[], None],
) -> NoReturn:
    """Turn a freshly forked process into the program; never returns.

    `supervisor` is a pid: when that process exits, this one is killed. `release` closes what
    belongs to the process that was forked. A program without a command line needs its `code`.
    """
    cannot = f"{program.name} cannot be started"

    def start() -> None:
        # `release` closes the originals.
        sockets = [os.dup(fd) for fd in wiring.sockets]
        _detach(supervisor, wiring.stdout, wiring.stderr, release)
        if not program.execute:
            marks.show(wiring.mark)
        _assume(program.context, supervisor, cannot)
        _set_environment(program.environ)
        os.environ.update({**wiring.environ, marks.VARIABLE: wiring.mark})
        if program.watchdog is not None:
            os.environ[notify.WATCHDOG] = str(round(program.watchdog * 10**6))
        if program.in_folder or not program.execute:
            _enter(program.context, cannot)
        if program.execute:
            restore_defaults()
            held.pass_on(sockets)
            execute(program.execute, "" if program.in_folder else f"{cannot}: ")
        assert code is not None, f"{program.name} has nothing to run"
        open_streams()
        sys.argv = list(code.argv)
        set_title(program.name)
        held.give(sockets)
        code.start()

    _run_and_exit(start)


def errand_name(task: str) -> str:
    """The name of its process in `ps` and in the log. No instance can have such a name."""
    return f"errand.{task}"


def become_errand(
    task: str,
    do: Callable[[], Iterable[bytes]],
    wiring: Wiring,
    answer: int,
    supervisor: int,
    release: Callable[[], None],
) -> NoReturn:
    """Have a freshly forked process do a task, write its answer to a descriptor, and exit.

    Each part of the answer is written as soon as the task yields it.

    `supervisor` and `release` are as in `become`. The process exits at once: it calls no exit
    handlers and joins no threads.
    """

    def start() -> None:
        _detach(supervisor, wiring.stdout, wiring.stderr, release)
        marks.mark(wiring.mark)
        _set_environment({})
        open_streams()
        set_title(errand_name(task))
        for part in do():
            left = memoryview(part)
            while left:
                left = left[os.write(answer, left) :]

    status = 1
    try:
        status = _status_of(start)
        flush()
    finally:
        os._exit(status)


def become_command(
    command: CommandTarget, parent: int, output: int, release: Callable[[], None]
) -> NoReturn:
    """Turn a freshly forked process into the command of a health check; never returns."""

    def start() -> None:
        _detach(parent, output, output, release)
        _assume(command.context, parent, "it cannot be started")
        _set_environment(command.environ)
        _enter(command.context, "it cannot be started")
        restore_defaults()
        execute(command.argv)

    _run_and_exit(start)


def _run_and_exit(start: Callable[[], object]) -> NoReturn:
    status = 1
    try:
        status = run_to_the_end(start)
    finally:
        os._exit(status)


def run_to_the_end(start: Callable[[], object]) -> int:
    """Call `start` and finish as an interpreter does; return the exit status.

    The order is that of Py_FinalizeEx: join non-daemon threads, run atexit handlers, flush stdio.
    Multiprocessing uses the same two private names for this in its forked children; there is no
    public way.
    """
    status = _status_of(start)
    # A module that was not imported has nothing to join or run.
    for module, step in (("threading", "_shutdown"), ("atexit", "_run_exitfuncs")):
        if module in sys.modules:
            _status_of(getattr(sys.modules[module], step))
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
        # Die by the signal, as an interpreter does, so that the parent sees it; no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _detach(supervisor: int, stdout: int, stderr: int, release: Callable[[], None]) -> None:
    """Release what belongs to the parent; start a session and set up the standard streams."""
    release()
    kernel.die_with_parent(supervisor)
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
            # Its own pipes: a program needs permission to open /dev/stdout.
            with suppress(OSError):
                os.fchown(fd, *(-1 if one is None else one for one in (wanted.uid, wanted.gid)))
    try:
        context.assume(wanted, os.environ)
    except context.Refused as error:
        _give_up(f"{otherwise}: its {error.key} was refused: {error.reason}", 1)
    if changes_user:
        # A change of user clears the parent-death signal, and the parent may have exited before it
        # was set again.
        kernel.die_with_parent(parent)


def _enter(wanted: Context, otherwise: str) -> None:
    try:
        context.enter(wanted, os.environ)
    except context.Refused as error:
        _give_up(f"{otherwise}: cannot enter its {error.key} {wanted.folder}: {error.reason}", 1)


def _give_up(message: str, status: int) -> NoReturn:
    os.write(2, f"{message}\n".encode(errors="replace"))
    os._exit(status)


def _set_environment(added: Mapping[str, str]) -> None:
    for name in NOT_INHERITED:
        os.environ.pop(name, None)
    os.environ["PATH"] = search_path(os.environ.get("PATH"))
    # Python programs that this one starts must not buffer their output either.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    os.environ.update(added)


def execute(argv: Sequence[str], otherwise: str = "") -> NoReturn:
    """Execute another program, found through PATH; on failure exit with 126 or 127, as shells do.

    `otherwise` begins the error message, which then names only the program. If it is empty, a user
    wrote the command line: the message shows all of it, and the PATH in which it was not found.
    """
    path = os.environ.get("PATH", os.defpath)
    try:
        _execute(argv, path)
    except OSError as error:
        # Checks found it before: it has been removed since, or the system has no memory for it.
        reason, missing = error.strerror, isinstance(error, FileNotFoundError)
        shown = argv[0]
        if not otherwise:
            import shlex

            shown = literal(shlex.join(argv))
            if missing and not os.path.dirname(argv[0]):
                reason = f"not found in {path}"
        _give_up(f"{otherwise}{shown}: {reason}", 127 if missing else 126)


def _execute(argv: Sequence[str], path: str) -> NoReturn:
    """Do what os.execvp does, without the module that it imports: in each child that import would
    take longer than the fork, and a file descriptor. Raises OSError."""
    program, refused = argv[0], None
    for folder in [""] if os.path.dirname(program) else path.split(os.pathsep):
        try:
            os.execv(os.path.join(folder, program), list(argv))
        except (FileNotFoundError, NotADirectoryError) as error:
            missing = error
        except OSError as error:
            refused = refused or error
    raise refused or missing


def open_streams() -> None:
    """Have sys.stdout and sys.stderr write to descriptors 1 and 2, as they do on a terminal."""
    # A stream is None if the supervisor was started with that descriptor closed.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    for stream in (sys.stdout, sys.stderr):
        # Flush each line, as on a terminal: otherwise the last output of a process may be lost.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
