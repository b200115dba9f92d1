"""The loop: one poll for everything, and the signals that end its sleep.

No threads and no asyncio: a fork copies only one thread, but every lock, and a child that leaves an
event loop by SystemExit breaks the parent's loop. poll and not epoll: an epoll object is shared
with forked children, which would silence the parent by closing a descriptor.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Iterator
from signal import Signals

from django_prodserver.supervisor.events import Event, Signalled
from django_prodserver.supervisor.hints import Callable, Optional

from .clock import Clock
from .signals import SignalPipe

# How long background work may take in one turn, in seconds: signals and log lines wait no longer.
SLICE = 0.0005


class Loop:
    """Files are registered with its `selector`, each with a callback as its data.

    `child_exited` is called when a child may have exited. `before_sleep` is called before each
    poll, and returns the time at which the poll has to end, if any.
    """

    def __init__(
        self,
        clock: Clock,
        signals: SignalPipe,
        child_exited: Callable[[], None],
        before_sleep: Callable[[], Optional[float]],
    ) -> None:
        self.clock = clock
        self.selector = selectors.PollSelector()
        self.signals = signals
        self._child_exited = child_exited
        self._before_sleep = before_sleep
        # What the next `wait` returns.
        self.events: list[Event] = []
        self._work: deque[Iterator[object]] = deque()
        self.selector.register(self.signals, selectors.EVENT_READ, self._take_signals)

    def emit(self, event: Event) -> None:
        """Have the next `wait` return this event."""
        self.events.append(event)

    def work(self, steps: Iterator[object]) -> None:
        """Run these steps in the background: a few in each turn, after all earlier work."""
        self._work.append(steps)

    def wait(self, timeout: Optional[float]) -> list[Event]:
        """Sleep until there are events, at most `timeout` seconds; None means for ever.

        Polls at least once: otherwise deadlines that are always due would keep signals waiting.
        """
        end = None if timeout is None else self.clock.now() + timeout
        while True:
            patience = self._left(end, self._before_sleep())
            for key, _ in self.clock.sleep(self.selector.select, patience):
                key.data()
            self._take_steps()
            if self.events or (end is not None and end <= self.clock.now()):
                break
        self._before_sleep()
        events, self.events = self.events, []
        return events

    def close(self) -> None:
        self.selector.close()

    def _take_steps(self) -> None:
        if not self._work:
            return
        end = self.clock.now() + SLICE
        for _ in self._work[0]:
            if self.clock.now() >= end:
                return
        self._work.popleft()

    def _left(self, *ends: Optional[float]) -> Optional[float]:
        if self.events or self._work:
            return 0.0
        end = min((end for end in ends if end is not None), default=None)
        return None if end is None else max(0.0, end - self.clock.now())

    def _take_signals(self) -> None:
        signals = self.signals.drain()
        for signal in signals:
            if signal is not Signals.SIGCHLD:
                self.emit(Signalled(signal))
        if Signals.SIGCHLD in signals:
            self._child_exited()
