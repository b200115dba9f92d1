"""Signals as bytes in a pipe: a handler does nothing, the wakeup fd carries the message.

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
# Made once, and not in each child.
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
        # Others arrive too, for which the project has installed a handler.
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

        The wakeup fd goes first: it is the parent's, and a signal to the child would ring there.
        """
        signal.set_wakeup_fd(-1)
        # Also where it is not handled, but ignored.
        restore({*self._handled, RELOAD})
        os.close(self._read)
        os.close(self._write)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def close_in_child(self) -> None:
        """Let a forked child take no signal at all, except for those that cannot be blocked."""
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
    """Give every signal its default action, which a program that is executed next will inherit.

    What Python itself ignores is among them (SIGPIPE), and what was ignored when it was started.
    """
    for number in _CHANGEABLE:
        if signal.getsignal(number) != signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)


def ignore(signals: Iterable[Signals]) -> None:
    """Let these signals do nothing here, and what is executed from here heed them."""
    for number in signals:
        signal.signal(number, _do_nothing)


def restore(signals: Iterable[Signals]) -> None:
    """Give these signals the dispositions of a fresh interpreter."""
    for number in signals:
        default = signal.SIG_DFL if number != Signals.SIGINT else signal.default_int_handler
        signal.signal(number, default)


@contextmanager
def leaving_on(statuses: Mapping[Signals, int]) -> Iterator[Callable[[], None]]:
    """Let each of these signals end the program with an exit status of its own.

    PID 1 has no default action for a signal (pid_namespaces(7)): without a handler it is lost.
    Foreign code may catch the SystemExit. So what is yielded raises it once more, if there was one.
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
    """What a supervisor handles: after nohup(1), SIGHUP asks for nothing."""
    ignored = signal.getsignal(RELOAD) is signal.SIG_IGN
    return HANDLED - {RELOAD} if ignored else HANDLED


def hangs_up() -> bool:
    """Whether SIGHUP means that the terminal is gone: there is one, and no nohup(1) before us."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def stop_signals_of(terminal: bool) -> Mapping[Signals, int]:
    """The signals that stop everything, with or without a terminal that `hangs_up`."""
    return STOP_SIGNALS_AT_TERMINAL if terminal else STOP_SIGNALS


class TookTooLong(Exception):
    """What was done took more of the processor's time than it had."""


def within_processor_time(seconds: float, do: Callable[[], _T]) -> _T:
    """Do what may never end, such as a search for a regular expression. Raises TookTooLong.

    Time in which other processes had the processor does not count.
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
        # None: it was not installed from Python, and cannot be put back from there.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _do_nothing(number: int, frame: Optional[FrameType]) -> None:
    """Exist, so that Python's own C handler writes the signal into the wakeup fd."""
