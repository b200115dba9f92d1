"""uvicorn, serving the project's ASGI or WSGI application: https://www.uvicorn.org/"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from . import application
from .base import Address, BaseServerBackend, Problem
from .parsers import PrintsOnly, by_click


class UvicornServer(BaseServerBackend):
    """ARGS are those of `uvicorn`; the environment variables UVICORN_* count as usual."""

    requires: ClassVar[Mapping[str, str]] = {"uvicorn": "uvicorn"}
    notifies = True
    import_time_variables = frozenset({"FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY"})
    interface = "asgi3"

    def prep_server_args(self) -> Sequence[str]:
        # Without a limit it waits for ever for connections that stay open. The last one counts, so
        # ARGS can say otherwise.
        limit = self.graceful_limit()
        defaults = [f"--timeout-graceful-shutdown={limit}", f"--interface={self.interface}"]
        return [*defaults, *self.args, self._application()]

    def start_server(self, *args: str) -> None:
        from .hooks import uvicorn as uvicorn_hooks

        with uvicorn_hooks.hooked():
            uvicorn_hooks.command_line.main.main(args=list(args), prog_name="uvicorn")

    def preload(self) -> None:
        import_module(".hooks.uvicorn", __package__)
        for module in (
            "lifespan.on",
            "loops.asyncio",
            "protocols.http.auto",
            "protocols.websockets.auto",
        ):
            import_module(f"uvicorn.{module}")
        application.load(self._application())

    def problems(self) -> Iterator[Problem]:
        yield from application.problems(self._application())

    def parse(self) -> dict[str, Any]:
        command = import_module("uvicorn.main").main
        return by_click(command, self.prep_server_args(), "uvicorn", self._env)

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        if options["fd"] is not None:
            return ()
        return [Address(options["uds"] or (options["host"], options["port"]))]

    def recycles(self) -> bool:
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        workers = options["workers"]
        if workers is None:
            workers = {**os.environ, **self._env}.get("WEB_CONCURRENCY", 1)
        # With several, each of them ends, and the process that has started them lives on.
        alone = str(workers) == "1" and not options["reload"]
        return alone and options["limit_max_requests"] is not None

    @property
    def _env(self) -> Mapping[str, str]:
        env: Mapping[str, str] = self.config.get("ENV", {})
        return env

    def _application(self) -> str:
        return application.asgi()


class UvicornWSGIServer(UvicornServer):
    """The same for the WSGI application, in a pool of threads."""

    interface = "wsgi"

    def _application(self) -> str:
        return application.wsgi()
