"""daphne's own parser of its command line, without Twisted's reactor."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from importlib import import_module
from types import ModuleType

NAME, SERVER = "daphne.cli", "daphne.server"


def parser() -> ArgumentParser:
    """Make it without leaving daphne's command line imported.

    That would import daphne.server, which installs Twisted's reactor: an event loop with an epoll
    object, which all processes that are forked from here would share.
    """
    if SERVER in sys.modules:  # The project has done that, by "daphne" in INSTALLED_APPS.
        return _parser(import_module(NAME))
    stand_in = ModuleType(SERVER)
    vars(stand_in)["Server"] = None
    sys.modules[SERVER] = stand_in
    try:
        return _parser(import_module(NAME))
    finally:
        del sys.modules[SERVER]
        sys.modules.pop(NAME, None)


def _parser(cli: ModuleType) -> ArgumentParser:
    made: ArgumentParser = cli.CommandLineInterface().parser
    made.prog = "daphne"
    return made
