"""Waiting for a signal, in a process that does nothing else meanwhile."""

from __future__ import annotations

import select
import signal
import socket


class AwaitedSignal:
    """From its creation on, this signal ends a `wait` and has no other effect."""

    def __init__(self, number: signal.Signals) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._theirs.setblocking(False)
        self._ours.setblocking(False)
        signal.signal(number, lambda number, frame: None)
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)

    def wait(self, seconds: float) -> bool:
        """Whether it arrives within so many seconds, or has arrived since the last call."""
        came = bool(select.select([self._ours], [], [], seconds)[0])
        if came:
            self._ours.recv(4096)
        return came
