"""granian, serving the project's ASGI or WSGI application: https://github.com/emmett-framework/granian"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from . import application
from .base import Address, BaseServerBackend, Problem
from .parsers import by_click

# Its command line's own prefix of environment variables, read when it parses.
PREFIX = "GRANIAN"


class GranianASGIServer(BaseServerBackend):
    """ARGS are those of `granian`; the environment variables GRANIAN_* count as usual."""

    requires: ClassVar[Mapping[str, str]] = {"granian": "granian"}
    # Its log says "Started worker" before the socket listens, which is after all is loaded.
    connects = True
    interface = "asgi"

    def prep_server_args(self) -> Sequence[str]:
        # Without a limit it waits for ever for requests in hand; half an hour is its longest. The
        # last one counts, so ARGS can say otherwise.
        limit = min(1800, self.graceful_limit())
        defaults = [f"--workers-kill-timeout={limit}", f"--interface={self.interface}"]
        return [*defaults, *self.args, self._application()]

    def start_server(self, *args: str) -> None:
        from .hooks import granian as granian_hooks

        with granian_hooks.hooked():
            main = granian_hooks.command_line.cli.main
            main(args=list(args), prog_name="granian", auto_envvar_prefix=PREFIX)

    def preload(self) -> None:
        import_module(".hooks.granian", __package__)
        import_module("granian._loops")
        application.load(self._application())

    def problems(self) -> Iterator[Problem]:
        yield from application.problems(self._application())

    def parse(self) -> dict[str, Any]:
        command = import_module("granian.cli").cli
        env = self.config.get("ENV", {})
        args = self.prep_server_args()
        return by_click(command, args, "granian", env, auto_envvar_prefix=PREFIX)

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        if options["uds"] is not None:
            found = [Address(str(options["uds"]))]
        else:
            found = [Address((options["host"], options["port"]), shared=True)]
        if options.get("metrics_enabled"):
            found.append(
                Address((options["metrics_address"], options["metrics_port"]), shared=True)
            )
        return found

    def _application(self) -> str:
        return application.asgi()


class GranianWSGIServer(GranianASGIServer):
    """The same for the WSGI application, in a pool of threads."""

    interface = "wsgi"

    def _application(self) -> str:
        return application.wsgi()
