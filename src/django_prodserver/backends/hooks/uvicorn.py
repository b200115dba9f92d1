"""uvicorn's configuration object with our hooks; imports uvicorn."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Optional

import uvicorn

from django_prodserver.posix import held, notify, stop_signals

from . import in_flight, requests
from .draining import CLOSE, Open, drained, stop_accepting
from .multiprocessing import die_with_parent

# After `import uvicorn`, the attribute `uvicorn.main` is the function, not the module.
command_line: Any = import_module("uvicorn.main")

logger = logging.getLogger("uvicorn.error")


def run(args: Sequence[str]) -> None:
    """Run `uvicorn` with these arguments, with our Config."""
    ours = {"Config": Config, "Multiprocess": _multiprocess(command_line.Multiprocess)}
    originals = {name: getattr(command_line, name) for name in ours}
    try:
        vars(command_line).update(ours)
        command_line.main.main(args=list(args), prog_name="uvicorn")
    finally:
        vars(command_line).update(originals)


def preload() -> None:
    for module in (
        "lifespan.on",
        "loops.asyncio",
        "protocols.http.auto",
        "protocols.websockets.auto",
    ):
        import_module(f"uvicorn.{module}")


class Config(uvicorn.Config):
    """uvicorn's Config, which is pickled for each worker process that uvicorn spawns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What all workers have in flight, if they are processes, or if the supervisor reads it.
        self.board: Optional[in_flight.Board] = None
        if self.workers > 1 and in_flight.has_notify_socket():
            self.board = in_flight.Board()
        else:
            self.board = in_flight.board_if_requested()
        self.path_of_held: Optional[str] = None
        if held.descriptors():
            # uvicorn would remove the file of its socket when it exits, but a held socket is not
            # its own.
            self.path_of_held, self.uds = self.uds, None

    def bind_socket(self) -> Any:
        """The one socket for all workers."""
        if not held.descriptors():
            return super().bind_socket()
        (one,) = held.sockets()
        _say_where(self)
        return one

    def load(self) -> None:
        """Called last before the server starts, in the process that will serve."""
        super().load()
        die_with_parent()
        if self.board is not None:
            self.loaded_app = requests.asgi(self.loaded_app, in_flight.Running(self.board))
        _announce(uvicorn.Server)
        drain_at_shutdown(uvicorn.Server)


def _announce(server: Any) -> None:
    startup = server.startup

    async def startup_and_notify(
        self: Any, sockets: Optional[list[Any]] = None, **kwargs: Any
    ) -> None:
        stop_signals.count_as_one()
        given = [] if sockets is not None else held.sockets()
        await startup(self, sockets=given or sockets, **kwargs)
        if self.started:
            if given:
                _say_where(self.config)
            notify.notify()

    server.startup = startup_and_notify


def _say_where(config: Config) -> None:
    """Log the address, as uvicorn does when it binds its sockets itself."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    where = f"{'https' if config.is_ssl else 'http'}://{host}:{config.port}"
    if config.path_of_held is not None:
        where = f"unix socket {config.path_of_held}"
    logger.info("Uvicorn running on %s (Press CTRL+C to quit)", where)


def _multiprocess(original: Any) -> Any:
    class Multiprocess(original):  # type: ignore[misc]
        """The parent of several workers, which closes its listening sockets before they stop."""

        config: Config

        def terminate_all(self) -> None:
            self._begin_to_stop()
            super().terminate_all()

        def shutdown(self) -> None:
            """For uvicorn before 0.30, which would stop one worker after the other."""
            self._begin_to_stop()
            for process in self.processes:
                process.terminate()
            super().shutdown()

        def _begin_to_stop(self) -> None:
            board = self.config.board
            if board is not None:
                in_flight.Reporter("request", board.count).start_reporting()
            for one in self.sockets:
                one.close()

    return Multiprocess


# ---- drain ----


def drain_at_shutdown(server: Any) -> None:
    """Make this server class of uvicorn drain before it shuts down.

    uvicorn's own shutdown closes connections that have not sent a request yet, although one may be
    on its way. WebSockets are still closed at once, with 1012 (service restart).
    """
    shutdown = server.shutdown

    async def drain_and_shutdown(self: Any, sockets: Optional[list[Any]] = None) -> None:
        await stop_accepting(self.servers)
        for one in sockets or []:
            one.close()
        connections = self.server_state.connections
        for connection in list(connections):
            if not _drains(connection):
                connection.shutdown()
        _announce_close(self.server_state)
        if any(_cycles(connections)):
            logger.info("Waiting for connections to close. (CTRL+C to force quit)")

        def current() -> Open:
            drain = [connection for connection in connections if _drains(connection)]
            return Open(len(drain), len([*_cycles(drain)]))

        limit = self.config.timeout_graceful_shutdown
        left = await drained(current, limit, lambda: bool(self.force_exit))
        self.config.timeout_graceful_shutdown = left
        await shutdown(self, sockets=[])

    server.shutdown = drain_and_shutdown


def _drains(connection: Any) -> bool:
    """Whether a connection is HTTP/1.1, or may become a WebSocket but is not one yet.

    An HTTP/2 connection can only be told that it ends by its own shutdown.
    """
    if hasattr(connection, "handshake_completed_event"):  # With the package websockets.
        return not connection.handshake_completed_event.is_set()
    return not getattr(connection, "handshake_complete", False) and not hasattr(
        connection, "cycles"
    )


def _cycles(connections: Any) -> Iterator[Any]:
    """The requests in progress."""
    for connection in connections:
        cycle = getattr(connection, "cycle", None)
        if cycle is not None and not cycle.response_complete:
            yield cycle


def _announce_close(state: Any) -> None:
    """Announce the close in each response whose headers have not been sent yet."""
    state.default_headers = [*state.default_headers, CLOSE]
    for cycle in _cycles(state.connections):
        # A cycle keeps the default headers of the second in which it began.
        cycle.default_headers = [*cycle.default_headers, CLOSE]
