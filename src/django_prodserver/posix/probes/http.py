"""A probe that sends a GET and looks at the status of the response."""

from __future__ import annotations

import selectors
import socket
from typing import TYPE_CHECKING

from django_prodserver import __version__

from .targets import HttpTarget
from .tcp import TcpProbe

if TYPE_CHECKING:
    import h11

# Read at once, in bytes.
CHUNK = 1 << 14


class HttpProbe(TcpProbe):
    """Connects, sends, and reads until the head of the response is complete."""

    def __init__(self, selector: selectors.PollSelector, target: HttpTarget) -> None:
        super().__init__(selector, target.name, target.addresses)
        self._target = target
        self._unsent = b""
        self._http: h11.Connection

    def _connected(self, connection: socket.socket) -> None:
        import h11  # Only where there is such a health check.

        self._http = h11.Connection(h11.CLIENT)
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
            self.finish(f"{self._target.url} cannot be asked for: {error}")
            return
        self._http.send(h11.EndOfMessage())
        self._watch(connection.fileno(), selectors.EVENT_WRITE, self._send)

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._closed()
            return
        if not self._unsent:
            self._watch(self._socket.fileno(), selectors.EVENT_READ, self._receive)

    def _receive(self) -> None:
        import h11

        assert self._socket is not None
        try:
            chunk = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._closed()
            return
        try:
            self._http.receive_data(chunk)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self.finish(f"the answer from {self._target.url} is no HTTP: {error}")
            return
        if isinstance(event, h11.Response):
            # The body is not read, however long it may be.
            if event.status_code < 400:
                self.finish()
            else:
                self.finish(f"HTTP {event.status_code} from {self._target.url}")
        # Else the head is not complete yet; h11 gives up on one that becomes too long.

    def _closed(self) -> None:
        self.finish(f"{self._target.url} closed the connection without an answer")
