"""granian's server object with our hook; imports granian."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import granian.cli

from django_prodserver.posix import kernel

command_line: Any = granian.cli


class Server(granian.Granian):  # type: ignore[misc, valid-type]
    """granian's server, whose workers die with the process that has started them."""

    def serve(self) -> None:
        load = partial(_load, os.getpid(), wd=self.working_dir, factory=self.factory)
        super().serve(target_loader=load)


def _load(leader: int, target: str, **options: Any) -> Any:
    """Load the application as granian does; where its workers are processes, in each of them."""
    from granian._internal import load_target

    if os.getpid() != leader:
        kernel.die_with_parent(leader)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Until the worker has handlers of its own, those of its leader would only set a flag
            # that nobody looks at here, and it would serve on until it is killed.
            signal.signal(number, signal.SIG_DFL)
    return load_target(target, **options)


@contextmanager
def hooked() -> Iterator[None]:
    """Let the command line use our Server."""
    command_line.Server = Server
    try:
        yield
    finally:
        command_line.Server = granian.Granian
