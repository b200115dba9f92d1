"""Stop signals that arrive twice: within five seconds of the first, the others are ignored.

Some platforms signal every process of a container (Heroku, systemd, `kill -TERM -PGID`), and then
the supervisor asks each instance as well. To most workers a second stop signal means to drop their
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

# When the first one arrived in this process, and what is called then.
_first: Optional[float] = None
_when_asked: list[Callable[[], None]] = []


def count_as_one(signals: Collection[Signals] = SIGNALS) -> None:
    """Let the handlers of these signals be called for the first one, then not for WINDOW seconds.

    To be called in the main thread, once the software has installed its handlers. What these
    install in their place, for the second signal, waits likewise. A signal that has its default
    action keeps it. Leave out what has to get through soon, such as an escalation signal.
    """
    for number in signals:
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, _First):
            signal.signal(number, _First(handler, signals))


def when_asked(call: Callable[[], None]) -> None:
    """Call this in the handler of the first stop signal, before the software's own."""
    _when_asked.append(call)


def handle(number: Signals, handler: _Handler) -> None:
    """Let this handle a signal, unless the project has installed a handler or ignores it."""
    if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(number, handler)


def reset(signals: Collection[Signals]) -> None:
    """Give them their default action, and let those arrive that were blocked."""
    for number in signals:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


@contextmanager
def blocked(signals: Collection[Signals]) -> Iterator[None]:
    """Threads and forks that are started meanwhile have them blocked, too.

    A thread would take them in place of the main one, where that waits and does not hear of it. And
    a fork has the handlers of its parent, which may be nothing to it, until it has its own.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def waiting_for(signals: Collection[Signals]) -> Callable[[], None]:
    """A function that waits for the first of them, for a thread besides the main one.

    Python calls a handler in the main thread, and where that only waits, it does not hear of a
    signal that another thread has got. To block them in all others is no choice: what these execute
    would inherit that.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    for number in signals:
        signal.signal(number, _do_nothing)

    def wait() -> None:
        while os.read(told, 1)[0] not in signals:
            """Another signal that Python handles."""

    return wait


def _do_nothing(number: int, frame: object) -> None: ...


class _First:
    """A handler of the software, which is not called soon after the first stop signal."""

    def __init__(self, handler: _Handler, signals: Collection[Signals]) -> None:
        self._handler = handler
        self._signals = signals

    def __call__(self, number: int, frame: Optional[FrameType]) -> None:
        global _first
        now = time.monotonic()
        if _first is not None and now < _first + WINDOW:
            return
        if _first is None:
            # After the window every signal counts.
            _first = now
            for call in _when_asked:
                call()
        try:
            self._handler(number, frame)
        finally:
            count_as_one(self._signals)
