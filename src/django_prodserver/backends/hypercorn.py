"""hypercorn, serving the project's ASGI or WSGI application: https://hypercorn.readthedocs.io/"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Optional

from .application import ApplicationServer
from .base import CERT_REQUIRED, Address, PlainAddress
from .parsers import PID_FILE, RELOADS, Misfit, options_in_help, quietly

DEFAULT_PORT = 8000


class HypercornServer(ApplicationServer):
    """ARGS are those of `hypercorn`; with `--config` the configuration file counts as usual."""

    requires: ClassVar[Mapping[str, str]] = {"hypercorn": "hypercorn"}
    notifies = True
    pings = False
    interface = "asgi"
    shares_port_with = "'workers': 2, or more"
    misfits: ClassVar[Mapping[str, Misfit]] = {"pid_path": PID_FILE, "use_reloader": RELOADS}

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, f"{self.interface}:{self.application}"]

    def start_server(self, *args: str) -> None:
        from .hooks import hypercorn as hooks

        # Its default for in-flight requests, 3 s, is far less than STOP_TIMEOUT allows.
        sys.exit(hooks.run(args, graceful_timeout=self.graceful_limit()))

    def preload(self) -> None:
        from .hooks import hypercorn as hooks

        hooks.preload(self.parse())
        super().preload()

    def parse(self) -> Any:
        """Its configuration: from the arguments and the configuration file."""
        from .hooks import hypercorn as hooks

        print_help = partial(hooks.configuration, ["--help"])
        with quietly("hypercorn", partial(options_in_help, print_help)):
            config = hooks.configuration(self.prep_server_args())
        if config.worker_class not in hooks.WORKER_CLASSES:
            message = f"hypercorn: there is no worker class {config.worker_class!r}"
            raise ValueError(f"{message}. Known: {', '.join(hooks.WORKER_CLASSES)}")
        return config

    def addresses(self) -> Sequence[Address]:
        config = self.parse()
        # With several workers its sockets have SO_REUSEPORT.
        shared = config.workers > 1
        tls, demanding = config.ssl_enabled, config.verify_mode == CERT_REQUIRED
        found = [_address(bind, shared, tls, demanding) for bind in config.bind]
        if tls:
            found += [_address(bind, shared) for bind in config.insecure_bind]
        return [address for address in found if address is not None]

    def recycles_with(self, options: Any) -> bool:
        # Workers are replaced by their parent process; with 0 of them there is none.
        return bool(options.workers == 0 and options.max_requests is not None)


class HypercornWSGIServer(HypercornServer):
    """The same for the WSGI application, in a pool of threads."""

    interface = "wsgi"


def _address(
    bind: str, shared: bool, tls: bool = False, demanding: bool = False
) -> Optional[Address]:
    """As `Config._create_sockets` reads it: without a number at the end, all of it is the host.

    None for a socket that is bound already.
    """
    if bind.startswith("fd://"):
        return None
    if bind.startswith("unix:"):
        return Address(bind[len("unix:") :], tls=tls, client_certificate=demanding)
    bind = bind.replace("[", "").replace("]", "")
    host, colon, port = bind.rpartition(":")
    try:
        at = (host, int(port)) if colon else (bind, DEFAULT_PORT)
    except ValueError:
        at = (bind, DEFAULT_PORT)
    return PlainAddress(at, shared, tls, demanding)
