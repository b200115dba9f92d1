"""One connection to the control socket: one request, and its answer.

The first connection imports h11: a supervisor that is never asked does not pay for it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from django_prodserver.control.requests import Refused, wrong
from django_prodserver.supervisor.hints import TYPE_CHECKING, Any, Optional, Union
from django_prodserver.supervisor.values import Value

if TYPE_CHECKING:
    import h11

# The longest head of a request, and its longest body, in bytes.
LONGEST = 1 << 14
# The most bytes read or written at once.
CHUNK = 1 << 14
JSON = "application/json"
LINES = "application/x-ndjson"


class HttpRequest(Value):
    """What a client has sent."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    content_type: str


class Connection:
    """Reads a request, and writes the answer, without ever blocking.

    Once `read` has returned the request or a refusal, call `answer`, now or later; for an answer in
    parts, call `begin`, `send` and `finish`.
    """

    def __init__(self, accepted: socket.socket) -> None:
        import h11

        accepted.setblocking(False)
        self.socket = accepted
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST)
        self._request: Optional[h11.Request] = None
        self._body = b""
        # What is not written yet, and whether that ends the answer.
        self._output = bytearray()
        self._finished = False
        # The request has been understood or refused; it has been read to its end.
        self._taken = False
        self._whole = False
        # The client will send nothing more; it is gone.
        self.read_all = False
        self.gone = False

    # ---- what is to be waited for ----

    @property
    def reads(self) -> bool:
        """Whether to poll for input: for more of the request, or for the client to disconnect."""
        return not self.read_all and not self.over

    @property
    def pending(self) -> int:
        """The number of bytes still to be written."""
        return len(self._output)

    @property
    def over(self) -> bool:
        """Whether it can be closed.

        Not while the client still sends: if bytes are left unread, closing makes the client see an
        error instead of the answer.
        """
        answered = self._finished and not self._output
        return self.gone or (answered and (self._whole or self.read_all))

    # ---- input ----

    def read(self) -> Optional[Union[HttpRequest, Refused]]:
        """Read what has arrived; returns the request or a refusal, once it is known."""
        try:
            data = self.socket.recv(CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            self.gone = True
            return None
        if not data:
            self.read_all = True
        # There is only one request: what follows is ignored.
        if self._taken:
            return None
        request = self._take(data)
        self._taken = request is not None
        return request

    def _take(self, data: bytes) -> Optional[Union[HttpRequest, Refused]]:
        import h11

        try:
            self._http.receive_data(data)
            for event in self._events():
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self._whole = True
                    return self._parse()
                elif isinstance(event, h11.ConnectionClosed):
                    self.gone = True
                    return None
                refused = self._too_long()
                if refused is not None:
                    return refused
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint if error.error_status_hint != 501 else 400
            return Refused(status, "bad_request", f"that is not HTTP: {error}")
        return None

    def _events(self) -> Iterator[Any]:
        import h11

        while True:
            if self._http.they_are_waiting_for_100_continue:
                self._output += self._http.send(
                    h11.InformationalResponse(status_code=100, headers=[])
                )
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            yield event

    def _too_long(self) -> Optional[Refused]:
        length = self._header(b"content-length")
        if len(self._body) > LONGEST or (length.isdecimal() and int(length[:9]) > LONGEST):
            return Refused(413, "too_long", f"a request must not exceed {LONGEST} bytes")
        return None

    def _parse(self) -> Union[HttpRequest, Refused]:
        from urllib.parse import parse_qsl

        assert self._request is not None
        try:
            path, _, query = self._request.target.decode("ascii").partition("?")
            return HttpRequest(
                self._request.method.decode("ascii"),
                path,
                dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100)),
                self._body,
                self._header(b"content-type").partition(";")[0].strip().lower(),
            )
        except ValueError:
            return wrong("the target of the request is invalid")

    def _header(self, name: bytes) -> str:
        headers = () if self._request is None else self._request.headers
        return next((value.decode("latin-1") for key, value in headers if key == name), "")

    # ---- output ----

    def answer(self, status: int, body: bytes, content_type: str = JSON) -> None:
        """Queue a whole answer."""
        self.begin(status, content_type, len(body))
        self.send(body)
        self.finish()

    def begin(self, status: int, content_type: str, length: Optional[int] = None) -> None:
        """Queue the head of an answer; without a `length`, the connection's end is the answer's."""
        import h11

        headers = [("Content-Type", content_type), ("Connection", "close")]
        if length is not None:
            headers.append(("Content-Length", str(length)))
        self._body = b""
        self._write(h11.Response(status_code=status, headers=headers))

    def send(self, part: bytes) -> None:
        import h11

        # The answer to HEAD has no body.
        if part and not (self._request is not None and self._request.method == b"HEAD"):
            self._write(h11.Data(data=part))

    def finish(self) -> None:
        import h11

        if self._request is not None and self._request.method == b"HEAD":
            self._finished = True
            return
        self._write(h11.EndOfMessage())
        self._finished = True

    def _write(self, event: Any) -> None:
        data = self._http.send(event)
        if data is not None:
            self._output += data

    def write(self) -> None:
        """Write as much as the socket takes."""
        try:
            while self._output:
                sent = self.socket.send(self._output[:CHUNK])
                del self._output[:sent]
            if self._finished and not self.over:
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def close(self) -> None:
        self.gone = True
        self.socket.close()
