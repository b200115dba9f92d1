"""gunicorn's worker `gevent_pywsgi`; imports gunicorn and gevent.

It never closes a connection that a client keeps alive. So it would not exit before SIGKILL, and
would lose the requests that are in progress then.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from .draining import LINGER


def drain_at_exit(worker: Any) -> None:
    """Call this between the worker's initialization and its run."""
    idle: set[Any] = set()
    worker.wsgi_handler = _draining(worker.wsgi_handler, worker, idle)
    alive = worker.alive
    worker.__class__ = _closing(type(worker), idle)
    worker.alive = alive


def _draining(handler_class: Any, worker: Any, idle: set[Any]) -> Any:
    class Draining(handler_class):  # type: ignore[misc]
        def read_requestline(self) -> Any:
            idle.add(self)
            try:
                return super().read_requestline()
            finally:
                idle.discard(self)

        def start_response(self, status: str, headers: Sequence[Any], exc_info: Any = None) -> Any:
            if not worker.alive and not status.startswith("101"):
                # The handler closes the connection after a response with this header.
                others = [each for each in headers if each[0].lower() != "connection"]
                headers = [*others, ("Connection", "close")]
            return super().start_response(status, headers, exc_info)

    return Draining


def _closing(worker_class: Any, idle: set[Any]) -> Any:
    import gevent

    class Closing(worker_class):  # type: ignore[misc]
        _alive = True

        @property
        def alive(self) -> bool:
            """What ends the main loop. The stop signal clears it."""
            return self._alive

        @alive.setter
        def alive(self, value: bool) -> None:
            if self._alive and not value:
                gevent.spawn_later(LINGER, _close, idle)
            self._alive = value

    return Closing


def _close(idle: set[Any]) -> None:
    """Let the handlers of idle connections read the end of their input."""
    for handler in list(idle):
        with suppress(OSError):  # The client has closed it.
            handler.socket.shutdown(socket.SHUT_RD)
