"""gunicorn's application object with our arguments, defaults and hooks; imports gunicorn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional

from gunicorn.app.wsgiapp import WSGIApplication


class Application(WSGIApplication):
    """gunicorn as its command line makes it, except for where the arguments come from.

    gunicorn reads sys.argv, again at every reload; ours says how to start this process anew,
    which is what gunicorn uses it for when it re-executes itself. `on_ready` is called in each
    worker that has loaded the application, `on_fork` in each one that was forked.
    """

    def __init__(
        self,
        args: Sequence[str],
        defaults: Optional[Mapping[str, Any]] = None,
        on_fork: Optional[Callable[[], None]] = None,
        on_ready: Optional[Callable[[], None]] = None,
    ) -> None:
        self._args = args
        self._defaults = defaults or {}
        self._on_fork = on_fork
        self._on_ready = on_ready
        super().__init__("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn")

    def load_default_config(self) -> None:
        super().load_default_config()
        for name, value in self._defaults.items():
            self.cfg.set(name, value)

    def load_config(self) -> None:
        with _argv(["gunicorn", *self._args]):
            super().load_config()
        control = self.cfg.settings.get("control_socket")
        if control is not None and control.get() == control.default:
            # One path for all gunicorns of a user, who unlink each other's: only if asked for.
            self.cfg.set("control_socket_disable", True)
        self._add_hooks()

    def _add_hooks(self) -> None:
        users_post_fork = self.cfg.post_fork
        users_post_worker_init = self.cfg.post_worker_init

        # gunicorn counts the parameters of a hook.
        def post_fork(arbiter: Any, worker: Any) -> None:
            if self._on_fork is not None:
                self._on_fork()
            users_post_fork(arbiter, worker)

        def post_worker_init(worker: Any) -> None:
            users_post_worker_init(worker)
            if self._on_ready is not None:
                self._on_ready()

        self.cfg.set("post_fork", post_fork)
        self.cfg.set("post_worker_init", post_worker_init)


@contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    original, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = original
