"""The options of flower, read as flower reads them, without leaving a trace in its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy

from flower import options as flower_options
from tornado.options import Error, OptionParser

PREFIX = "FLOWER_"


class _Options(OptionParser):
    def print_help(self, file: object = None) -> None:
        """Not before each complaint; flower 2.0 cannot print it."""


def parse(args: Sequence[str], environ: Mapping[str, str]) -> OptionParser:
    """What the environment, the configuration file and the command line say; the last one counts.

    Raises ValueError also where flower itself would not say a word: it takes no notice of options
    that it does not know.
    """
    options = _Options()
    known = flower_options.options._options
    options._options.update({name: copy(option) for name, option in known.items()})
    for name, value in environ.items():
        option = name[len(PREFIX) :].lower().replace("_", "-")
        if name.startswith(PREFIX) and option in known:
            _read(options, f"--{option}={value}", said=f"{name}={value}")
    _read_all(options, args)  # It may name the file.
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
        _read(options, arg, said=arg)


def _read(options: OptionParser, arg: str, said: str) -> None:
    try:
        options.parse_command_line(["celery flower", arg], final=False)
    except (Error, ValueError) as error:
        raise ValueError(f"{said}: {error}") from None


def _read_file(options: OptionParser, path: str) -> None:
    try:
        options.parse_config_file(path, final=False)
    except (Error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
