"""Clients that verify every response, and the application that answers them.

A request says what its response must be, so no response can be mistaken for another. The
application is plain WSGI and ASGI: it tests the server.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional, Union

# A host and a port, or the path of a Unix socket.
Place = Union[tuple[str, int], str]

# The application for the tests, for the settings WSGI_APPLICATION and ASGI_APPLICATION.
WSGI, ASGI = "tests.load.wsgi", "tests.load.asgi"


class Work(NamedTuple):
    """The response that a request wants: a body of this size, delayed, in one or more pieces."""

    # In bytes; also the size of the body of an upload.
    size: int
    # In seconds: before the headers are sent, and between two pieces.
    before: float = 0.0
    between: float = 0.0
    pieces: int = 1
    upload: bool = False
    # Without a Content-Length.
    chunked: bool = False


# Each kind with its share of the requests.
MIX = {
    "fast": (0.75, Work(200)),
    "slow": (0.10, Work(200, before=0.2)),
    "large": (0.05, Work(300_000)),
    # Its headers are sent long before its end.
    "streamed": (0.05, Work(2_000, between=0.1, pieces=2)),
    "chunked": (0.02, Work(2_000, between=0.05, pieces=2, chunked=True)),
    "upload": (0.03, Work(100_000, upload=True)),
}
# In seconds: longer than any start or stop takes.
PATIENCE = 30.0
# In seconds, after a failure: no server may be there to answer.
PAUSE = 0.02


class Failure(NamedTuple):
    """A request without the right response."""

    at: float  # by time.monotonic
    kind: str
    # How long the connection had been idle, in seconds; None for a new one.
    idle: Optional[float]
    why: str


class Load:
    """Clients that send one request after another, until the end of the context.

    `keep` clients keep their connections alive, `fresh` ones connect for each request, and `idle`
    ones keep connections that are idle for up to three seconds.
    """

    def __init__(self, place: Place, keep: int = 4, fresh: int = 4, idle: int = 0) -> None:
        self.place = place
        self.failures: list[Failure] = []
        # The number of successful requests of each kind.
        self.succeeded: Counter[str] = Counter()
        self.longest = 0.0
        # How often a connection was closed between two requests: announced, or while it was idle.
        self.closed: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        kinds = [(True, 0.004)] * keep + [(False, 0.004)] * fresh + [(True, 3.0)] * idle
        self._threads = [threading.Thread(target=self._client, args=each) for each in kinds]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop each client after its last response."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, number: int) -> None:
        """Wait until `number` more requests have succeeded, or one has failed."""
        with self._changed:
            goal = sum(self.succeeded.values()) + number

            def reached() -> bool:
                return sum(self.succeeded.values()) >= goal or bool(self.failures)

            assert self._changed.wait_for(reached, PATIENCE), "nothing is answered"

    def _client(self, keep: bool, pause: float) -> None:
        connection: Optional[_Connection] = None
        while not self._stopping.is_set():
            if connection is not None and connection.is_closed():
                # Connection pools check this before they send, too.
                self._count(self.closed, "idle")
                connection.close()
                connection = None
            connection = connection or _Connection(self.place)
            if not self._ask(connection, keep) or not keep:
                connection.close()
                connection = None
            self._stopping.wait(random.random() * pause)
        if connection is not None:
            connection.close()

    def _ask(self, connection: _Connection, keep: bool) -> bool:
        """Send a request; whether the connection can be used again."""
        began, idle = time.monotonic(), connection.idle()
        shares = [share for share, _ in MIX.values()]
        (kind,) = random.choices(list(MIX), shares)
        try:
            again = connection.ask(MIX[kind][1], keep)
        except (OSError, http.client.HTTPException, AssertionError) as error:
            with self._changed:
                self.failures.append(Failure(time.monotonic(), kind, idle, repr(error)))
                self._changed.notify_all()
            self._stopping.wait(PAUSE)
            return False
        self._count(self.succeeded, kind)
        if keep and not again:
            self._count(self.closed, "announced")
        self.longest = max(self.longest, time.monotonic() - began)
        return again

    def _count(self, counter: Counter[str], key: str) -> None:
        with self._changed:
            counter[key] += 1
            self._changed.notify_all()


def connected_to(place: Place) -> socket.socket:
    if isinstance(place, str):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(PATIENCE)
        try:
            connected.connect(place)
        except OSError:
            connected.close()
            raise
        return connected
    connected = socket.create_connection(place, PATIENCE)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


class _Connection(http.client.HTTPConnection):
    def __init__(self, place: Place) -> None:
        host, port = ("localhost", None) if isinstance(place, str) else place
        super().__init__(host, port, timeout=PATIENCE)
        self._place = place
        # None until it is connected.
        self.sock: Any = None
        self._answered = 0.0

    def connect(self) -> None:
        self.sock = connected_to(self._place)

    def ask(self, work: Work, keep: bool) -> bool:
        """Whether the connection stays open; raises if the response is not that of this request."""
        self.send_work(work, {} if keep else {"Connection": "close"})
        return self.verify()

    def send_work(self, work: Work, headers: Mapping[str, str]) -> None:
        token = f"{random.getrandbits(48):012x}"
        self._expected = body_of(token, work.size)
        method, sent = ("POST", self._expected) if work.upload else ("GET", None)
        self.request(method, path_of(token, work), sent, dict(headers))

    def verify(self) -> bool:
        with self.getresponse() as response:
            got = response.read()
            assert response.status == 200, f"{response.status} {response.reason}"
            assert got == self._expected, f"the wrong {len(got)} bytes: {got[:40]!r}"
            self._answered = time.monotonic()
            return not response.will_close

    def idle(self) -> Optional[float]:
        """How long, in seconds; None before the first request."""
        return None if self.sock is None else time.monotonic() - self._answered

    def is_closed(self) -> bool:
        return self.sock is not None and bool(select.select([self.sock], [], [], 0)[0])


class Client:
    """One connection, on which the test decides what to send and when."""

    def __init__(self, place: Place) -> None:
        self._connection = _Connection(place)
        self._connection.connect()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def send(self, work: Work = MIX["fast"][1]) -> None:
        self._connection.send_work(work, {})

    def stays_open(self) -> bool:
        """Whether the connection can be used again, according to the response."""
        return self._connection.verify()

    def ask(self) -> bool:
        self.send()
        return self.stays_open()


# ---- requests and their responses ----


def path_of(token: str, work: Work) -> str:
    """The path of a request; the body of its response consists of the token, repeated."""
    return "/" + "/".join([token, *(repr(value) for value in work)])


def _asked(path: str) -> tuple[str, Work]:
    _, token, *values = path.split("/")
    kinds = [type(value) for value in Work(0)]
    texts = zip(kinds, values)
    return token, Work(*(text == "True" if kind is bool else kind(text) for kind, text in texts))


def body_of(token: str, size: int) -> bytes:
    return (token.encode() * (size // len(token) + 1))[:size]


def _answer(path: str, got: bytes) -> tuple[str, list[tuple[str, str]], list[bytes], Work]:
    """Status, headers, the body in pieces, and what was requested."""
    token, work = _asked(path)
    body = body_of(token, work.size)
    if work.upload and got != body:
        return "400 Bad Request", [("Content-Length", "0")], [b""], work
    length = [] if work.chunked else [("Content-Length", str(len(body)))]
    step = -(-len(body) // work.pieces)
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    return "200 OK", [("Content-Type", "text/plain"), *length], pieces, work


# ---- the application ----


def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    got = environ["wsgi.input"].read(length) if length else b""
    status, headers, pieces, work = _answer(environ["PATH_INFO"], got)
    time.sleep(work.before)
    start_response(status, headers)
    return _one_by_one(pieces, work.between)


def _one_by_one(pieces: list[bytes], between: float) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        time.sleep(between if number else 0)
        yield piece


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await _echo(receive, send)
        return
    got, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        got, more = got + message.get("body", b""), message.get("more_body", False)
    status, headers, pieces, work = _answer(scope["path"], got)
    await _pause(work.before)
    encoded = [(key.lower().encode(), value.encode()) for key, value in headers]
    start = {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
    await send(start)
    for number, piece in enumerate(pieces):
        await _pause(work.between if number else 0)
        more = number + 1 < len(pieces)
        await send({"type": "http.response.body", "body": piece, "more_body": more})


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """An application that refuses to start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "there is no database"})


async def _pause(seconds: float) -> None:
    if seconds:  # asyncio.sleep would need asyncio's event loop.
        await asyncio.sleep(seconds)


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _echo(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "text": message["text"]})
