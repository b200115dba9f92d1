"""gunicorn's threaded workers; imports gunicorn.

From gunicorn 27.0.1 on they drain by themselves. But they keep their listening sockets meanwhile,
and decide before a request is handled whether its response says `Connection: close`. Older workers
close a connection after the response in progress, although the response has promised to keep it
alive. Before gunicorn 24 they also close connections that have not sent a request yet.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any, Callable, Optional

from .draining import LINGER, PAUSE, Drain, Open


def drain_at_exit(worker: Any) -> None:
    """Call this between the worker's initialization and its run."""
    module = import_module("gunicorn.workers.gthread")
    draining = _with_a_queue if hasattr(module, "PollableMethodQueue") else _with_futures
    alive = worker.alive
    worker.__class__ = draining(type(worker), hasattr(module, "STOP_KEEPALIVE_LINGER"))
    worker.alive = alive
    worker.prepare()


def _with_a_queue(worker_class: Any, lingers: bool) -> Any:
    """For gunicorn 24 and newer, whose workers serve until all connections are closed."""

    class Closing(worker_class):  # type: ignore[misc]
        alive: bool

        def prepare(self) -> None: ...

        def handle_request(self, req: Any, conn: Any) -> Any:
            req.should_close = _once(lambda: not self.alive, req.should_close)
            return super().handle_request(req, conn)

        def set_accept_enabled(self, enabled: bool) -> None:
            super().set_accept_enabled(enabled)
            if not enabled and not self.alive:
                for listener in self.sockets:
                    listener.close()

    class Keeping(Closing):
        """For gunicorn before 27.0.1."""

        def finish_request(self, *args: Any) -> None:
            stopping = not self.alive
            self.alive = True  # Otherwise it would close the connection.
            try:
                super().finish_request(*args)
            finally:
                self.alive = self.alive and not stopping

        def wait_for_and_dispatch_events(self, timeout: float) -> None:
            if not self.alive:
                # Otherwise it waits for the next event, and for idle connections.
                timeout = min(timeout, PAUSE)
                latest = time.monotonic() + LINGER
                for connection in [*self.keepalived_conns, *getattr(self, "pending_conns", [])]:
                    connection.timeout = min(connection.timeout, latest)
            super().wait_for_and_dispatch_events(timeout)

    return Closing if lingers else Keeping


def _with_futures(worker_class: Any, lingers: bool) -> Any:
    """For gunicorn 22 and 23: the main loop goes on until the drain is over."""

    class Draining(worker_class):  # type: ignore[misc]
        _drain: Optional[Drain] = None
        _over = False

        @property
        def alive(self) -> bool:
            """Whether the main loop goes on. The signal handler sets it to False."""
            return not self._over

        @alive.setter
        def alive(self, value: bool) -> None:
            if not value and self._drain is None:
                self._drain = Drain(time.monotonic(), self.cfg.graceful_timeout)

        def prepare(self) -> None:
            select = self.poller.select
            self.poller.select = lambda timeout: select(PAUSE if self._drain else timeout)
            # A signal makes this readable, which ends the `select` in progress.
            readable = 1  # selectors.EVENT_READ
            self.poller.register(self.PIPE[0], readable, self.poller.unregister)

        def murder_keepalived(self) -> None:
            """The main loop calls this in each turn."""
            if self._drain is not None:
                self._stop_accepting()
                current = Open(self.nr_conns, len(self.futures))
                self._over = self._drain.is_over(time.monotonic(), current)
            super().murder_keepalived()

        def _stop_accepting(self) -> None:
            for listener in self.sockets:
                if listener.sock is not None:
                    self.poller.unregister(listener)
                    listener.close()

        def handle_request(self, req: Any, conn: Any) -> Any:
            req.should_close = _once(lambda: self._drain is not None, req.should_close)
            return super().handle_request(req, conn)

    return Draining


def _once(*reasons: Callable[[], bool]) -> Callable[[], bool]:
    """Whether one of the reasons holds, decided at the first call: for the response's headers."""
    answers: list[bool] = []

    def answer() -> bool:
        if not answers:
            answers.append(any(reason() for reason in reasons))
        return answers[0]

    return answer
