"""hypercorn, serving the project's ASGI or WSGI application: https://hypercorn.readthedocs.io/"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from . import application
from .base import Address, BaseServerBackend, Problem
from .parsers import PrintsOnly, options_in_help, quietly

DEFAULT_PORT = 8000


class HypercornServer(BaseServerBackend):
    """ARGS are those of `hypercorn`; with `--config` the configuration file counts as usual."""

    requires: ClassVar[Mapping[str, str]] = {"hypercorn": "hypercorn"}
    notifies = True

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, self._application()]

    def start_server(self, *args: str) -> None:
        from .hooks import hypercorn as hypercorn_hooks

        # Its own limit for requests in hand, 3 s, is far below what the supervisor grants.
        limit = self.graceful_limit()
        sys.exit(hypercorn_hooks.main(args, graceful_timeout=limit))

    def preload(self) -> None:
        import_module(".hooks.hypercorn", __package__).load(self.parse())
        application.load(self._application().partition(":")[2])

    def problems(self) -> Iterator[Problem]:
        yield from application.problems(self._application().partition(":")[2])

    def parse(self) -> Any:
        """Its configuration: of the arguments and the configuration file."""
        from .hooks import hypercorn as hypercorn_hooks

        print_help = partial(hypercorn_hooks.configuration, ["--help"])
        with quietly("hypercorn", partial(options_in_help, print_help)):
            config = hypercorn_hooks.configuration(self.prep_server_args())
        if config.worker_class not in hypercorn_hooks.WORKER_CLASSES:
            known = ", ".join(hypercorn_hooks.WORKER_CLASSES)
            complaint = f"hypercorn: there is no worker class {config.worker_class!r}"
            raise ValueError(f"{complaint}. Known: {known}")
        return config

    def addresses(self) -> Sequence[Address]:
        config = self.parse()
        binds = [*config.bind, *(config.insecure_bind if config.ssl_enabled else ())]
        # With several workers its sockets have SO_REUSEPORT.
        shared = config.workers > 1
        return [_address(bind, shared) for bind in binds if not bind.startswith("fd://")]

    def recycles(self) -> bool:
        try:
            config = self.parse()
        except (PrintsOnly, ValueError):
            return False
        # Workers are replaced by the process that has started them.
        return bool(config.workers == 0 and config.max_requests is not None)

    def _application(self) -> str:
        return f"asgi:{application.asgi()}"


class HypercornWSGIServer(HypercornServer):
    """The same for the WSGI application, in a pool of threads."""

    def _application(self) -> str:
        return f"wsgi:{application.wsgi()}"


def _address(bind: str, shared: bool) -> Address:
    """As hypercorn reads it: without a number at the end, all of it is the host."""
    if bind.startswith("unix:"):
        return Address(bind[len("unix:") :])
    host, _, port = bind.replace("[", "").replace("]", "").rpartition(":")
    if not (host and port.isdecimal()):
        return Address((bind.strip("[]"), DEFAULT_PORT), shared)
    return Address((host, int(port)), shared)
