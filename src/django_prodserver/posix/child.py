"""Children: how they are forked, become a program, end and are reaped.

A child has a copy of everything that the supervisor has: its frames, its signal handlers, its file
descriptors. It gives all of that back first, and never returns into it.
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

# For the supervisor alone: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
NOT_INHERITED = (
    notify.VARIABLE,
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    held.PID,
    held.COUNT,
    held.NAMES,
)


def fork(become: Callable[[], NoReturn], signals: SignalPipe) -> int:
    """Start a process that calls `become`; returns its pid. Raises OSError.

    The signals are held back until they have handlers of the child's own, or none.
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
    """os.fork without a warning: the log has said better which threads run. Raises OSError."""
    if "threading" not in sys.modules:
        return os.fork()
    import warnings  # Python 3.12 warns where threads run.

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def flush() -> None:
    """Write what is buffered, before a fork: otherwise both processes would print it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def reap() -> Iterator[tuple[int, ExitStatus, float]]:
    """Reap every child that has exited, adopted ones among them.

    The last item is the processor time that it has used, with what it has reaped, in seconds.
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
    """Reap until all of these children have been, or until that moment of the clock.

    Returns those that are left. One that somebody else has reaped already is not waited for.
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


class Ties(Value):
    """What connects a life to the supervisor."""

    # Descriptors, which may be the same.
    stdout: int
    stderr: int
    # By which it and all that it starts are found; see `marks`.
    mark: str
    # In its environment: where it reports to.
    environ: Mapping[str, str] = MappingProxyType({})
    # Held sockets: where it listens.
    sockets: Sequence[int] = ()


def end_all(pids: Collection[int], clock: Clock, signals: SignalPipe, patience: float) -> None:
    """Reap these children, which are about to end; SIGKILL those that take longer."""
    left = reap_all(pids, clock, signals, clock.now() + patience)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    reap_all(left, clock, signals, clock.now() + patience)


def become(
    program: Program,
    code: Optional[Code],
    ties: Ties,
    supervisor: int,
    release: Callable[[], None],
) -> NoReturn:
    """Turn a freshly forked process into the program; never returns.

    `supervisor` is a pid: whenever that ends, this process does. `release` gives back what belongs
    to the process that was forked. Without a command line to execute the program needs its `code`.
    """
    cannot = f"{program.name} cannot be started"

    def start() -> None:
        # These are what it keeps of what is released.
        sockets = [os.dup(fd) for fd in ties.sockets]
        _stand_alone(supervisor, ties.stdout, ties.stderr, release)
        if not program.execute:
            marks.show(ties.mark)
        _assume(program.context, supervisor, cannot)
        _set_environment(program.environ)
        os.environ.update({**ties.environ, marks.VARIABLE: ties.mark})
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

    _live(start)


def errand_name(task: str) -> str:
    """What the process is called that does it, in `ps` and in the log. No instance is."""
    return f"errand.{task}"


def become_errand(
    task: str,
    do: Callable[[], Iterable[bytes]],
    ties: Ties,
    answer: int,
    supervisor: int,
    release: Callable[[], None],
) -> NoReturn:
    """Let a freshly forked process do a task, write its answer to a descriptor, and end.

    Each part of the answer is written as it comes.

    `supervisor` and `release` are as in `become`. It ends at once: no exit handlers are called, and
    no threads are waited for.
    """

    def start() -> None:
        _stand_alone(supervisor, ties.stdout, ties.stderr, release)
        marks.mark(ties.mark)
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
        _stand_alone(parent, output, output, release)
        _assume(command.context, parent, "it cannot be started")
        _set_environment(command.environ)
        _enter(command.context, "it cannot be started")
        restore_defaults()
        execute(command.argv)

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
    # What is not imported has nothing to be joined or run.
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
        # An interpreter dies by the signal, so that its parent can tell; no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 128 + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _stand_alone(supervisor: int, stdout: int, stderr: int, release: Callable[[], None]) -> None:
    """Give back what belongs to the parent; take a session and descriptors of one's own."""
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


def execute(argv: Sequence[str], otherwise: str = "") -> NoReturn:
    """Become another program, found in the PATH of this environment; or end as shells do.

    It is called by its path in what is said `otherwise`, and by the whole command line where that
    was written by a user, who is told where it was looked for.
    """
    path = os.environ.get("PATH", os.defpath)
    try:
        _execute(argv, path)
    except OSError as error:
        # It was there when it was checked, or the system has no memory for it.
        reason, missing = error.strerror, isinstance(error, FileNotFoundError)
        shown = argv[0]
        if not otherwise:
            import shlex

            shown = literal(shlex.join(argv))
            if missing and not os.path.dirname(argv[0]):
                reason = f"not found in {path}"
        _give_up(f"{otherwise}{shown}: {reason}", 127 if missing else 126)


def _execute(argv: Sequence[str], path: str) -> NoReturn:
    """What os.execvp does, without the module that it imports: in each child that would take longer
    than its fork, and a descriptor. Raises OSError."""
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
    """Let sys.stdout and sys.stderr write to 1 and 2, as they do on a terminal."""
    # None: that descriptor of the supervisor was closed when it was started.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    for stream in (sys.stdout, sys.stderr):
        # Whole lines at once, as on a terminal: otherwise what a process says last may be lost.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
