"""A probe that sends a GET and looks at the status of the response.

Imported only if there is such a probe, with h11: see `running.prepare`.
"""

from __future__ import annotations

import selectors
import socket

import h11

from django_prodserver import __version__
from django_prodserver.supervisor.hints import Callable

from .targets import HttpTarget
from .tcp import TcpProbe

# Bytes read at once: as many as a TLS record can hold.
CHUNK = 1 << 14


class HttpProbe(TcpProbe):
    """Connects, sends, and reads until the head of the response is complete."""

    def __init__(self, selector: selectors.PollSelector, target: HttpTarget) -> None:
        super().__init__(selector, target.name, target.addresses)
        self._target = target
        self._unsent = b""
        self._http = h11.Connection(h11.CLIENT)

    def _connected(self, connection: socket.socket) -> None:
        headers = [
            ("Host", self._target.host),
            ("User-Agent", f"django-prodserver/{__version__}"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ]
        try:
            request = h11.Request(method="GET", target=self._target.path, headers=headers)
            self._unsent = self._http.send(request) or b""
        except (h11.LocalProtocolError, UnicodeError) as error:
            self.finish(f"cannot request {self._target.url}: {error}")
            return
        self._http.send(h11.EndOfMessage())
        self._open(connection)

    def _open(self, connection: socket.socket) -> None:
        """Go on after the connection is established."""
        self._watch(connection.fileno(), selectors.EVENT_WRITE, self._send)

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except OSError as error:
            self._interrupted(error, self._send)
            return
        if not self._unsent:
            self._watch(self._socket.fileno(), selectors.EVENT_READ, self._receive)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            chunk = self._socket.recv(CHUNK)
        except OSError as error:
            self._interrupted(error, self._receive)
            return
        if not chunk:
            self._closed()
            return
        try:
            self._http.receive_data(chunk)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self.finish(f"the answer from {self._target.url} is not HTTP: {error}")
            return
        if isinstance(event, h11.Response):
            # The body is not read, however long it may be.
            if event.status_code < 400:
                self.finish()
            else:
                self.finish(f"HTTP {event.status_code} from {self._target.url}")
        # Otherwise the head is not complete yet; h11 rejects one that grows too long.

    def _interrupted(self, error: OSError, again: Callable[[], None]) -> None:
        """A step failed: do it `again` later if it would have blocked, otherwise give up."""
        if not isinstance(error, BlockingIOError):
            self._closed()

    def _closed(self) -> None:
        self.finish(f"{self._target.url} closed the connection without an answer")
