"""gunicorn's application object with our arguments, defaults and hooks; imports gunicorn."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Callable, Optional

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import Config
from gunicorn.util import getcwd
from gunicorn.workers import SUPPORTED_WORKERS

from django_prodserver.posix import kernel, notify

from .connections import close_connections

WORKER_CLASSES: Any = SUPPORTED_WORKERS  # Its stubs are those of the newest release.


def run(args: Sequence[str], defaults: Mapping[str, Any], supervised: bool) -> None:
    """Run `gunicorn` with these arguments."""
    if not supervised:
        Application(args, defaults).run()
        return
    # gunicorn sends READY=1 before a worker has loaded the application. Take the socket from it,
    # and send READY=1 once one has.
    address = os.environ.pop(notify.VARIABLE, "")
    arbiter = os.getpid()
    Application(
        args,
        defaults,
        on_fork=lambda: kernel.die_with_parent(arbiter),
        on_ready=lambda: notify.notify(address=address),
    ).run()


def preload(cfg: Any) -> None:
    """Import what it needs to serve with this configuration."""
    import_module("gunicorn.arbiter")
    import_module(cfg.worker_class.__module__)


def options() -> Iterable[str]:
    return Config().parser()._option_string_actions


class Application(WSGIApplication):
    """gunicorn as its command line creates it, except for where the arguments come from.

    gunicorn reads sys.argv, again at every reload, and uses it to re-execute itself. Ours has to
    restart this process. `on_fork` is called in each worker that was forked, `on_ready` in each
    one that has loaded the application.
    """

    def __init__(
        self,
        args: Sequence[str],
        defaults: Mapping[str, Any],
        on_fork: Optional[Callable[[], None]] = None,
        on_ready: Optional[Callable[[], None]] = None,
    ) -> None:
        self._args = args
        self._defaults = defaults
        self._on_fork = on_fork
        self._on_ready = on_ready
        super().__init__("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn")

    def load_default_config(self) -> None:
        super().load_default_config()
        # Its own defaults are those of the process that imported it, which may have been another
        # one, as another user and in another folder.
        current = {"chdir": getcwd(), "user": os.geteuid(), "group": os.getegid()}
        for name, value in current.items():
            self.cfg.set(name, value)
        for name, value in self._defaults.items():
            self.cfg.set(name, value)

    def load_config(self) -> None:
        with _argv(["gunicorn", *self._args]):
            super().load_config()
        control = self.cfg.settings.get("control_socket")
        if control is not None and control.get() == control.default:
            # All gunicorns of a user share the default path and unlink each other's socket: open
            # one only where a path is configured.
            self.cfg.set("control_socket_disable", True)
        self._add_hooks()

    def _add_hooks(self) -> None:
        users_pre_fork = self.cfg.pre_fork
        users_post_fork = self.cfg.post_fork
        users_post_worker_init = self.cfg.post_worker_init

        # gunicorn checks how many parameters a hook has.
        def pre_fork(arbiter: Any, worker: Any) -> None:
            users_pre_fork(arbiter, worker)
            close_connections()  # With `preload` the application is loaded here.

        def post_fork(arbiter: Any, worker: Any) -> None:
            if self._on_fork is not None:
                self._on_fork()
            users_post_fork(arbiter, worker)

        def post_worker_init(worker: Any) -> None:
            users_post_worker_init(worker)
            if self._on_ready is not None:
                self._on_ready()

        self.cfg.set("pre_fork", pre_fork)
        self.cfg.set("post_fork", post_fork)
        self.cfg.set("post_worker_init", post_worker_init)


@contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    original, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = original
