"""A template: a process that has loaded the project, and is forked for each of its lives.

A life has to be a child of the supervisor, so it is forked twice: its parent exits at once, and the
kernel gives it to the supervisor, which is a subreaper (prctl(2)). The life waits until the
supervisor knows its pid and tells it to go on. If anything fails before that, it exits without
having run any code.

The template reads no output, reaps no life, and ignores the signals that stop the supervisor. It
exits when told to. If the supervisor dies without telling it to, it kills what is left of the run.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import Signals

from django_prodserver.posix import child, kernel, marks, signals
from django_prodserver.posix.child import Wiring
from django_prodserver.posix.guardian import end_run
from django_prodserver.posix.program import Stage
from django_prodserver.posix.starting import Project
from django_prodserver.posix.titles import set_title
from django_prodserver.supervisor.hints import Callable, NoReturn

from .channel import Channel, Closed, Message, close_all
from .plan import Loaded, Plan
from .protocol import GO, NAME, VERSION

# Signals meant for the supervisor that may be sent to all of its processes at once.
IGNORED = frozenset(
    {
        *(Signals.SIGINT, Signals.SIGTERM, Signals.SIGQUIT, Signals.SIGHUP),
        *(Signals.SIGUSR1, Signals.SIGUSR2),
    }
)


def be_the_template(
    channel: Channel, supervisor: int, run: str, project: Project, plan: Plan, loaded: Loaded
) -> NoReturn:
    """Be the first template of a supervisor, or one that was started as a program of its own."""
    channel.send("protocol", VERSION)
    channel.send("plan", plan)
    _report_load(channel, run, loaded)
    serve(channel, supervisor, run, project)


def _report_load(channel: Channel, run: str, loaded: Loaded) -> None:
    """Report the load. The supervisor relies on the template from then on, so first become it.

    It ignores the supervisor's signals, and outlives the supervisor, to kill what is left behind.
    """
    signals.ignore(IGNORED)
    set_title(NAME)
    marks.show(marks.of_guard(run, os.getpid()))
    kernel.set_parent_death_signal(0)
    channel.send("loaded", loaded)


def serve(channel: Channel, supervisor: int, run: str, project: Project) -> NoReturn:
    """Fork on request until told to end; `supervisor` is a pid, and `run` the mark of its run."""
    status = 1
    try:
        _Template(channel, supervisor, run, project).serve()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


class _Template:
    def __init__(self, channel: Channel, supervisor: int, run: str, project: Project) -> None:
        self._channel = channel
        self._supervisor = supervisor
        self._run = run
        self._project = project
        # Process groups of lives and errands.
        self._groups: set[int] = set()

    def serve(self) -> None:
        while True:
            try:
                message = self._channel.receive()
            except Closed:
                end_run(self._run, self._groups, self._supervisor)
                return
            assert message is not None, "it blocks"
            if message[0] == "end":
                return
            self._take(message)

    def _take(self, message: Message) -> None:
        word, *rest = message
        try:
            if message.truncated:
                if rest:  # `output` has no number: stdout and stderr stay as they are.
                    self._refuse(rest[-1], OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
            elif word == "output":
                redirect_output(*message.fds)
            elif word == "watch":
                self._groups.add(*rest)
            elif word == "forget":
                self._groups.discard(*rest)
            elif word == "fork":
                self._fork_life(message.fds, *rest)
            elif word == "stage":
                self._fork_stage(message.fds, *rest)
            elif word == "errand":
                self._fork_errand(message.fds, *rest)
        finally:
            close_all(message.fds)

    def _fork_life(
        self, fds: Sequence[int], name: str, mark: str, environ: Mapping[str, str], number: int
    ) -> None:
        def become() -> NoReturn:
            stdout, stderr, *sockets, wait = fds
            program, code = self._project.program_of(name), self._project.code_of(name)
            wiring = Wiring(stdout, stderr, mark, environ, sockets)

            def release() -> None:
                self._release(wait)
                close_all(sockets)

            child.become(program, code, wiring, self._supervisor, release)

        self._answer(number, become, group=True)

    def _fork_errand(
        self, fds: Sequence[int], task: str, request: bytes, mark: str, number: int
    ) -> None:
        def become() -> NoReturn:
            stdout, stderr, answer, wait = fds
            child.become_errand(
                task,
                lambda: self._project.run_errand(task, request),
                *(Wiring(stdout, stderr, mark), answer, self._supervisor),
                lambda: self._release(wait),
            )

        self._answer(number, become, group=True)

    def _fork_stage(self, fds: Sequence[int], stage: Stage, number: int) -> None:
        def become() -> NoReturn:
            end, stdout, stderr, wait = fds
            self._release(wait)
            kernel.die_with_parent(self._supervisor)
            os.setsid()
            redirect_output(stdout, stderr)
            os.close(stdout)
            os.close(stderr)
            marks.show(marks.of_template(self._run, 0))
            loaded = self._project.load(stage)
            channel = Channel.of(end)
            _report_load(channel, self._run, loaded)
            if loaded.error is not None:
                os._exit(1)
            serve(channel, self._supervisor, self._run, self._project)

        self._answer(number, become, group=False)

    def _answer(self, number: int, become: Callable[[], NoReturn], group: bool) -> None:
        try:
            pid = _fork_twice(become)
        except OSError as error:
            self._refuse(number, error)
            return
        if group:
            self._groups.add(pid)
        self._channel.send("forked", number, pid)

    def _refuse(self, number: int, error: OSError) -> None:
        self._channel.send("refused", number, str(error))

    def _release(self, wait: int) -> None:
        """In the forked process: close what belongs to the template, and wait for GO."""
        self._channel.close()
        signals.restore(IGNORED)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        word = os.read(wait, 1)
        if word != GO:
            os._exit(0)
        os.close(wait)


def redirect_output(stdout: int, stderr: int) -> None:
    """Send what this process writes from here on to the log."""
    child.flush()
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, target)
    os.close(null)
    child.open_streams()


def _fork_twice(become: Callable[[], NoReturn]) -> int:
    """Fork a process whose parent has exited; returns its pid. Raises OSError."""
    child.flush()
    read_end, write_end = os.pipe()
    # A signal sent to it before it has handlers of its own stays pending until then.
    signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        middle = child.quiet_fork()
        if middle == 0:
            _fork_again(read_end, write_end, become)
        os.close(write_end)
        write_end = -1
        answer = os.read(read_end, 32)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, IGNORED)
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)
    # Once it has exited, its child belongs to the supervisor.
    with suppress(ChildProcessError):
        os.waitpid(middle, 0)
    number = int(answer or b"0")
    if number == 0:
        raise OSError("the process that forks it was killed")
    if number < 0:
        raise OSError(-number, os.strerror(-number))
    return number


def _fork_again(read_end: int, write_end: int, become: Callable[[], NoReturn]) -> NoReturn:
    status = 1
    try:
        try:
            number = child.quiet_fork()
        except OSError as error:
            number = -(error.errno or 0)
        if number == 0:
            os.close(read_end)
            os.close(write_end)
            become()
        with suppress(BrokenPipeError):  # The template was killed meanwhile.
            os.write(write_end, b"%d" % number)
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
