"""waitress's command line with our hooks; imports waitress."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from signal import Signals
from typing import Any, Optional

import waitress
from waitress import runner, wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.task import WSGITask

from django_prodserver.posix import held, notify, stop_signals

from .draining import Drain, Open

# The options that say where it listens; `sockets` replaces them.
WHERE = ("listen", "host", "port", "unix_socket")
# In seconds: how often to check whether a drain is over. Events wake the loop at once.
TURN = 0.1
# In seconds: how long its threads may take to end after the drain.
THREADS_END = 5.0


def run(args: Sequence[str], limit: float) -> Any:
    """Run `waitress-serve` with these arguments; return its exit status.

    In-flight requests get `limit` seconds after a stop.
    """
    main: Any = runner.run  # Its stubs lack the argument, and say that it returns nothing.
    return main(["waitress-serve", *args], _serve=partial(_serve, limit))


def adjustments(args: Sequence[str]) -> Optional[Adjustments]:
    """Parse the arguments as its command line does; None for `--help`."""
    parse: Any = Adjustments.parse_args
    options, _ = parse(list(args))
    if options.pop("help"):
        return None
    del options["call"]
    return Adjustments(**options)


def options() -> list[str]:
    parameters: Any = vars(Adjustments)["_params"]
    return [f"--{name.replace('_', '-')}" for name, _ in parameters]


def _serve(limit: float, app: Any, **options: Any) -> None:
    waitress.serve(app, _server=partial(_create_and_notify, limit), **options)


def _create_and_notify(limit: float, app: Any, **options: Any) -> Any:
    sockets = held.sockets()
    if sockets:
        options = {name: value for name, value in options.items() if name not in WHERE}
        options["sockets"] = sockets
    server: Any = create_server(app, **options)
    server.run = _Stop(server, limit).run
    notify.notify()  # It listens from here on; a connection is served a moment later.
    return server


class _Stop:
    """Runs a server, and drains it when it is asked to stop.

    waitress itself ends its loop with an exception, and drops all connections.
    """

    def __init__(self, server: Any, limit: float) -> None:
        self._limit = limit
        # How often it was asked to stop.
        self._asked = 0
        self._adjustments = server.adj
        self._dispatcher = server.task_dispatcher
        # Everything that its loop watches. A server with several sockets is not itself in there.
        self._watched: dict[int, Any] = server.map if hasattr(server, "map") else server._map
        self._listening: list[Any] = [
            one for one in self._watched.values() if isinstance(one, BaseWSGIServer)
        ]
        for one in self._listening:
            one.stop, one.channel_class = self, _Channel
        for number in (Signals.SIGINT, Signals.SIGTERM):
            stop_signals.handle(number, self._ask)
        stop_signals.count_as_one()

    @property
    def asked(self) -> bool:
        return bool(self._asked)

    def run(self) -> None:
        try:
            while not self._asked:
                self._turn(self._adjustments.asyncore_loop_timeout)
        except (SystemExit, KeyboardInterrupt):
            # Raised by a signal handler of the project.
            self._asked += 1
        self._stop_accepting()
        drained = self._drain()
        self._dispatcher.shutdown(timeout=THREADS_END if drained else 0)

    def _ask(self, number: int, frame: object) -> None:
        self._asked += 1
        # A signal alone does not end select(2) (PEP 475).
        self._listening[0].pull_trigger()

    def _turn(self, timeout: float) -> None:
        use_poll = self._adjustments.asyncore_use_poll
        wasyncore.loop(timeout=timeout, use_poll=use_poll, map=self._watched, count=1)

    def _stop_accepting(self) -> None:
        for one in self._listening:
            # Not the server's own `close`, which also closes the trigger by which threads wake the
            # loop.
            wasyncore.dispatcher.close(one)

    def _drain(self) -> bool:
        """Serve until the drain is over or it is asked again; return whether no request is left."""
        drain = Drain(time.monotonic(), self._limit)
        while True:
            channels = [one for one in self._watched.values() if isinstance(one, HTTPChannel)]
            current = Open(len(channels), sum(_is_busy(one) for one in channels))
            if drain.is_over(time.monotonic(), current) or self._asked > 1:
                # Now, not once its threads have ended: a request may arrive until then.
                for one in channels:
                    one.handle_close()
                return not current.busy
            self._turn(TURN)


def _is_busy(channel: Any) -> bool:
    """Whether it has a request whose headers have arrived, or a response to send."""
    unfinished = channel.request is not None and channel.request.headers_finished
    return bool(channel.requests or channel.total_outbufs_len or unfinished)


class _Task(WSGITask):
    """A response, which announces that its connection closes once the server is asked to stop."""

    def build_response_header(self) -> bytes:
        request: Any = self.request
        server: Any = self.channel.server
        if server.stop.asked:
            # As if the client had asked for it.
            request.headers["CONNECTION"] = "close"
        return super().build_response_header()


class _Channel(HTTPChannel):
    task_class = _Task
