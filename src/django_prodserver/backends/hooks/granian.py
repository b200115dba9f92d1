"""granian's server object with our hook; imports granian."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import granian.cli

from django_prodserver.posix import kernel

command_line: Any = granian.cli
# Of the environment variables that its command line reads.
PREFIX = "GRANIAN"


def run(args: Sequence[str]) -> None:
    """Run `granian` with these arguments, with our Server."""
    command_line.Server = Server
    try:
        command_line.cli.main(args=list(args), prog_name="granian", auto_envvar_prefix=PREFIX)
    finally:
        command_line.Server = granian.Granian


def preload() -> None:
    import_module("granian._loops")


class Server(granian.Granian):  # type: ignore[misc, valid-type]
    """granian's server, whose workers die with the process that started them."""

    def serve(self) -> None:
        load = partial(_load, os.getpid(), wd=self.working_dir, factory=self.factory)
        super().serve(target_loader=load)


def _load(leader: int, target: str, **options: Any) -> Any:
    """Load the application as granian does; where its workers are processes, in each of them."""
    from granian._internal import load_target

    if os.getpid() != leader:
        kernel.die_with_parent(leader)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Until the worker installs its own handlers, the inherited ones would only set a flag
            # that nothing reads here, and the worker would serve until it is killed.
            signal.signal(number, signal.SIG_DFL)
    return load_target(target, **options)
