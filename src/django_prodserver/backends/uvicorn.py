"""uvicorn, serving the project's ASGI or WSGI application: https://www.uvicorn.org/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .application import ApplicationServer
from .base import CERT_REQUIRED, Address, PlainAddress
from .parsers import RELOADS, Misfit, by_click


class UvicornServer(ApplicationServer):
    """ARGS are the arguments of `uvicorn`; the environment variables UVICORN_* work as usual."""

    requires: ClassVar[Mapping[str, str]] = {"uvicorn": "uvicorn"}
    runner = "django_prodserver.backends.hooks.uvicorn"
    notifies = True
    pings = False
    takes_sockets = True
    measures = frozenset({"busy"})
    import_time_variables = frozenset({"FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY"})
    exit_meanings: ClassVar[Mapping[int, str]] = {
        3: "the application could not be loaded, or its startup failed"
    }
    interface = "asgi"
    misfits: ClassVar[Mapping[str, Misfit]] = {"reload": RELOADS}

    def prep_server_args(self) -> Sequence[str]:
        # Without a limit it waits forever for connections that stay open. The last value of an
        # option counts, so ARGS can override these.
        limit = self.graceful_limit()
        interface = "asgi3" if self.interface == "asgi" else "wsgi"
        defaults = [f"--timeout-graceful-shutdown={limit}", f"--interface={interface}"]
        return [*defaults, *super().prep_server_args()]

    def preload(self) -> None:
        from .hooks import uvicorn as hooks

        hooks.preload()
        super().preload()

    def parse(self) -> dict[str, Any]:
        from .hooks import uvicorn as hooks

        return by_click(hooks.command_line.main, self.prep_server_args(), "uvicorn", self.env)

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        if options["fd"] is not None:
            return ()
        # uvicorn binds one socket for several workers; for a single process, asyncio binds the
        # sockets.
        plain = self._workers(options) > 1 or options["reload"]
        kind = PlainAddress if plain else Address
        return [
            kind(
                options["uds"] or (options["host"], options["port"]),
                tls=bool(options["ssl_keyfile"] or options["ssl_certfile"]),
                client_certificate=options["ssl_cert_reqs"] == CERT_REQUIRED,
                backlog=options["backlog"],
                mode=0o666 if options["uds"] else None,
            )
        ]

    def why_own_sockets(self, options: Any) -> str:
        return "" if options["fd"] is None else "'fd' is set"

    def recycles_with(self, options: Any) -> bool:
        # Several workers exit one by one, and their parent process replaces them.
        alone = self._workers(options) == 1 and not options["reload"]
        return alone and options["limit_max_requests"] is not None

    def _workers(self, options: Any) -> int:
        """The number of workers; 0 if WEB_CONCURRENCY is not a number."""
        given = options["workers"] or self.environ().get("WEB_CONCURRENCY") or "1"
        return int(given) if str(given).isdecimal() else 0


class UvicornWSGIServer(UvicornServer):
    """The same for the WSGI application, in a thread pool."""

    interface = "wsgi"
