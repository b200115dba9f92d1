"""Signals as bytes in a pipe: the handlers do nothing, the wakeup fd carries the message.

https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from signal import Signals
from types import FrameType

from django_prodserver.supervisor.hints import Any, Callable, NoReturn, Optional, TypeVar
from django_prodserver.supervisor.signals import (
    HANDLED,
    RELOAD,
    STOP_SIGNALS,
    STOP_SIGNALS_AT_TERMINAL,
)

_T = TypeVar("_T")
# Computed once, and not in each child.
_CHANGEABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class SignalPipe:
    """Receives the handled signals, SIGCHLD among them, through a file descriptor to poll.

    Only one can be open, and only in the main thread: Python has one wakeup fd.
    """

    def __init__(self, handled: Iterable[Signals]) -> None:
        self._handled = frozenset({*handled, Signals.SIGCHLD})
        # A pipe holds 65,536 one-byte messages, a socketpair a few hundred: a storm of SIGCHLD
        # must not push out the one SIGTERM.
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._old_handlers: dict[Signals, Any] = {
            number: signal.signal(number, _do_nothing) for number in self._handled
        }

    def fileno(self) -> int:
        return self._read

    def drain(self) -> list[Signals]:
        """Return the signals that arrived, in order; never blocks."""
        try:
            numbers = os.read(self._read, 65536)
        except BlockingIOError:
            return []
        # Signals for which the project has installed a handler arrive, too.
        return [Signals(number) for number in numbers if number in self._handled]

    def wait(self, timeout: Optional[float]) -> list[Signals]:
        """Sleep until signals arrive, at most `timeout` seconds, and return them."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.poll(None if timeout is None else timeout * 1000)
        return self.drain()

    def block(self) -> None:
        """Hold the handled signals back: one that arrives stays pending."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)

    def unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._handled)

    def reset_in_child(self) -> None:
        """Give a forked child the dispositions of a fresh interpreter and an empty mask.

        The wakeup fd goes first: the parent shares it, and a signal to the child would wake the
        parent.
        """
        signal.set_wakeup_fd(-1)
        # RELOAD even if it is ignored and not handled.
        restore({*self._handled, RELOAD})
        os.close(self._read)
        os.close(self._write)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def close_in_child(self) -> None:
        """In a forked child: close the pipe, and block every signal that can be blocked."""
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.close(self._read)
        os.close(self._write)

    def close(self) -> None:
        """Put the old handlers back."""
        _restore(self._old_handlers)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._read)
        os.close(self._write)


def restore_defaults() -> None:
    """Give every signal its default action, which the next executed program inherits.

    That includes signals that Python ignores (SIGPIPE), or that were ignored when it was started.
    """
    for number in _CHANGEABLE:
        if signal.getsignal(number) != signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)


def ignore(signals: Iterable[Signals]) -> None:
    """Ignore these signals in this process; in programs executed from it they act as usual."""
    for number in signals:
        signal.signal(number, _do_nothing)


def restore(signals: Iterable[Signals]) -> None:
    """Give these signals the dispositions of a fresh interpreter."""
    for number in signals:
        default = signal.SIG_DFL if number != Signals.SIGINT else signal.default_int_handler
        signal.signal(number, default)


@contextmanager
def leaving_on(statuses: Mapping[Signals, int]) -> Iterator[Callable[[], None]]:
    """Exit on any of these signals, with the exit status given for it.

    For PID 1 a signal has no default action (pid_namespaces(7)): without a handler it is lost.
    Other code may catch the SystemExit, so the yielded function raises it again if a signal has
    arrived.
    """
    asked: list[int] = []

    def leave(number: int, frame: Optional[FrameType]) -> NoReturn:
        asked.append(statuses[Signals(number)])
        sys.exit(asked[0])

    def leave_if_asked() -> None:
        if asked:
            sys.exit(asked[0])

    old_handlers = {number: signal.signal(number, leave) for number in statuses}
    try:
        yield leave_if_asked
    finally:
        _restore(old_handlers)


def handled() -> frozenset[Signals]:
    """The signals that a supervisor handles: without SIGHUP if it is ignored, as by nohup(1)."""
    ignored = signal.getsignal(RELOAD) is signal.SIG_IGN
    return HANDLED - {RELOAD} if ignored else HANDLED


def hangs_up() -> bool:
    """Whether SIGHUP means that the terminal is gone: there is a terminal, but no nohup(1)."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def stop_signals_of(terminal: bool) -> Mapping[Signals, int]:
    """The signals that stop everything, with their exit statuses; `terminal`: see `hangs_up`."""
    return STOP_SIGNALS_AT_TERMINAL if terminal else STOP_SIGNALS


class TookTooLong(Exception):
    """A call used more processor time than it was allowed."""


def within_processor_time(seconds: float, do: Callable[[], _T]) -> _T:
    """Call what may never return, such as a regular expression search. Raises TookTooLong.

    The limit is processor time of this process: time in which others ran does not count.
    """
    doing = True

    def interrupt(number: int, frame: Optional[FrameType]) -> None:
        if doing:
            raise TookTooLong

    old_handler = signal.signal(signal.SIGVTALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        return do()
    finally:
        doing = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        _restore({Signals.SIGVTALRM: old_handler})


def die_as_others_do() -> None:
    """Let SIGTERM end PID 1 as it ends any other process that has no handler for it."""
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _restore(handlers: Mapping[Signals, Any]) -> None:
    for number, handler in handlers.items():
        # None: the handler was not installed from Python, so Python cannot restore it.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _do_nothing(number: int, frame: Optional[FrameType]) -> None:
    """Exist, so that Python's own C handler writes the signal into the wakeup fd."""
