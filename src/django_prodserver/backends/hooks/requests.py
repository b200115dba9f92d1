"""Requests in flight, of servers whose workers are processes: counted around the application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .in_flight import Running


def asgi(application: Any, running: Running) -> Any:
    """The application; whatever a server gives it beside the scope is passed on."""

    async def counted(scope: Any, *channels: Any) -> None:
        if scope["type"] != "http":
            await application(scope, *channels)
            return
        with running.one():
            await application(scope, *channels)

    return counted


def wsgi(application: Any, running: Running) -> Any:
    """The application. A request ends once the server closes or forgets the response's body."""

    def counted(environ: Any, start_response: Any) -> Any:
        request = Request(running)
        body = application(environ, start_response)
        return body if isinstance(body, list) else _Body(body, request)

    return counted


class Request:
    """It is in progress for as long as something refers to this."""

    def __init__(self, running: Running) -> None:
        self._running = running
        running.began(id(self))

    def __del__(self) -> None:
        self._running.ended(id(self))


class _Body:
    """A body of WSGI that is sent piece by piece, and the request that it belongs to."""

    def __init__(self, body: Any, request: Request) -> None:
        self._body = body
        self._request: Optional[Request] = request

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        self._request = None  # The server may keep this for longer.
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
