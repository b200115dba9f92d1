"""hypercorn's command line with our hooks; imports hypercorn."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from multiprocessing.connection import wait
from typing import Any, Optional

import hypercorn.__main__
import hypercorn.config
import hypercorn.run
import hypercorn.utils

from django_prodserver.posix import held, notify

from . import in_flight, requests
from .draining import SERVICE_RESTART, Open, drained, stop_accepting
from .multiprocessing import die_with_parent

# The module with the functions of each worker class.
WORKER_CLASSES = {
    "asyncio": "hypercorn.asyncio.run",
    "uvloop": "hypercorn.asyncio.run",
    "trio": "hypercorn.trio.run",
}

command_line: Any = hypercorn.__main__


def run(args: Sequence[str], graceful_timeout: int) -> int:
    """Run `hypercorn` with these arguments and this default; return its exit status."""
    original = command_line.run

    def run_hooked(config: Any) -> Any:
        if "graceful_timeout" not in vars(config):
            config.graceful_timeout = graceful_timeout
        module = import_module(WORKER_CLASSES[config.worker_class])
        board = in_flight.Board() if config.workers and in_flight.has_notify_socket() else None
        sockets = _Sockets(hypercorn.config.Config.create_sockets, board)
        hooks: list[tuple[Any, str, Any]] = [
            (hypercorn.config.Config, "create_sockets", lambda config: sockets.create(config))
        ]
        if config.workers == 0:
            hooks += [(module, name, hook) for name, hook in _hooks_of(module).items()]
        else:
            work = partial(_work, module.__name__, board)
            hooks.append((module, f"{config.worker_class}_worker", work))
            hooks.append((hypercorn.run, "wait", sockets.wait_and_close))
        with ExitStack() as stack:
            for hook in hooks:
                stack.enter_context(_replaced(*hook))
            return original(config)

    with _replaced(command_line, "run", run_hooked):
        status: int = command_line.main(list(args))
        return status


def configuration(args: Sequence[str]) -> Any:
    """Build the configuration through its command line; its parser is not accessible otherwise."""
    argv = ["hypercorn", *args]  # hypercorn's messages begin with this name.
    with _replaced(sys, "argv", argv), _replaced(command_line, "run", lambda config: config):
        return command_line.main(list(args))


def preload(config: Any) -> None:
    """Import what hypercorn needs to serve with this configuration."""
    import_module(WORKER_CLASSES[config.worker_class])


class _Sockets:
    """The listening sockets: held sockets, or those that hypercorn binds."""

    def __init__(self, create_sockets: Any, board: Optional[in_flight.Board]) -> None:
        self._create_sockets = create_sockets
        self._reporter = None if board is None else in_flight.Reporter("request", board.count)
        self._all: list[Any] = []

    def create(self, config: Any) -> Any:
        if not held.descriptors():
            created = self._create_sockets(config)
        else:
            # Those of `bind` come first, then those of `insecure-bind`.
            given = held.sockets()
            for one in given:
                one.setblocking(False)
            secure = len(config.bind) if config.ssl_enabled else 0
            created = hypercorn.config.Sockets(given[:secure], given[secure:], [])
        self._all = [*created.secure_sockets, *created.insecure_sockets]
        return created

    def wait_and_close(self, sentinels: Any, timeout: Optional[float] = None) -> Any:
        """Wait for the workers; at a stop signal, close the parent's listening sockets."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._close_and_call, signal.getsignal(number)))
        return wait(sentinels, timeout)

    def _close_and_call(self, handler: Any, number: int, frame: Any) -> None:
        for one in self._all:
            one.close()
        if self._reporter is not None:
            self._reporter.start_reporting()
        handler(number, frame)


def _work(
    module_name: str,
    board: Optional[in_flight.Board],
    config: Any,
    shutdown_event: Any,
    sockets: Any,
) -> None:
    """Run a worker, in the fresh interpreter that hypercorn has spawned for it."""
    die_with_parent()
    module: Any = import_module(module_name)
    vars(module).update(_hooks_of(module))
    if board is not None:
        module.worker_serve = _counting(module.worker_serve, in_flight.Running(board))
    work = getattr(module, f"{config.worker_class}_worker")
    work(config, sockets, _EventOrSigterm(shutdown_event))


def _counting(serve: Any, running: in_flight.Running) -> Any:
    async def serve_counted(app: Any, *args: Any, **kwargs: Any) -> None:
        await serve(requests.asgi(app, running), *args, **kwargs)

    return serve_counted


class _EventOrSigterm:
    """hypercorn's shutdown event for its workers, which also counts as set after SIGTERM.

    As soon as one worker has exited, hypercorn sends SIGTERM to the others. The default action
    would kill them in the middle of a request.
    """

    def __init__(self, event: Any) -> None:
        self._event = event
        self._terminated = False
        signal.signal(signal.SIGTERM, self._terminate)

    def is_set(self) -> bool:
        return self._terminated or bool(self._event.is_set())

    def _terminate(self, number: int, frame: Any) -> None:
        self._terminated = True


def _hooks_of(module: Any) -> Mapping[str, Any]:
    """Replacements for functions and classes of this module, in the process that serves."""
    hooks = _Asyncio(module) if hasattr(module, "asyncio_worker") else _Trio(module)
    return hooks.replaced()


class _Trio:
    """The hooks for trio, which only announce readiness."""

    def __init__(self, module: Any) -> None:
        self._raise_shutdown = module.raise_shutdown

    def replaced(self) -> Mapping[str, Any]:
        return {"raise_shutdown": self._announce_and_wait}

    async def _announce_and_wait(self, event: Any) -> None:
        """Once hypercorn listens, it awaits this function until it shuts down."""
        notify.notify()
        await self._raise_shutdown(event)


class _Asyncio(_Trio):
    """The hooks for asyncio and uvloop, which also drain before the shutdown.

    hypercorn's own shutdown closes connections that are idle or have not sent a request yet,
    although a request may be on its way. It also closes connections after responses that do not
    announce it.
    """

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._worker_serve = module.worker_serve
        self._config: Any = None
        self._servers: list[Any] = []
        self._connections: set[Any] = set()
        self._draining: Any = None

        connections = self._connections

        class TCPServer(module.TCPServer):  # type: ignore[misc]
            """One connection."""

            async def run(self) -> None:
                connections.add(self)
                try:
                    await super().run()
                finally:
                    connections.discard(self)

        self._connection_class = TCPServer

    def replaced(self) -> Mapping[str, Any]:
        more = {"worker_serve": self._serve, "TCPServer": self._connection_class}
        return {**super().replaced(), **more}

    async def _serve(self, app: Any, config: Any, **kwargs: Any) -> None:
        self._config = config
        start_server = asyncio.start_server

        async def start_and_remember(*args: Any, **kwargs: Any) -> Any:
            server = await start_server(*args, **kwargs)
            if "sock" in kwargs:  # A server of the application would bind its own.
                self._servers.append(server)
            return server

        with _replaced(asyncio, "start_server", start_and_remember):
            await self._worker_serve(app, config, **kwargs)

    async def _announce_and_wait(self, event: Any) -> None:
        try:
            await super()._announce_and_wait(event)
        except hypercorn.utils.ShutdownError:
            # There may be two reasons to shut down: a signal and the request limit.
            self._draining = self._draining or asyncio.ensure_future(self._drain())
            await asyncio.shield(self._draining)
            raise
        finally:
            # Since Python 3.12 wait_closed() waits for all connections, without a limit. hypercorn
            # expects it to return at once, and waits with its own limit later.
            # https://github.com/pgjones/hypercorn/issues/308
            server: Any = asyncio.Server
            server.wait_closed = _return_at_once

    async def _drain(self) -> None:
        H11Protocol: Any = import_module("hypercorn.protocol.h11").H11Protocol
        H11Protocol.stream_send = _close_after(H11Protocol.stream_send)
        for protocol in self._protocols():
            # Responses in progress still call the original `stream_send`.
            if isinstance(protocol, H11Protocol):
                protocol.keep_alive_requests = math.inf
        await stop_accepting(self._servers)
        await self._close_websockets()
        limit = self._config.graceful_timeout
        self._config.graceful_timeout = await drained(self._still, limit)

    async def _close_websockets(self) -> None:
        """Close WebSockets, because hypercorn would wait for them.

        The application is told once the client has answered.
        """
        module = import_module("hypercorn.protocol.ws_stream")
        for protocol in list(self._protocols()):
            stream = getattr(protocol, "stream", None)
            connected = module.ASGIWebsocketState.CONNECTED
            if isinstance(stream, module.WSStream) and stream.state is connected:
                event = module.CloseConnection(code=SERVICE_RESTART)
                await stream._send_wsproto_event(event)

    def _protocols(self) -> Iterator[Any]:
        """The protocol of each connection; None if a connection has none yet."""
        for connection in self._connections:
            protocol = getattr(getattr(connection, "protocol", None), "protocol", None)
            # hypercorn keeps connections that the client has closed until they have been idle for
            # too long.
            if getattr(protocol, "stream", None) or not connection.reader.at_eof():
                yield protocol

    def _still(self) -> Open:
        h11 = import_module("hypercorn.protocol.h11")
        streams = [
            getattr(protocol, "stream", None)
            for protocol in self._protocols()
            if protocol is None or isinstance(protocol, h11.H11Protocol)
        ]
        drain = [stream for stream in streams if not isinstance(stream, h11.WSStream)]
        return Open(len(drain), sum(stream is not None for stream in drain))


def _close_after(stream_send: Any) -> Any:
    async def close_after_response(self: Any, event: Any) -> None:
        # As for the last response that `keep-alive-max-requests` allows.
        self.keep_alive_requests = math.inf
        await stream_send(self, event)

    return close_after_response


async def _return_at_once(server: asyncio.Server) -> None: ...


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)
