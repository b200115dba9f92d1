"""uvicorn, serving the project's ASGI or WSGI application: https://www.uvicorn.org/"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    def recycles(self) -> bool:
        try:
            options = self._parsed()
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

    def _parsed(self) -> dict[str, Any]:
        import click

        command = import_module("uvicorn.main").main
        try:
            with _environment(self._env), quietly("uvicorn"):
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


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    """For the command line's parser, which heeds UVICORN_*, as the process's own will be."""
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
