"""Django's development server, or the one with which an installed app replaces it.

`manage.py devserver --all` runs it instead of the web servers of production.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.commands.runserver import naiveip_re
from django.core.servers.basehttp import get_internal_wsgi_application
from django.core.signals import request_started
from django.template.autoreload import reset_loaders

from .application import asgi, load
from .base import Address, PlainAddress
from .command import CommandBackend, load_command, run_command


class Runserver(CommandBackend):
    """ARGS are the arguments of `manage.py runserver`."""

    command = "runserver"
    comes_with = "It is a part of Django."
    connects = True
    pings = False

    def defaults(self) -> Sequence[str]:
        # `devserver` reloads everything together.
        return ["--noreload"]

    def start_server(self, *args: str) -> None:
        request_started.connect(_forget_templates)
        run_command(load_command(args[0]), *args)

    def preload(self) -> None:
        # daphne's command, like that of older Channels, serves the ASGI application.
        if hasattr(load_command(self.command), "get_application"):
            load(asgi())
        else:
            get_internal_wsgi_application()

    def addresses(self) -> Sequence[Address]:
        options: Any = self.parse()
        command: Any = load_command(self.command)
        found = naiveip_re.match(options.addrport or command.default_port)
        if found is None:
            raise ValueError(f"{options.addrport!r} is neither a port nor an address with a port")
        host, port = found[1], int(found[5])
        if not host:
            host = command.default_addr_ipv6 if options.use_ipv6 else command.default_addr
        return [PlainAddress(("0.0.0.0" if host == "0" else host.strip("[]"), port))]


def _forget_templates(**signal: object) -> None:
    """Render the next response from the templates as they are now, without a reload."""
    reset_loaders()
