"""The client's end of the control socket: HTTP/1.0, so that answers are not chunked.

(An HTTP library would take up half of the run time of `prodctl status`.) Timeouts are caught as
`socket.timeout`, which is not TimeoutError before Python 3.10.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django_prodserver.supervisor.hints import Any, Optional
from django_prodserver.supervisor.values import Value

from .credentials import peer
from .place import reachable

CHUNK = 1 << 16


class Failure(Exception):
    """A sentence for the user, and the exit status of prodctl."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoAnswer(Failure):
    """No supervisor answers there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 4)


class TimedOut(Failure):
    """There was no answer in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 124)


class OtherVersion(Failure):
    """The answer is not one that this version understands."""

    def __init__(self, what: str = "") -> None:
        super().__init__(f"the supervisor has another version of django-prodserver{what}", 1)


@contextmanager
def checking_version() -> Iterator[None]:
    """Raise OtherVersion if the code inside finds that an answer lacks what it needs."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError):
        raise OtherVersion() from None


class Answer(Value):
    """The supervisor's answer: an HTTP status, and a document or a text."""

    status: int
    body: bytes

    @property
    def document(self) -> Any:
        """Raises Failure for what is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failure("what answers there is not a prodserver supervisor", 1) from None


class Client:
    """Asks the supervisor behind a socket, over a new connection each time.

    `timeout` limits the wait for a whole answer, in seconds.
    """

    def __init__(self, path: str, timeout: Optional[float] = None) -> None:
        self.path = path
        self._timeout = timeout
        # The supervisor's pid, as this process sees it; 0 if it is in another namespace.
        self.pid = 0
        # The id of the user that it runs as; None if the system does not report it.
        self.uid: Optional[int] = None
        self._connection: Optional[socket.socket] = None
        self._hung_up = False

    def get(self, target: str, longer: float = 0.0) -> Answer:
        """Ask. If the supervisor itself is to wait, `longer` extends the timeout, in seconds."""
        return self._ask("GET", target, longer=longer)

    def post(self, target: str, document: object) -> Answer:
        return self._ask("POST", target, json.dumps(document).encode())

    def lines(self, target: str) -> Iterator[bytes]:
        """The lines of an answer as they arrive, without a time limit between them."""
        with self._errors_named(), self._connected("GET", target, b"") as connection:
            status, rest = _head(connection)
            if status != 200:
                raise refusal(Answer(status, rest + _all(connection)))
            connection.settimeout(None)
            while True:
                *lines, rest = rest.split(b"\n")
                yield from lines
                chunk = connection.recv(CHUNK)
                if not chunk:
                    break
                rest += chunk

    def hang_up(self) -> None:
        """Make another thread stop waiting for an answer, or for the next of its lines."""
        self._hung_up = True
        if self._connection is not None:
            with suppress(OSError):  # It has ended already.
                self._connection.shutdown(socket.SHUT_RDWR)

    def _ask(self, method: str, target: str, body: bytes = b"", longer: float = 0.0) -> Answer:
        end = None if self._timeout is None else time.monotonic() + self._timeout + longer
        with self._errors_named(), self._connected(method, target, body) as connection:
            status, rest = _head(connection, end)
            return Answer(status, rest + _all(connection, end))

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except socket.timeout:
            raise TimedOut(f"the supervisor at {self.path} does not answer") from None
        except ConnectionError:
            raise NoAnswer(f"the supervisor at {self.path} has ended") from None

    def _connected(self, method: str, target: str, body: bytes) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self._timeout is not None:
                # With a timeout of Python's own, `connect` fails at once if the backlog is full.
                seconds, rest = divmod(self._timeout, 1)
                limit = struct.pack("@ll", int(seconds), int(rest * 10**6))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            with reachable(self.path) as address:
                connection.connect(address)
            connection.settimeout(self._timeout)
            with suppress(OSError):
                found = peer(connection)
                self.uid, self.pid = (None, 0) if found is None else found
            head = f"{method} {target} HTTP/1.0\r\n"
            if body:
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            self._connection = connection
            if self._hung_up:
                raise ConnectionAbortedError
            connection.sendall(f"{head}\r\n".encode() + body)
        except (socket.timeout, BlockingIOError):
            connection.close()
            raise socket.timeout from None
        except OSError as error:
            connection.close()
            raise _unreachable(self.path, error) from None
        return connection


def refusal(answer: Answer) -> Failure:
    """The failure that an error answer reports."""
    try:
        error = json.loads(answer.body)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        return Failure(f"the supervisor answered with HTTP {answer.status}", 1)
    if code == "not_found":
        return OtherVersion(", which cannot do that")
    return Failure(message, 4 if code in ("no_such_name", "forbidden") else 1)


def answers(path: str) -> bool:
    """Whether a process listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        try:
            with reachable(path) as address:
                connection.connect(address)
        except (BlockingIOError, socket.timeout, PermissionError):
            return True  # The backlog is full, or this user may not connect.
        except OSError:
            return False
    return True


def _unreachable(path: str, error: OSError) -> Failure:
    if isinstance(error, PermissionError):
        with suppress(OSError):
            uid = os.stat(os.path.dirname(path)).st_uid
            message = f"no permission for {path}, which belongs to the user with id {uid}"
            return NoAnswer(message)
        return NoAnswer(f"no permission for {path}")
    return NoAnswer(f"no supervisor answers at {path}")


def _head(connection: socket.socket, end: Optional[float] = None) -> tuple[int, bytes]:
    """The status of an answer, and the part of its body that has arrived already."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = _chunk(connection, end)
        if not chunk:
            raise ConnectionResetError
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise Failure("what answers there is not a prodserver supervisor", 1)
    return int(words[1]), rest


def _all(connection: socket.socket, end: Optional[float] = None) -> bytes:
    chunks = []
    while chunk := _chunk(connection, end):
        chunks.append(chunk)
    return b"".join(chunks)


def _chunk(connection: socket.socket, end: Optional[float]) -> bytes:
    """The next bytes. Raises socket.timeout if there are none before `end`."""
    if end is not None:
        left = end - time.monotonic()
        if left <= 0:
            raise socket.timeout
        connection.settimeout(left)
    return connection.recv(CHUNK)
