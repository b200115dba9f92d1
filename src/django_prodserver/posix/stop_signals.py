"""Repeated stop signals: those that arrive within five seconds of the first are ignored.

Some platforms signal every process of a container (Heroku, systemd, `kill -TERM -PGID`), and then
the supervisor signals each instance as well. On a second stop signal most workers drop their
running tasks.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from signal import Signals
from types import FrameType
from typing import Any, Callable, Optional

# In seconds.
WINDOW = 5.0
SIGNALS = frozenset({Signals.SIGTERM, Signals.SIGINT, Signals.SIGQUIT})

_Handler = Callable[[int, Optional[FrameType]], Any]

# When the first stop signal arrived in this process, and what is called then.
_first: Optional[float] = None
_first_callbacks: list[Callable[[], None]] = []


def count_as_one(signals: Collection[Signals] = SIGNALS) -> None:
    """Call the handlers of these signals for the first signal, then not for WINDOW seconds.

    Call this in the main thread, once the software has installed its handlers. Handlers that these
    install for a second signal are wrapped in the same way. A signal that has its default action
    keeps it. Leave out signals that must be handled soon, such as an escalation signal.
    """
    for number in signals:
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, _First):
            signal.signal(number, _First(handler, signals))


def on_first_stop_signal(call: Callable[[], None]) -> None:
    """Call this in the handler of the first stop signal, before the software's own."""
    _first_callbacks.append(call)


def handle(number: Signals, handler: _Handler) -> None:
    """Install a handler, unless the project has installed one or ignores the signal."""
    if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(number, handler)


def reset(signals: Collection[Signals]) -> None:
    """Give these signals their default action, and unblock them."""
    for number in signals:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


@contextmanager
def blocked(signals: Collection[Signals]) -> Iterator[None]:
    """Block these signals, also in threads and forks that are started meanwhile.

    Otherwise such a thread could receive a signal instead of the main thread, which does not notice
    while it waits. And a fork has its parent's handlers, which may be wrong for it, until it
    installs its own.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def waiting_for(signals: Collection[Signals]) -> Callable[[], None]:
    """Return a function that waits for the first of these signals, in a thread of its own.

    Python calls handlers in the main thread, which does not notice a signal that another thread has
    received while it only waits. Blocking the signals in all other threads is not an option:
    programs that these execute would inherit the mask.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in signals:
        signal.signal(number, _do_nothing)

    def wait() -> None:
        while os.read(read_end, 1)[0] not in signals:
            """Another signal that Python handles."""

    return wait


def _do_nothing(number: int, frame: object) -> None: ...


class _First:
    """Wraps a handler of the software, and does not call it soon after the first stop signal."""

    def __init__(self, handler: _Handler, signals: Collection[Signals]) -> None:
        self._handler = handler
        self._signals = signals

    def __call__(self, number: int, frame: Optional[FrameType]) -> None:
        global _first
        now = time.monotonic()
        if _first is not None and now < _first + WINDOW:
            return
        if _first is None:
            # Set only once: after the window every signal counts.
            _first = now
            for call in _first_callbacks:
                call()
        try:
            self._handler(number, frame)
        finally:
            count_as_one(self._signals)
