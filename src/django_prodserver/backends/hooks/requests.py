"""Count in-flight requests around the application, for servers with worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .in_flight import Running


def asgi(application: Any, running: Running) -> Any:
    """Wrap an ASGI application; all arguments after the scope are passed on."""

    async def counted(scope: Any, *channels: Any) -> None:
        if scope["type"] != "http":
            await application(scope, *channels)
            return
        with running.one():
            await application(scope, *channels)

    return counted


def wsgi(application: Any, running: Running) -> Any:
    """Wrap a WSGI application. A request ends once the server closes or drops the body."""

    def counted(environ: Any, start_response: Any) -> Any:
        request = Request(running)
        body = application(environ, start_response)
        return body if isinstance(body, list) else _Body(body, request)

    return counted


class Request:
    """A request, which is in progress for as long as anything refers to this object."""

    def __init__(self, running: Running) -> None:
        self._running = running
        running.began(id(self))

    def __del__(self) -> None:
        self._running.ended(id(self))


class _Body:
    """A WSGI response body that is sent piece by piece, and the request that it belongs to."""

    def __init__(self, body: Any, request: Request) -> None:
        self._body = body
        self._request: Optional[Request] = request

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        self._request = None  # The server may keep this object longer.
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
