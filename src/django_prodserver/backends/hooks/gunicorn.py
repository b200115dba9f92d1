"""gunicorn's application object with our arguments, defaults and hooks; imports gunicorn."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from signal import Signals
from typing import Any, Callable, Optional, TypeVar

import gunicorn.sock
import gunicorn.util
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import Config
from gunicorn.util import getcwd
from gunicorn.workers import SUPPORTED_WORKERS

from django_prodserver.posix import held, kernel, notify, stop_signals

from . import gasgi, gthread, in_flight, pywsgi, requests
from .connections import close_connections

# Logged by an arbiter that was forked from the template, and by one with `preload`.
NO_NEW_CODE = (
    "HUP does not load new code: this process has imported the application, and its workers are "
    "forks of it. Restart it, or run it with START_METHOD 'spawn'."
)
ASGI_WORKER = "gunicorn.workers.gasgi.ASGIWorker"
WORKER_CLASSES: Any = SUPPORTED_WORKERS  # The stubs describe the newest release.

_Entry = TypeVar("_Entry")


def run(args: Sequence[str], defaults: Mapping[str, Any], supervised: bool) -> None:
    """Run `gunicorn` with these arguments."""
    if not supervised:
        Application(args, defaults).run()
        return
    # gunicorn sends READY=1 before any worker has loaded the application. So hide NOTIFY_SOCKET
    # from it, and send READY=1 once a worker serves.
    address = os.environ.pop(notify.VARIABLE, "")
    board = in_flight.Board()
    reporter = in_flight.Reporter("request", board.count, address=address)
    arbiter = os.getpid()
    _die_with_parent_as_another_user()
    if held.descriptors():
        _keep_files_of_sockets()
    Application(
        args,
        defaults,
        on_fork=lambda: kernel.die_with_parent(arbiter),
        on_ready=lambda: notify.notify(address=address),
        on_stop=reporter.start_reporting,
        running=in_flight.Running(board),
    ).run()


def _die_with_parent_as_another_user() -> None:
    """Set the parent-death signal again after a worker has changed its user.

    A worker assumes its `user` after the hook `post_fork`, and the kernel then clears the signal.
    The next hook runs only when the application has been loaded, which may take long.
    """
    set_owner_process = gunicorn.util.set_owner_process

    def set_owner_and_ask_again(*args: Any, **kwargs: Any) -> None:
        parent, asked = os.getppid(), kernel.parent_death_signal()
        set_owner_process(*args, **kwargs)
        if asked:
            kernel.die_with_parent(parent)

    gunicorn.util.set_owner_process = set_owner_and_ask_again


def _keep_files_of_sockets() -> None:
    """Keep the files of held Unix sockets, which gunicorn would remove when it exits."""
    close_sockets = gunicorn.sock.close_sockets

    def close_and_keep(listeners: Any, unlink: bool = True) -> None:
        close_sockets(listeners, unlink=False)

    gunicorn.sock.close_sockets = close_and_keep


def preload(cfg: Any) -> None:
    """Import what it needs to serve with this configuration."""
    import_module("gunicorn.arbiter")
    import_module(cfg.worker_class.__module__)


def options() -> Iterable[str]:
    return Config().parser()._option_string_actions


class Application(WSGIApplication):
    """gunicorn as its command line creates it, except that the caller passes the arguments.

    gunicorn reads sys.argv, again at every reload, and uses it to re-execute itself. Our sys.argv
    has to restart this process instead. `on_fork` is called in each forked worker, `on_ready` in
    each worker that serves, and `on_stop` in the arbiter before it stops. `running` counts the
    requests of each worker.
    """

    def __init__(
        self,
        args: Sequence[str],
        defaults: Mapping[str, Any],
        on_fork: Optional[Callable[[], None]] = None,
        on_ready: Optional[Callable[[], None]] = None,
        on_stop: Optional[Callable[[], None]] = None,
        running: Optional[in_flight.Running] = None,
    ) -> None:
        self._args = args
        self._defaults = defaults
        self._on_fork = on_fork
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._running = running
        super().__init__("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn")

    def load_default_config(self) -> None:
        super().load_default_config()
        # gunicorn takes these defaults from the process that imports it. That may have been another
        # process, with another user and working directory.
        current = {"chdir": getcwd(), "user": os.geteuid(), "group": os.getegid()}
        for name, value in current.items():
            self.cfg.set(name, value)
        for name, value in self._defaults.items():
            self.cfg.set(name, value)

    def load_config(self) -> None:
        with _argv(["gunicorn", *self._args]):
            super().load_config()
        if held.descriptors():
            # Then gunicorn binds no other addresses.
            self.cfg.set("bind", [f"fd://{number}" for number in held.descriptors()])
        control = self.cfg.settings.get("control_socket")
        if control is not None and control.get() == control.default:
            # All gunicorn processes of a user share the default path and unlink each other's
            # socket: open one only if a path is configured.
            self.cfg.set("control_socket_disable", True)
        self._add_hooks()

    def _add_hooks(self) -> None:
        users_when_ready = self.cfg.when_ready
        users_pre_fork = self.cfg.pre_fork
        users_post_fork = self.cfg.post_fork
        users_post_worker_init = self.cfg.post_worker_init
        users_on_reload = self.cfg.on_reload

        # gunicorn checks how many parameters a hook has.
        def when_ready(arbiter: Any) -> None:
            users_when_ready(arbiter)
            _block_stop_signal_while_forking(arbiter)
            if self._on_stop is not None:
                _before_stop(arbiter, self._on_stop)

        def pre_fork(arbiter: Any, worker: Any) -> None:
            users_pre_fork(arbiter, worker)
            close_connections()  # With `preload` the application has been loaded here.

        def post_fork(arbiter: Any, worker: Any) -> None:
            stop_signals.reset([Signals.SIGTERM])
            prepare = _by_class(worker, _BEFORE_INITIALIZATION)
            if prepare is not None:
                prepare(worker)
            if self._on_fork is not None:
                self._on_fork()
            users_post_fork(arbiter, worker)

        def post_worker_init(worker: Any) -> None:
            users_post_worker_init(worker)
            _drain_at_exit(worker)
            if self._running is not None:
                _count_requests(worker, self._running)
            if self._on_ready is not None:
                _at_first_heartbeat(worker, self._on_ready)

        def on_reload(arbiter: Any) -> None:
            users_on_reload(arbiter)
            if str(self.app_uri).partition(":")[0] in sys.modules:
                arbiter.log.warning(NO_NEW_CODE)

        self.cfg.set("when_ready", when_ready)
        self.cfg.set("pre_fork", pre_fork)
        self.cfg.set("on_reload", on_reload)
        self.cfg.set("post_fork", post_fork)
        self.cfg.set("post_worker_init", post_worker_init)


def _by_class(worker: Any, table: Mapping[str, _Entry]) -> Optional[_Entry]:
    """The entry for the class of a worker, or else for the nearest class that it derives from."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(worker).__mro__)
    return next((table[name] for name in names if name in table), None)


def _at_first_heartbeat(worker: Any, call: Callable[[], None]) -> None:
    """Call this once the worker serves: an event loop starts only after the last hook."""
    heartbeat = worker.notify

    def first() -> None:
        worker.notify = heartbeat
        call()
        heartbeat()

    worker.notify = first


def _block_stop_signal_while_forking(arbiter: Any) -> None:
    """Have a new worker die by a SIGTERM that arrives before it has handlers.

    Until then it has those of the arbiter, which would queue the signal, and nothing would read it:
    a stop would take until `graceful_timeout`. The worker unblocks SIGTERM in `post_fork`.
    """
    spawn_worker = arbiter.spawn_worker

    def spawn() -> Any:
        with stop_signals.blocked([Signals.SIGTERM]):
            return spawn_worker()

    arbiter.spawn_worker = spawn


def _before_stop(arbiter: Any, call: Callable[[], None]) -> None:
    stop = arbiter.stop

    def call_and_stop(graceful: bool = True) -> None:
        call()
        stop(graceful)

    arbiter.stop = call_and_stop


# ---- requests ----


def _count_requests(worker: Any, running: in_flight.Running) -> None:
    """Count with gunicorn's request hooks, or around the application of the classes below."""
    counted = _by_class(worker, _APPLICATIONS)
    if counted is not None:
        name, wrap = counted
        setattr(worker, name, wrap(getattr(worker, name), running))
        return
    users_pre_request = worker.cfg.pre_request
    users_post_request = worker.cfg.post_request

    def pre_request(worker: Any, request: Any) -> None:
        running.began(request)
        users_pre_request(worker, request)

    def post_request(worker: Any, request: Any, environ: Any, response: Any) -> None:
        running.ended(request)
        users_post_request(worker, request, environ, response)

    worker.cfg.set("pre_request", pre_request)
    worker.cfg.set("post_request", post_request)


# Worker classes that do not call these hooks, or for which the hooks cost time: the attribute with
# their application, and how to wrap it.
_APPLICATIONS: Mapping[str, tuple[str, Callable[[Any, in_flight.Running], Any]]] = {
    "uvicorn_worker._workers.UvicornWorker": ("wsgi", requests.asgi),
    "uvicorn.workers.UvicornWorker": ("wsgi", requests.asgi),
    ASGI_WORKER: ("asgi", requests.asgi),
    "gunicorn.workers.ggevent.GeventPyWSGIWorker": ("wsgi", requests.wsgi),
    "gunicorn.workers.gtornado.TornadoWorker": ("wsgi", requests.wsgi),
}


# ---- drain ----


def _drain_at_exit(worker: Any) -> None:
    """Make a worker drain if its class does not do so itself, as the sync worker does."""
    drain = _by_class(worker, _DRAINS)
    if drain is not None:
        drain(worker)


def _with_uvicorn(worker: Any) -> None:
    from .uvicorn import drain_at_shutdown

    drain_at_shutdown(import_module("uvicorn.server").Server)


# The worker classes that need help to drain.
_DRAINS: Mapping[str, Callable[[Any], None]] = {
    "uvicorn_worker._workers.UvicornWorker": _with_uvicorn,
    "uvicorn.workers.UvicornWorker": _with_uvicorn,
    ASGI_WORKER: gasgi.drain_at_exit,
    "gunicorn.workers.ggevent.GeventPyWSGIWorker": pywsgi.drain_at_exit,
    "gunicorn.workers.gthread.ThreadWorker": gthread.drain_at_exit,
}


# What a worker class needs before its initialization.
_BEFORE_INITIALIZATION: Mapping[str, Callable[[Any], None]] = {
    ASGI_WORKER: gasgi.keep_stop_signal,
}


@contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    original, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = original
