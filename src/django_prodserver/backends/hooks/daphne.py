"""daphne's command line, without and with Twisted's reactor; imports daphne when called.

A reactor is an event loop with an epoll object, which all processes forked from here would share.
daphne.server installs one, and daphne.cli imports daphne.server. So only `run` may import them.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from django_prodserver.posix import held

CLI, SERVER = "daphne.cli", "daphne.server"


def run(args: Sequence[str], limit: float) -> None:
    """Run `daphne` with these arguments; in-flight requests get `limit` seconds after a stop."""
    # Before Twisted is imported, which also takes held sockets from the environment and removes
    # them there.
    held.descriptors()

    from . import daphne_server

    daphne_server.run(args, limit)


def preload() -> None:
    for module in (
        "daphne.http_protocol",
        "daphne.ws_protocol",
        "twisted.internet.asyncioreactor",
        "twisted.internet.endpoints",
    ):
        import_module(module)


def parser() -> ArgumentParser:
    """The parser of daphne's command line, created without a reactor."""
    if SERVER in sys.modules:  # The project has imported it, through "daphne" in INSTALLED_APPS.
        return _parser(import_module(CLI))
    stand_in = ModuleType(SERVER)
    vars(stand_in)["Server"] = None
    sys.modules[SERVER] = stand_in
    try:
        return _parser(import_module(CLI))
    finally:
        del sys.modules[SERVER]
        sys.modules.pop(CLI, None)


def _parser(cli: ModuleType) -> ArgumentParser:
    found: ArgumentParser = cli.CommandLineInterface().parser
    found.prog = "daphne"
    return found
