"""hypercorn's command line with our hooks; imports hypercorn."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import hypercorn.__main__

from django_prodserver.posix import notify

from .multiprocessing import die_with_parent

# The module with the functions of each worker class.
WORKER_CLASSES = {
    "asyncio": "hypercorn.asyncio.run",
    "uvloop": "hypercorn.asyncio.run",
    "trio": "hypercorn.trio.run",
}

command_line: Any = hypercorn.__main__


def run(args: Sequence[str], graceful_timeout: int) -> int:
    """Run `hypercorn` with these arguments and this default; return its exit status."""
    original = command_line.run

    def run_hooked(config: Any) -> Any:
        if "graceful_timeout" not in vars(config):
            config.graceful_timeout = graceful_timeout
        module = import_module(WORKER_CLASSES[config.worker_class])
        if config.workers == 0:
            with _replaced(module, "raise_shutdown", _announcing(module.raise_shutdown)):
                return original(config)
        with _replaced(module, f"{config.worker_class}_worker", partial(_work, module.__name__)):
            return original(config)

    with _replaced(command_line, "run", run_hooked):
        status: int = command_line.main(list(args))
        return status


def configuration(args: Sequence[str]) -> Any:
    """What its command line makes of the arguments; its parser cannot be reached otherwise."""
    argv = ["hypercorn", *args]  # Its messages begin with that name.
    with _replaced(sys, "argv", argv), _replaced(command_line, "run", lambda config: config):
        return command_line.main(list(args))


def preload(config: Any) -> None:
    """Import what it needs to serve with this configuration."""
    import_module(WORKER_CLASSES[config.worker_class])


def _work(module_name: str, config: Any, shutdown_event: Any, sockets: Any) -> None:
    """Run a worker, in the fresh interpreter that hypercorn has spawned for it."""
    die_with_parent()
    module: Any = import_module(module_name)
    module.raise_shutdown = _announcing(module.raise_shutdown)
    work = getattr(module, f"{config.worker_class}_worker")
    work(config, sockets, _EventOrSigterm(shutdown_event))


class _EventOrSigterm:
    """The event that tells all workers of hypercorn to shut down; here SIGTERM sets it, too.

    As soon as one worker has exited, hypercorn sends SIGTERM to the others. The default action
    would kill them in the middle of a request.
    """

    def __init__(self, event: Any) -> None:
        self._event = event
        self._terminated = False
        signal.signal(signal.SIGTERM, self._terminate)

    def is_set(self) -> bool:
        return self._terminated or bool(self._event.is_set())

    def _terminate(self, number: int, frame: Any) -> None:
        self._terminated = True


def _announcing(raise_shutdown: Any) -> Any:
    """hypercorn awaits this function until it shuts down, once it listens and is started up."""

    async def announce_and_wait(event: Any) -> None:
        notify.notify()
        try:
            await raise_shutdown(event)
        finally:
            # Since Python 3.12 wait_closed() waits for all connections, without a limit. hypercorn
            # expects it to return at once, and waits with its own limit later.
            # https://github.com/pgjones/hypercorn/issues/308
            server: Any = asyncio.Server
            server.wait_closed = _return_at_once

    return announce_and_wait


async def _return_at_once(server: asyncio.Server) -> None: ...


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)
