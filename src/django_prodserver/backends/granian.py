"""granian, serving the project's ASGI or WSGI application: https://github.com/emmett-framework/granian"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import Any, ClassVar

from .application import ApplicationServer
from .base import BACKLOG, Address, PlainAddress
from .parsers import PID_FILE, RELOADS, Misfit, by_click

DEFAULT_BACKLOG = 1024
# Before this version granian keeps the body of a WSGI response after it has been sent, so that the
# number of in-flight requests is unknown.
FORGETS_BODIES = (2, 6)


class GranianASGIServer(ApplicationServer):
    """ARGS are the arguments of `granian`; the environment variables GRANIAN_* work as usual."""

    requires: ClassVar[Mapping[str, str]] = {"granian": "granian"}
    runner = "django_prodserver.backends.hooks.granian"
    # granian logs "Started worker" before the socket listens, but after everything is loaded.
    connects = True
    takes_sockets = True
    measures = frozenset({"busy"})
    pings = False
    interface = "asgi"
    shares_port_with = ""
    misfits: ClassVar[Mapping[str, Misfit]] = {"pid_file": PID_FILE, "reload": RELOADS}

    def prep_server_args(self) -> Sequence[str]:
        # Without a limit it waits forever for in-flight requests; the longest limit is half an
        # hour. The last value of an option counts, so ARGS can override these.
        limit = min(1800, self.graceful_limit())
        defaults = [f"--workers-kill-timeout={limit}", f"--interface={self.interface}"]
        return [*defaults, *super().prep_server_args()]

    def preload(self) -> None:
        from .hooks import granian as hooks

        hooks.preload()
        super().preload()

    def parse(self) -> dict[str, Any]:
        from .hooks import granian as hooks

        command, args = hooks.command_line.cli, self.prep_server_args()
        options = by_click(command, args, "granian", self.env, auto_envvar_prefix=hooks.PREFIX)
        if not options["uds"] and not _is_ip_address(options["host"]):
            raise ValueError(f"granian: the host must be an IP address; got {options['host']!r}")
        return options

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        at = str(options["uds"]) if options["uds"] else (options["host"], options["port"])
        tls = bool(options.get("ssl_certificate") and options.get("ssl_keyfile"))
        requires_client_certificate = tls and bool(options.get("ssl_client_verify"))
        # granian's own default is smaller.
        backlog = BACKLOG if options["backlog"] == DEFAULT_BACKLOG else options["backlog"]
        mode = options.get("uds_permissions") if options["uds"] else None
        found: list[Address] = [
            PlainAddress(at, not options["uds"], tls, requires_client_certificate, backlog, mode)
        ]
        if options.get("metrics_enabled"):
            metrics = (options["metrics_address"], options["metrics_port"])
            found.append(PlainAddress(metrics, shared=True))
        return found


class GranianWSGIServer(GranianASGIServer):
    """The same for the WSGI application, in a thread pool."""

    interface = "wsgi"

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        with suppress(PackageNotFoundError):
            if tuple(map(int, version("granian").split(".")[:2])) < FORGETS_BODIES:
                self.measures = frozenset()


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
