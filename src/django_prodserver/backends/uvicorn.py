"""uvicorn, serving the project's ASGI or WSGI application: https://www.uvicorn.org/"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from . import application
from .base import Address, BaseServerBackend, PrintsOnly, Problem, quietly


class UvicornServer(BaseServerBackend):
    """ARGS are those of `uvicorn`; the environment variables UVICORN_* count as usual."""

    requires: ClassVar[Mapping[str, str]] = {"uvicorn": "uvicorn"}
    notifies = True
    environment = frozenset({"FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY"})
    interface = "asgi3"

    def prep_server_args(self) -> Sequence[str]:
        # Without a limit it waits for ever for connections that stay open. The last one counts, so
        # ARGS can say otherwise.
        limit = max(1, int(self.config["STOP_TIMEOUT"]) - 2)
        defaults = [f"--timeout-graceful-shutdown={limit}", f"--interface={self.interface}"]
        return [*defaults, *self.args, self._application()]

    def start_server(self, *args: str) -> None:
        from . import _uvicorn

        with _uvicorn.hooked():
            _uvicorn.command_line.main.main(args=list(args), prog_name="uvicorn")

    def preload(self) -> None:
        import_module("._uvicorn", __package__)
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

    def addresses(self) -> Sequence[Address]:
        options = self._parsed()
        if options["fd"] is not None:
            return ()
        return [Address(options["uds"] or (options["host"], options["port"]))]

    def _application(self) -> str:
        return application.asgi()

    def _parsed(self) -> dict[str, Any]:
        import click

        command = import_module("uvicorn.main").main
        try:
            with quietly("uvicorn"):
                context = command.make_context("uvicorn", list(self.prep_server_args()))
        except click.exceptions.Exit:
            raise PrintsOnly("uvicorn would only print something and end") from None
        except click.ClickException as error:
            raise ValueError(f"uvicorn: {error.format_message()}") from None
        options: dict[str, Any] = context.params
        return options


class UvicornWSGIServer(UvicornServer):
    """The same for the WSGI application, in a pool of threads."""

    interface = "wsgi"

    def _application(self) -> str:
        return application.wsgi()
