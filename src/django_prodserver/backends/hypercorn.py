"""hypercorn, serving the project's ASGI or WSGI application: https://hypercorn.readthedocs.io/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Optional

from .application import ApplicationServer
from .base import BACKLOG, CERT_REQUIRED, Address, PlainAddress
from .parsers import PID_FILE, RELOADS, Misfit, options_in_help, quietly

DEFAULT_PORT = 8000


class HypercornServer(ApplicationServer):
    """ARGS are `hypercorn`'s arguments; with `--config` the configuration file works as usual."""

    requires: ClassVar[Mapping[str, str]] = {"hypercorn": "hypercorn"}
    runner = "django_prodserver.backends.hooks.hypercorn"
    notifies = True
    pings = False
    takes_sockets = True
    interface = "asgi"
    shares_port_with = "'workers': 2, or more"
    misfits: ClassVar[Mapping[str, Misfit]] = {"pid_path": PID_FILE, "use_reloader": RELOADS}

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, f"{self.interface}:{self.application}"]

    def runner_arguments(self) -> Mapping[str, Any]:
        # hypercorn's default for in-flight requests, 3 s, is far less than STOP_TIMEOUT allows.
        return {"graceful_timeout": self.graceful_limit()}

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
        tls, requires_client_certificate = config.ssl_enabled, config.verify_mode == CERT_REQUIRED
        found = [_address(bind, shared, tls, requires_client_certificate) for bind in config.bind]
        if tls:
            found += [_address(bind, shared) for bind in config.insecure_bind]
        # hypercorn's default backlog is 100. If its option `umask` is not set, the file of a Unix
        # socket gets the permissions that this process's umask leaves.
        backlog = vars(config).get("backlog", BACKLOG)
        mode = None if config.umask is None else 0o777 & ~config.umask
        return [
            address._replace(backlog=backlog, mode=mode if isinstance(address.at, str) else None)
            for address in found
            if address is not None
        ]

    def why_own_sockets(self, options: Any) -> str:
        binds = [*options.bind, *options.insecure_bind]
        if any(bind.startswith("fd://") for bind in binds):
            return "'bind' names a descriptor"
        if options.quic_bind:
            return "'quic-bind' is set"
        files = any(bind.startswith("unix:") for bind in binds)
        if files and options.user is not None and options.group is not None:
            return "'user' and 'group' are set"  # They own the files of the sockets.
        return ""

    def recycles_with(self, options: Any) -> bool:
        # A parent process replaces its workers; with 0 workers there is no parent.
        return bool(options.workers == 0 and options.max_requests is not None)


class HypercornWSGIServer(HypercornServer):
    """The same for the WSGI application, in a thread pool."""

    interface = "wsgi"


def _address(
    bind: str, shared: bool, tls: bool = False, requires_client_certificate: bool = False
) -> Optional[Address]:
    """Parse as `Config._create_sockets` does: without a number at the end, all of it is the host.

    None for a socket that is already bound.
    """
    if bind.startswith("fd://"):
        return None
    if bind.startswith("unix:"):
        return Address(
            bind[len("unix:") :], tls=tls, client_certificate=requires_client_certificate
        )
    bind = bind.replace("[", "").replace("]", "")
    host, colon, port = bind.rpartition(":")
    try:
        at = (host, int(port)) if colon else (bind, DEFAULT_PORT)
    except ValueError:
        at = (bind, DEFAULT_PORT)
    return PlainAddress(at, shared, tls, requires_client_certificate)
