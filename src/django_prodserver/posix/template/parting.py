"""How the program that was started becomes the supervisor.

`manage.py prodserver` forks its first template, which goes on to load the project. Then it replaces
itself, in the same process, with a fresh interpreter that imports nothing but the supervisor.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from django_prodserver.posix import early, held, kernel, marks, metrics_folder
from django_prodserver.posix.child import flush, open_streams, quiet_fork
from django_prodserver.posix.interpreter import (
    own_command,
    start_environment,
    start_folder,
    start_words,
)
from django_prodserver.posix.output import open_standard_descriptors
from django_prodserver.posix.signals import hangs_up
from django_prodserver.supervisor.hints import NoReturn
from django_prodserver.supervisor.values import replace

from .channel import pair
from .handover import Command, Handover, pack_handover
from .order import FIRST, Order

# Packages outside the standard library that the supervisor may have to import.
PACKAGES = ("django_prodserver", "msgspec", "h11", "psutil")
# Run by the new interpreter: its arguments are a descriptor, and folders to import from.
_BEGIN = (
    "import sys; sys.path += sys.argv[2:]; "
    "from django_prodserver.posix.main import main; main(int(sys.argv[1]))"
)


def split_off_supervisor() -> Order:
    """Become a supervisor and its first template; returns only in the template.

    The template is a fork of this process, and goes on with everything loaded so far.
    """
    run = marks.new_run()
    handover = own_handover(own_command(sys.argv[1:]), run)
    ours, theirs = pair()
    supervisor = os.getpid()
    flush()
    # Signals that arrive from here on stay pending until the supervisor has handlers: as PID 1 it
    # would lose them.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = quiet_fork()
    if pid:
        children = {"template": pid, "helper": early.helper()}
        become_supervisor(replace(handover, channel=ours.detach(), **children))
    ours.close()
    held.close_those_of(supervisor)
    kernel.die_with_parent(supervisor)
    early.adopt()
    metrics_folder.leave()
    open_streams()
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    marks.mark(marks.of_template(run, 0))
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    return Order(theirs.detach(), FIRST)


def own_handover(argv: Sequence[str], run: str) -> Handover:
    """The handover of this program, which `argv` starts again."""
    folder = metrics_folder.ours()
    environ = metrics_folder.added_to(start_environment())
    return Handover(
        Command(argv, start_folder(), environ),
        *(start_words(), run, hangs_up()),
        metrics=None if folder is None else folder.hand_over(),
    )


def become_supervisor(handover: Handover) -> NoReturn:
    """Replace this program with the supervisor, in the same process."""
    # Signals that arrive from here on stay pending until it has handlers: as PID 1 it would lose
    # them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    early.leave()
    open_standard_descriptors()  # The descriptors opened below must not become 0, 1 or 2.
    # Not a pipe: an environment may be larger than a pipe holds.
    memory = os.memfd_create("prodserver")
    with os.fdopen(os.dup(memory), "wb") as file:
        file.write(pack_handover(handover))
    os.lseek(memory, 0, os.SEEK_SET)
    for fd in (memory, handover.channel):
        if fd is not None:
            os.set_inheritable(fd, True)
    argv = [sys.executable, *_flags(), "-c", _BEGIN, str(memory), *_folders()]
    # The title overwrites the arguments in memory: they have to be long enough.
    missing = sum(len(os.fsencode(word)) + 1 for word in handover.title)
    missing -= sum(len(os.fsencode(word)) + 1 for word in argv)
    if missing > 0:
        argv.append("." * missing)
    os.execve(sys.executable, argv, dict(handover.command.environ))


def _flags() -> list[str]:
    """Isolate it from the environment, and from site, which would import what it finds."""
    # Without PYTHONHOME the interpreter would not find its own library.
    flags = ["-S", "-s"] if os.environ.get("PYTHONHOME") else ["-I", "-S"]
    # Options that the environment may have set.
    if sys.flags.utf8_mode:
        flags.append("-Xutf8")
    if sys.dont_write_bytecode:
        flags.append("-B")
    if sys.pycache_prefix is not None:
        flags.append(f"-Xpycache_prefix={sys.pycache_prefix}")
    return [*flags, *(f"-W{option}" for option in sys.warnoptions)]


def _folders() -> list[str]:
    """Where PACKAGES are imported from, each once."""
    from importlib.util import find_spec

    found: dict[str, None] = {}
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            found[os.path.dirname(os.path.dirname(os.path.abspath(spec.origin)))] = None
    return list(found)
