"""What the program that was started hands over to the supervisor, which replaces it.

The supervisor can later start the same program again, as a template that reloads the project.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Mapping, Sequence

from django_prodserver.posix import kernel, marks
from django_prodserver.posix.signals import restore_defaults
from django_prodserver.supervisor.hints import Any, Callable, NoReturn, Optional
from django_prodserver.supervisor.values import Value

from .order import CHANNEL


class Command(Value):
    """How a program was started: everything needed to start it again."""

    # The interpreter and its arguments.
    argv: Sequence[str]
    folder: str
    environ: Mapping[str, str]

    def become_template(
        self,
        supervisor: int,
        run: str,
        channel: int,
        what: str,
        output: Optional[tuple[int, int]],
        release: Callable[[], None],
    ) -> NoReturn:
        """In a forked child of the `supervisor`, a pid: execute the program as a template.

        `what` is the word of `order` for the kind of template. `output` is its stdout and stderr;
        None: those of the supervisor.
        """
        try:
            kernel.die_with_parent(supervisor)
            channel = os.dup(channel)
            for given, fd in zip(output or (), (1, 2)):
                os.dup2(given, fd)
            release()
            restore_defaults()
            os.setsid()
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.chdir(self.folder)
            os.set_inheritable(channel, True)
            variables = {CHANNEL: f"{channel} {what}", marks.VARIABLE: marks.of_template(run, 0)}
            os.execve(self.argv[0], list(self.argv), {**self.environ, **variables})
        except OSError as error:
            where = error.filename or self.argv[0]
            os.write(2, f"cannot start the template: {where}: {error.strerror}\n".encode())
        finally:
            os._exit(126)


class Handover(Value):
    """What the supervisor needs to know before it has the plan."""

    command: Command
    # The title of the program in `ps`.
    title: Sequence[str]
    # Marks every process of the supervisor.
    run: str
    # It was started in a terminal: SIGHUP means that the terminal is gone.
    hangs_up: bool
    # The channel and pid of the first template. None: the supervisor has to start one.
    channel: Optional[int] = None
    template: int = 0
    # The pid of another child, which exits once the early output is written; see `early`.
    helper: int = 0
    # The folder of the project's own metrics, from `MetricsFolder.hand_over`, if there is one.
    metrics: Optional[Sequence[Any]] = None


def pack_handover(handover: Handover) -> bytes:
    command = handover.command
    plain: Any = (
        *(list(command.argv), command.folder, dict(command.environ)),
        *(list(handover.title), handover.run, handover.hangs_up),
        *(handover.channel, handover.template, handover.helper),
        handover.metrics and list(handover.metrics),
    )
    return marshal.dumps(plain)


def unpack_handover(fd: int) -> Handover:
    """In the supervisor: what was handed over."""
    with os.fdopen(fd, "rb") as file:
        argv, folder, environ, *plain = marshal.loads(file.read())
    handover = Handover(Command(argv, folder, environ), *plain)
    if handover.channel is not None:
        os.set_inheritable(handover.channel, False)
    return handover
