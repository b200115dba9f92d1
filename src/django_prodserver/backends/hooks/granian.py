"""granian's server object with our hooks; imports granian."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from signal import Signals
from typing import Any, Callable, Optional

import granian.cli

from django_prodserver.posix import doors, held, kernel, notify, stop_signals

from . import in_flight, requests
from .draining import CLOSE, PAUSE, Drain, Open

command_line: Any = granian.cli
# Any: granian's stubs are incomplete.
rust: Any = import_module("granian._granian")
# The prefix of the environment variables that its command line reads.
PREFIX = "GRANIAN"
STOP_SIGNALS = (Signals.SIGTERM, Signals.SIGINT)
# For the socket of the metrics: granian has no option for its backlog.
METRICS_BACKLOG = 128
# The close code "service restart" for WebSockets (RFC 6455, section 7.4.1, and its registry).
SERVICE_RESTART = 1012
# In seconds: how long sending the close frame may take.
MOMENT = 0.2


def run(args: Sequence[str]) -> None:
    """Run `granian` with these arguments, with our Server."""
    command_line.Server = Server
    try:
        command_line.cli.main(args=list(args), prog_name="granian", auto_envvar_prefix=PREFIX)
    finally:
        command_line.Server = granian.Granian


def preload() -> None:
    import_module("granian._loops")


class Server(granian.Granian):  # type: ignore[misc, valid-type]
    """granian's server, which serves on held sockets.

    Its workers die with the process that started them, and drain when they stop.
    """

    def serve(self) -> None:
        self._held = held.sockets()
        path: Any = self.bind_uds
        self._door: Any = self.bind_port if path is None else str(path)
        if self._held:
            self._door = doors.door_of(self._held[0])
        self._board = in_flight.Board() if in_flight.has_notify_socket() else None
        load = partial(
            _load,
            os.getpid(),
            self._door,
            self._board,
            str(self.interface),
            wd=self.working_dir,
            factory=self.factory,
        )
        super().serve(target_loader=load)

    def shutdown(self, exit_code: int = 0) -> None:
        # This process accepts no connections, but the socket that it holds open would go on
        # listening.
        doors.stop_accepting(self._door)
        if self._board is not None:
            in_flight.Reporter("request", self._board.count).start_reporting()
        super().shutdown(exit_code)

    def _init_shared_socket(self) -> None:
        if not self._held:
            super()._init_shared_socket()
            return
        self._ssp, self._sfd = None, self._held[0].fileno()
        self._shd = rust.SocketHolder(self._sfd, self.bind_uds is not None, self.backlog)
        # Passes the socket to workers that are not forked.
        self._sso = self._held[0]

    def _start_metrics(self) -> None:
        if not self._held:
            super()._start_metrics()
            return
        self._metrics_sig = rust.WorkerSignal()
        holder = rust.SocketHolder(self._held[1].fileno(), False, METRICS_BACKLOG)
        self._metrics_exporter.run(holder, self._metrics_sig)

    def _unlink_pidfile(self) -> None:
        if self._held:
            # Other processes listen there: keep the file of the Unix socket.
            self.bind_uds = None
        super()._unlink_pidfile()

    def startup(self, *args: Any) -> None:
        with stop_signals.blocked(STOP_SIGNALS):
            super().startup(*args)

    def _watch_workers_lifetime(self, ttl: float) -> None:
        with stop_signals.blocked(STOP_SIGNALS):
            super()._watch_workers_lifetime(ttl)

    def _watch_workers_rss(self) -> None:
        with stop_signals.blocked(STOP_SIGNALS):
            super()._watch_workers_rss()

    def _spawn_worker(self, *args: Any, **kwargs: Any) -> Any:
        worker = super()._spawn_worker(*args, **kwargs)
        worker.start = partial(_start, worker.start)
        return worker


def _start(worker: Callable[[], object]) -> None:
    """Start a worker with stop signals blocked.

    At first a fork has its leader's handlers, which set a flag that nothing reads in the worker.
    """
    with stop_signals.blocked(STOP_SIGNALS):
        worker()


def _load(
    leader: int,
    door: doors.Door,
    board: Optional[in_flight.Board],
    interface: str,
    target: str,
    **options: Any,
) -> Any:
    """Load the application as granian does; with our hooks where workers are processes."""
    from granian._internal import load_target

    if os.getpid() == leader:
        return load_target(target, **options)
    kernel.die_with_parent(leader)
    # Until the application is loaded, there are no requests to finish: stop signals may kill.
    stop_signals.reset(STOP_SIGNALS)
    application = load_target(target, **options)
    _announce_workers()
    drained = _Drained(door, in_flight.Running(board))
    drained.take_signals()
    wrap = {"asgi": drained.asgi, "asginl": drained.asgi, "wsgi": drained.wsgi}.get(interface)
    return application if wrap is None else wrap(application)


def _announce_workers() -> None:
    """Send READY=1 once a worker object is created, just before it serves."""
    module: Any = import_module("granian.server.mp")
    for name in ("ASGIWorker", "RSGIWorker", "WSGIWorker"):
        setattr(module, name, partial(_create_and_notify, getattr(module, name)))


def _create_and_notify(create: Callable[..., Any], *args: Any) -> Any:
    worker = create(*args)
    notify.notify()
    return worker


class _Drained:
    """Drains a worker that is asked to stop, and only then lets granian stop it.

    granian itself closes connections that are idle, or have only just been accepted.
    """

    def __init__(self, door: doors.Door, running: in_flight.Running) -> None:
        self._door = door
        # Requests that the application has not answered yet.
        self._running = running
        self._stopping = False
        # The drain is over.
        self._finished = False
        self._websockets: set[_WebSocket] = set()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        # Once set, granian stops the worker.
        self._event: Any = None

    # ---- signals ----

    def take_signals(self) -> None:
        """Replace the functions that give each worker the event that stops it."""
        module: Any = import_module("granian._signals")
        for name in ("set_loop_signals", "set_sync_signals"):
            setattr(module, name, partial(self._set_signals, getattr(module, name)))

    def _set_signals(self, original: Callable[..., Any], *loops: Any) -> Any:
        (self._loop,) = loops or (None,)
        if self._loop is None:
            self._event = original()
            wait = stop_signals.waiting_for(STOP_SIGNALS)
            threading.Thread(target=self._stop_after, args=[wait], daemon=True).start()
            return self._event
        with stop_signals.blocked(STOP_SIGNALS):
            self._event = original(self._loop)
            for number in STOP_SIGNALS:
                self._loop.add_signal_handler(number, self._stop)
                # The loop does not run before and after the lifespan's startup. uvloop loses a
                # signal that arrives then, if only the loop has a handler for it.
                signal.signal(number, self._stop_soon)
        if not hasattr(self._event, "add_cb"):
            self._let_it_end(self._loop)
        return self._event

    def _stop_soon(self, number: int, frame: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # The loop is closed: the worker is about to exit.
            self._loop.call_soon_threadsafe(self._stop)

    def _stop_after(self, wait: Callable[[], None]) -> None:
        wait()
        self._stop()

    def _let_it_end(self, loop: Any) -> None:
        """For granian 2.5 and older: let a thread leave the loop before the loop ends.

        A thread of granian ends the loop by call_soon_threadsafe. If the loop ends before that call
        returns, the main thread waits for this thread while it keeps the GIL, forever.
        """
        call_soon_threadsafe = loop.call_soon_threadsafe

        def call_in_a_moment(callback: Any, *args: Any, **context: Any) -> Any:
            if self._finished:
                return call_soon_threadsafe(partial(loop.call_later, PAUSE, callback, *args))
            return call_soon_threadsafe(callback, *args, **context)

        loop.call_soon_threadsafe = call_in_a_moment

    def _stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        doors.stop_accepting(self._door)
        for websocket in self._websockets:
            websocket.end()
        threading.Thread(target=self._finish, daemon=True).start()

    def _finish(self) -> None:
        drain = Drain(time.monotonic())
        over = False
        while not over:
            # Also before the first look: granian may be accepting a connection right now.
            time.sleep(PAUSE)
            current = Open(doors.count_connections(self._door), self._running.count().number)
            over = drain.is_over(time.monotonic(), current)
        self._finished = True
        self._event.set()

    # ---- the application ----

    def asgi(self, application: Any) -> Any:
        async def drained(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await self._websocket(application, scope, receive, send)
            elif scope["type"] != "http":
                await application(scope, receive, send)
            else:
                say_close = _has_connections(scope["http_version"])

                async def send_or_close(message: Any) -> None:
                    if say_close and self._stopping and message["type"] == "http.response.start":
                        message = {**message, "headers": [*message.get("headers", ()), CLOSE]}
                    await send(message)

                with self._running.one():
                    await application(scope, receive, send_or_close)

        return drained

    async def _websocket(self, application: Any, scope: Any, receive: Any, send: Any) -> None:
        websocket = _WebSocket(receive, send)
        self._websockets.add(websocket)
        try:
            await application(scope, websocket.receive, send)
        finally:
            self._websockets.discard(websocket)

    def wsgi(self, application: Any) -> Any:
        def drained(environ: Any, start_response: Any) -> Any:
            say_close = _has_connections(environ["SERVER_PROTOCOL"].partition("/")[2])

            def start_or_close(status: str, headers: Any, *more: Any) -> Any:
                if say_close and self._stopping:
                    headers = [*headers, tuple(text.decode() for text in CLOSE)]
                return start_response(status, headers, *more)

            return application(environ, start_or_close)

        return requests.wsgi(drained, self._running)


class _WebSocket:
    """What the application receives from a WebSocket, until it is told that the WebSocket ends."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._receiving: Optional[asyncio.Future[Any]] = None
        self._ends = False

    def end(self) -> None:
        self._ends = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def receive(self) -> Any:
        if not self._ends:
            self._receiving = asyncio.ensure_future(self._receive())
            try:
                return await self._receiving
            except asyncio.CancelledError:
                if not self._ends:
                    raise
        # granian sends nothing while it receives. If ending the receive takes too long, the client
        # gets a close frame without a code, once the application returns.
        close = self._send({"type": "websocket.close", "code": SERVICE_RESTART})
        with suppress(Exception):
            await asyncio.wait_for(close, MOMENT)
        return {"type": "websocket.disconnect", "code": SERVICE_RESTART}


def _has_connections(version: str) -> bool:
    """Whether there is a `Connection` header: HTTP/2 has none."""
    return version.startswith("1")


def _do_nothing(number: int, frame: object) -> None: ...
