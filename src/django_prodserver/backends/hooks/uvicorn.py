"""uvicorn's configuration object with our hooks; imports uvicorn."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import uvicorn

from django_prodserver.posix import notify

from .multiprocessing import die_with_parent

# `uvicorn.main` is the function as soon as the package is imported.
command_line: Any = import_module("uvicorn.main")


def run(args: Sequence[str]) -> None:
    """Run `uvicorn` with these arguments, with our Config."""
    command_line.Config = Config
    try:
        command_line.main.main(args=list(args), prog_name="uvicorn")
    finally:
        command_line.Config = uvicorn.Config


def preload() -> None:
    for module in (
        "lifespan.on",
        "loops.asyncio",
        "protocols.http.auto",
        "protocols.websockets.auto",
    ):
        import_module(f"uvicorn.{module}")


class Config(uvicorn.Config):
    """uvicorn's Config, which is pickled for each worker process that uvicorn spawns."""

    def load(self) -> None:
        """The last call before the server starts, in the process that will serve."""
        super().load()
        die_with_parent()
        _announce(uvicorn.Server)


def _announce(server: Any) -> None:
    startup = server.startup

    async def startup_and_notify(self: Any, *args: Any, **kwargs: Any) -> None:
        await startup(self, *args, **kwargs)
        if self.started:
            notify.notify()

    server.startup = startup_and_notify
