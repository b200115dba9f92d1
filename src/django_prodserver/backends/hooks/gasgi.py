"""gunicorn's own ASGI workers; imports gunicorn.

They wait for their connections to end, including idle ones, as long as `graceful-timeout` permits.
But they lose connections that asyncio is accepting. They close a connection after the response in
progress, although the response may have promised to keep it alive; before gunicorn 27 no response
says `Connection: close`. They do not tell WebSockets at all.
"""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Any

from .draining import CLOSE, SERVICE_RESTART, Open, drained, stop_accepting


def keep_stop_signal(worker: Any) -> None:
    """Call this before the worker's initialization, which loads the application.

    uvloop loses a signal that arrives before it runs, if only the loop has a handler for it.
    """
    init_signals = worker.init_signals

    def init_and_handle() -> None:
        init_signals()
        signal.signal(signal.SIGTERM, lambda number, frame: worker.handle_exit_signal())

    worker.init_signals = init_and_handle


def drain_at_exit(worker: Any) -> None:
    """Call this between the worker's initialization and its run."""
    module: Any = import_module("gunicorn.workers.gasgi")
    connections: set[Any] = set()
    module.ASGIProtocol = _remembered(module.ASGIProtocol, connections)
    shutdown = worker._shutdown

    def current() -> Open:
        drain = [one for one in connections if one.websocket() is None]
        return Open(len(drain), sum(bool(one.calls) for one in drain))

    async def drain_and_shutdown() -> None:
        await stop_accepting(worker.servers)
        for one in list(connections):
            if getattr(one, "_h2_conn", None) is not None:
                one.worker.look()  # HTTP/2 can announce the close without a response.
            websocket = one.websocket()
            if websocket is not None and websocket.accepted and not websocket.closed:
                await websocket._send_close(SERVICE_RESTART, "")
        await drained(current, worker.cfg.graceful_timeout, lambda: bool(worker._quick_shutdown))
        for one in list(connections):
            if not one.calls:
                one.transport.close()
        # Some releases keep counting connections that they have closed themselves.
        worker.nr_conns = len(connections)
        await shutdown()

    worker._shutdown = drain_and_shutdown


class _Worker:
    """A worker as one connection sees it: alive until a response can announce that it is not."""

    def __init__(self, worker: Any) -> None:
        vars(self).update(_worker=worker, alive=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._worker, name, value)
        if name == "alive":
            self.look()

    def look(self) -> None:
        vars(self)["alive"] = self._worker.alive


def _remembered(protocol: Any, connections: set[Any]) -> Any:
    says_so_itself = hasattr(protocol, "_will_close")  # From gunicorn 27 on.

    class Remembered(protocol):  # type: ignore[misc]
        """One connection, which is closed only after a response that announces it."""

        app: Any

        def __init__(self, worker: Any) -> None:
            super().__init__(_Worker(worker))
            # How many requests the application is answering.
            self.calls = 0
            self._application = self.app
            self.app = self._call

        def connection_made(self, transport: Any) -> None:
            connections.add(self)
            super().connection_made(transport)

        def connection_lost(self, exc: Any) -> None:
            connections.discard(self)
            super().connection_lost(exc)

        def websocket(self) -> Any:
            return getattr(self, "_websocket", None)

        async def _call(self, scope: Any, receive: Any, send: Any) -> None:
            async def look_and_send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.worker.look()
                    says = says_so_itself or scope["http_version"].startswith("2")
                    if not self.worker.alive and not says:
                        message = {**message, "headers": [*message.get("headers", []), CLOSE]}
                await send(message)

            self.calls += 1
            try:
                await self._application(scope, receive, look_and_send)
            finally:
                self.calls -= 1

    return Remembered
