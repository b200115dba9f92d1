"""flower's options, parsed without changing flower's own, and our hook; imports flower."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from importlib import import_module
from typing import Any

from flower import options as flower_options
from tornado.options import Error, OptionParser

from django_prodserver.posix import notify

PREFIX = "FLOWER_"


def announce() -> None:
    """Send READY=1 once its event loop runs: flower has no hook for that."""
    command: Any = import_module("flower.command")

    class Flower(command.Flower):  # type: ignore[misc]
        def start(self) -> None:
            self.io_loop.add_callback(notify.notify)
            super().start()

    command.Flower = Flower


class _Options(OptionParser):
    def print_help(self, file: object = None) -> None:
        """Do nothing: tornado calls this before each error, and with flower 2.0 it fails."""


def parse(args: Sequence[str], environ: Mapping[str, str]) -> OptionParser:
    """Parse the environment, the configuration file and the command line; the last value counts.

    Raises ValueError also for unknown options, which flower itself ignores.
    """
    options = _Options()
    known = flower_options.options._options
    options._options.update({name: copy(option) for name, option in known.items()})
    for name, value in environ.items():
        option = name[len(PREFIX) :].lower().replace("_", "-")
        if name.startswith(PREFIX) and option in known:
            _read(options, f"--{option}={value}", shown=f"{name}={value}")
    _read_all(options, args)  # They may name the file.
    path = os.path.abspath(options.conf)
    if os.path.exists(path):
        _read_file(options, path)
    elif options.conf != flower_options.DEFAULT_CONFIG_FILE:
        raise ValueError(f"there is no file {path}")
    _read_all(options, args)
    return options


def names() -> list[str]:
    return [f"--{name}" for name in flower_options.options._options]


def _read_all(options: OptionParser, args: Sequence[str]) -> None:
    for arg in args:
        if not arg.startswith("-"):
            raise ValueError(f"{arg!r} is not an option, such as --port=5555")
        _read(options, arg, shown=arg)


def _read(options: OptionParser, arg: str, shown: str) -> None:
    try:
        options.parse_command_line(["celery flower", arg], final=False)
    except (Error, ValueError) as error:
        raise ValueError(f"{shown}: {error}") from None


def _read_file(options: OptionParser, path: str) -> None:
    try:
        options.parse_config_file(path, final=False)
    except (Error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
