"""gunicorn, serving the project's WSGI or ASGI application: https://docs.gunicorn.org/"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar

from django_prodserver.posix.context import temporarily_in
from django_prodserver.settings.texts import octal_mask

from .application import ApplicationServer
from .base import CERT_REQUIRED, Address, PlainAddress, library_of_greenlets
from .parsers import DETACHES, PID_FILE, RELOADS, Misfit, quietly


class GunicornServer(ApplicationServer):
    """ARGS are `gunicorn`'s arguments; `gunicorn.conf.py` and GUNICORN_CMD_ARGS work as usual."""

    requires: ClassVar[Mapping[str, str]] = {"gunicorn": "gunicorn"}
    runner = "django_prodserver.backends.hooks.gunicorn"
    notifies = True
    pings = False
    takes_sockets = True
    measures = frozenset({"busy"})
    forwards = frozenset({"SIGUSR1"})  # Reopen the log files.
    import_time_variables = frozenset(
        {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "XDG_RUNTIME_DIR"}
    )
    exit_meanings: ClassVar[Mapping[int, str]] = {
        3: "a worker failed to boot",
        4: "the application could not be loaded",
    }
    interface = "wsgi"
    shares_port_with = "'reuse-port': True"
    misfits: ClassVar[Mapping[str, Misfit]] = {
        "daemon": DETACHES,
        "pidfile": PID_FILE,
        "reload": RELOADS,
    }

    def runner_arguments(self) -> Mapping[str, Any]:
        return {"defaults": self._defaults(), "supervised": self.instance is not None}

    def preload(self) -> None:
        from .hooks import gunicorn as hooks

        hooks.preload(self.parse())
        super().preload()

    def parse(self) -> Any:
        """Its configuration: from the arguments, the configuration file and the environment."""
        from .hooks import gunicorn as hooks

        # gunicorn changes to the directory of its option `chdir`; this process has to return.
        with temporarily_in(os.curdir), quietly("gunicorn", hooks.options):
            parsed = self._parsed
        if parsed.app_uri in self.args:
            message = f"gunicorn would treat {parsed.app_uri!r} as the application. "
            raise ValueError(f"{message}Write options as a mapping, or as a list of words")
        return parsed.cfg

    @cached_property
    def _parsed(self) -> Any:
        from .hooks import gunicorn as hooks

        return hooks.Application(self.prep_server_args(), self._defaults())

    def addresses(self) -> Sequence[Address]:
        if "GUNICORN_FD" in os.environ:
            return ()  # It inherits sockets that are already bound.
        cfg = self.parse()
        return [
            PlainAddress(
                at,
                shared=cfg.reuse_port,
                tls=bool(cfg.is_ssl),
                client_certificate=cfg.cert_reqs == CERT_REQUIRED,
                backlog=cfg.backlog,
                mode=0o777 & ~cfg.umask if isinstance(at, str) else None,
            )
            for at in cfg.address
            if not isinstance(at, int)
        ]

    def why_own_sockets(self, options: Any) -> str:
        if options.reuse_port:
            return "'reuse-port' is set"
        if any(isinstance(at, int) for at in options.address):
            return "'bind' names a descriptor"
        files = any(isinstance(at, str) for at in options.address)
        if files and options.uid != os.geteuid():
            return "'user' is set"  # That user owns the files of the sockets.
        return ""

    def own_context(self, options: Any) -> Mapping[str, Any]:
        names = {"CWD": "chdir", "USER": "user", "GROUP": "group", "UMASK": "umask"}
        given = {key: options.settings[name] for key, name in names.items()}
        defaults = self._defaults()
        return {
            key: one.get()
            for key, one in given.items()
            if one.get() not in (one.default, defaults.get(one.name))
        }

    def patched_by(self, options: Any) -> str:
        return library_of_greenlets(options.settings["worker_class"].get())

    def _defaults(self) -> dict[str, Any]:
        # gunicorn's default for in-flight requests is 30 s, which may be more than STOP_TIMEOUT.
        defaults: dict[str, Any] = {"graceful_timeout": min(30, self.graceful_limit())}
        if self.instance is not None:
            # For the process titles that gunicorn sets if setproctitle is installed. Its own
            # default is the application, which is the same for all instances.
            defaults["proc_name"] = self.instance
        if "UMASK" in self.config:
            # The umask for Unix sockets and temporary files: gunicorn's default is 0.
            defaults["umask"] = octal_mask(self.config["UMASK"])
        return defaults


class GunicornASGIServer(GunicornServer):
    """The same for the ASGI application, with gunicorn's own worker class for ASGI."""

    interface = "asgi"

    def parse(self) -> Any:
        from .hooks import gunicorn as hooks

        cfg = super().parse()
        worker_class = cfg.settings["worker_class"].get()
        if worker_class == "asgi" and "asgi" not in hooks.WORKER_CLASSES:
            message = f"gunicorn {version('gunicorn')} has no worker class 'asgi'"
            raise ValueError(f"{message}. Install gunicorn 25.1, or name another in worker-class.")
        return cfg

    def _defaults(self) -> dict[str, Any]:
        return {**super()._defaults(), "worker_class": "asgi"}
