"""Trials: functions that may hang, each called in a forked process that the kernel ends in time."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from django_prodserver.supervisor.hints import Callable, NoReturn

from . import kernel
from .child import flush, quiet_fork

# The longest answer, in bytes: a pipe holds that without anybody who reads.
LONGEST_ANSWER = 4096


def answers(functions: Sequence[Callable[[], str]], within: float) -> list[str]:
    """What they answer, called at the same time; why there is no answer where one did not.

    SIGALRM ends a process after `within` seconds, also where it hangs in code that is not Python's.
    None outlives this process.
    """
    begun = [_begin(function, within) for function in functions]
    return [_answer(pid, pipe, within) for pid, pipe in begun]


def _begin(function: Callable[[], str], within: float) -> tuple[int, int]:
    """The pid of a process that calls it, and where its answer comes from."""
    parent = os.getpid()
    ours, theirs = os.pipe()
    flush()
    pid = quiet_fork()
    if pid == 0:
        _call(function, within, parent, theirs)
    os.close(theirs)
    return pid, ours


def _call(function: Callable[[], str], within: float, parent: int, answer: int) -> NoReturn:
    try:
        kernel.die_with_parent(parent)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        signal.setitimer(signal.ITIMER_REAL, within)
        said = function().encode(errors="replace")[:LONGEST_ANSWER]
        flush()
        os.write(answer, said)
        os._exit(0)
    finally:
        os._exit(1)


def _answer(pid: int, pipe: int, within: float) -> str:
    # It ends by its exit, whoever else may hold the pipe.
    status = os.waitpid(pid, 0)[1]
    with open(pipe, "rb", buffering=0) as file:
        said = file.read(LONGEST_ANSWER) if status == 0 else b""
    if status == 0:
        return (said or b"").decode(errors="replace")
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGALRM:
            return f"no answer within {within:g} s"
        return f"its check was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return "its check ended without an answer"
