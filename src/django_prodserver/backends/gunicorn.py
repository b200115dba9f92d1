"""gunicorn, serving the project's WSGI or ASGI application: https://docs.gunicorn.org/"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar

from django_prodserver.posix import kernel, notify

from . import application
from .base import Address, BaseServerBackend, Problem
from .parsers import quietly


class GunicornServer(BaseServerBackend):
    """ARGS are those of `gunicorn`; `gunicorn.conf.py` and GUNICORN_CMD_ARGS count as usual."""

    requires: ClassVar[Mapping[str, str]] = {"gunicorn": "gunicorn"}
    notifies = True
    forwards = frozenset({"SIGUSR1"})  # Reopen the log files.
    import_time_variables = frozenset(
        {"PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "XDG_RUNTIME_DIR"}
    )

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, self._served()]

    def start_server(self, *args: str) -> None:
        self._application(args, **self._hooks()).run()

    def preload(self) -> None:
        import_module("gunicorn.arbiter")
        import_module(self.parse().worker_class.__module__)
        application.load(self._served())

    def problems(self) -> Iterator[Problem]:
        yield from application.problems(self._served())

    def parse(self) -> Any:
        """Its configuration: of the arguments, the configuration file and the environment."""
        from gunicorn.config import Config

        with quietly("gunicorn", lambda: Config().parser()._option_string_actions):
            cfg = self._configured.cfg
        if self._configured.app_uri in self.args:
            message = f"gunicorn would take {self._configured.app_uri!r} for the application. "
            raise ValueError(f"{message}Write options as a mapping, or as a list of words")
        return cfg

    def addresses(self) -> Sequence[Address]:
        if {"GUNICORN_FD", "LISTEN_FDS"} & set(os.environ):
            return ()  # It takes over sockets that are bound already.
        cfg = self.parse()
        return [Address(at, shared=cfg.reuse_port) for at in cfg.address if not isinstance(at, int)]

    @cached_property
    def _configured(self) -> Any:
        return self._application(self.prep_server_args())

    def _application(self, args: Sequence[str], **hooks: Any) -> Any:
        from .hooks.gunicorn import Application

        return Application(args, defaults=self._defaults(), **hooks)

    def _defaults(self) -> dict[str, Any]:
        # Its own limit for requests in hand, 30 s, is to end before the supervisor's does.
        return {"graceful_timeout": min(30, self.graceful_limit())}

    def _served(self) -> str:
        return application.wsgi()

    def _hooks(self) -> dict[str, Any]:
        if self.instance is None:
            return {}
        # gunicorn says READY=1 before it has loaded the application: take the socket from it, and
        # speak for it once a worker has.
        address = os.environ.pop(notify.VARIABLE, "")
        arbiter = os.getpid()
        return {
            "on_ready": lambda: notify.notify(address=address),
            "on_fork": lambda: kernel.die_with_parent(arbiter),
        }


class GunicornASGIServer(GunicornServer):
    """The same for the ASGI application, by gunicorn's own worker class for it."""

    def parse(self) -> Any:
        from gunicorn.workers import SUPPORTED_WORKERS

        cfg = super().parse()
        known: Any = SUPPORTED_WORKERS  # Its stubs are those of the newest.
        if cfg.settings["worker_class"].get() == "asgi" and "asgi" not in known:
            complaint = f"gunicorn {version('gunicorn')} has no worker class 'asgi'"
            raise ValueError(
                f"{complaint}. Install gunicorn 25.1, or name another in worker-class."
            )
        return cfg

    def _defaults(self) -> dict[str, Any]:
        return {**super()._defaults(), "worker_class": "asgi"}

    def _served(self) -> str:
        return application.asgi()
