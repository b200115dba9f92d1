"""granian, serving the project's ASGI or WSGI application: https://github.com/emmett-framework/granian"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .application import ApplicationServer
from .base import Address
from .parsers import by_click


class GranianASGIServer(ApplicationServer):
    """ARGS are those of `granian`; the environment variables GRANIAN_* count as usual."""

    requires: ClassVar[Mapping[str, str]] = {"granian": "granian"}
    # Its log says "Started worker" before the socket listens, but after everything is loaded.
    connects = True
    pings = False
    interface = "asgi"

    def prep_server_args(self) -> Sequence[str]:
        # Without a limit it waits forever for in-flight requests; half an hour is the longest that
        # it accepts. The last value of an option counts, so ARGS can override these.
        limit = min(1800, self.graceful_limit())
        defaults = [f"--workers-kill-timeout={limit}", f"--interface={self.interface}"]
        return [*defaults, *super().prep_server_args()]

    def start_server(self, *args: str) -> None:
        from .hooks import granian as hooks

        hooks.run(args)

    def preload(self) -> None:
        from .hooks import granian as hooks

        hooks.preload()
        super().preload()

    def parse(self) -> dict[str, Any]:
        from .hooks import granian as hooks

        command, args = hooks.command_line.cli, self.prep_server_args()
        return by_click(command, args, "granian", self.env, auto_envvar_prefix=hooks.PREFIX)

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        at = str(options["uds"]) if options["uds"] else (options["host"], options["port"])
        tls = bool(options.get("ssl_certificate") and options.get("ssl_keyfile"))
        demanding = tls and bool(options.get("ssl_client_verify"))
        found = [Address(at, not options["uds"], tls, demanding)]
        if options.get("metrics_enabled"):
            metrics = (options["metrics_address"], options["metrics_port"])
            found.append(Address(metrics, shared=True))
        return found


class GranianWSGIServer(GranianASGIServer):
    """The same for the WSGI application, in a pool of threads."""

    interface = "wsgi"
