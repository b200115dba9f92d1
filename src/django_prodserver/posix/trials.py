"""Trials: functions that may hang, each called in a forked process that SIGALRM kills in time."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from django_prodserver.supervisor.hints import Callable, NoReturn

from . import kernel
from .child import flush, quiet_fork

# The longest answer, in bytes: a pipe holds that much without a reader.
LONGEST_ANSWER = 4096


def answers(functions: Sequence[Callable[[], str]], within: float) -> list[str]:
    """Call all functions at the same time; return their answers, or why there is no answer.

    SIGALRM kills a process after `within` seconds, even if it hangs in code outside Python. None of
    the processes outlives this one.
    """
    begun = [_begin(function, within) for function in functions]
    return [_answer(pid, pipe, within) for pid, pipe in begun]


def _begin(function: Callable[[], str], within: float) -> tuple[int, int]:
    """Fork a process that calls the function; return its pid, and the pipe of its answer."""
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
    # Wait for the exit and not for EOF: other processes may hold the pipe.
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
