"""Celery's worker and beat, https://docs.celeryq.dev/, and flower, https://flower.readthedocs.io/"""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

from django.utils.module_loading import autodiscover_modules

from django_prodserver.posix import kernel, notify

from .application import describe
from .base import Address, BaseServerBackend, Problem
from .parsers import by_click, meant


class CeleryBackend(BaseServerBackend):
    """What Celery's commands have in common. ARGS are those of the command, APP is the `-A`."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery"}
    notifies = True
    pings = True
    environment = frozenset({"REMAP_SIGTERM"})
    command: ClassVar[str]
    # Where settings such as `_pool=solo` among ARGS belong.
    namespace: ClassVar[str] = "celery"
    # Its own module, and what that imports only when it runs.
    modules: ClassVar[Sequence[str]]

    def prep_server_args(self) -> Sequence[str]:
        # The supervisor has run the system checks; they are for every process the same.
        checked = [] if self.instance is None else ["--skip-checks"]
        return ["-A", self.config["APP"], *checked, self.command, *self.args]

    def start_server(self, *args: str) -> None:
        from celery import maybe_patch_concurrency

        _read_environment_again()
        maybe_patch_concurrency(["celery", *args])
        with _without_terminal_toolkits():
            from celery.bin.celery import celery

        self.announce_ready()
        celery.main(args=list(args), prog_name="celery", auto_envvar_prefix="CELERY")

    def announce_ready(self) -> None:
        """Connect to the signal by which this command tells that it is ready."""
        raise NotImplementedError

    def preload(self) -> None:
        with _without_terminal_toolkits():
            for module in ("celery.bin.celery", *self.modules):
                importlib.import_module(module)
        autodiscover_modules("tasks")
        app = _find_app(self.config["APP"])
        app.finalize()
        app.connection_for_read().get_transport_cls()  # Imported, not connected.

    def parse(self) -> Any:
        app = _find_app(self.config["APP"])
        env: Mapping[str, str] = self.config.get("ENV", {})
        return by_click(
            self._click_command(app),
            self.args,
            f"celery {self.command}",
            env,
            partial(self._read_further, app),
            auto_envvar_prefix=f"CELERY_{self.command.upper()}",
            obj=SimpleNamespace(app=app),
        )

    def _click_command(self, app: Any) -> Any:
        """The command with the options that the app adds; Celery would add them for good."""
        with _without_terminal_toolkits():
            module = importlib.import_module(self.modules[0])
        command = copy(getattr(module, self.command))
        for kind in (self.command, "preload"):
            command.params = [*command.params, *app.user_options.get(kind, ())]
        return command

    def _read_further(self, app: Any, parsed: Any) -> None:
        """Settings of Celery, such as `worker_prefetch_multiplier=4`: the command reads these."""
        try:
            app.loader.cmdline_config_parser(parsed.args, namespace=self.namespace)
        except (KeyError, ValueError) as error:
            parsed.fail(f"Unable to parse extra configuration from command line. Reason: {error}")

    def problems(self) -> Iterator[Problem]:
        hint = "Name the Celery app, such as 'myproject.celery.app'."
        if "APP" not in self.config:
            yield Problem("", "has no 'APP'.", hint)
            return
        app = self.config["APP"]
        try:
            found = _find_app(app)
        except Exception as error:
            message = f"is {app!r}, which cannot be imported: {describe(error)}."
            yield Problem("APP", message, hint)
        else:
            if not hasattr(found, "finalize"):  # It may be a proxy.
                yield Problem("APP", f"is {app!r}, which is no Celery app.", hint)


class CeleryWorker(CeleryBackend):
    """`celery worker`; each instance has a node name of its own, `worker.1@host`."""

    command = "worker"
    namespace = "worker"
    modules = (
        "celery.bin.worker",
        "celery.apps.worker",
        "celery.concurrency.prefork",
        "celery.worker.consumer.consumer",
        "celery.worker.loops",
        "celery.events.receiver",
        "billiard.sharedctypes",
        "billiard.synchronize",
    )
    # What is in hand has not ended: give back to the broker what it may be given back (acks_late),
    # and end. Celery 5.5 and later; before, it is heeded no more once a warm shutdown has begun.
    last_signal = "SIGQUIT"
    success = frozenset({1})  # After SIGINT.
    forwards = frozenset({"SIGUSR1"})  # Print the stacks of all threads.

    def prep_server_args(self) -> Sequence[str]:
        args = super().prep_server_args()
        if self.instance is None or _has_option(self.args, "-n", "--hostname"):
            return args
        return [*args, f"--hostname={self.instance}@%h"]

    def announce_ready(self) -> None:
        from celery.signals import worker_process_init, worker_ready

        if self.instance is not None:
            # Its own request to die with the worker misses one that is dead already.
            mortal = partial(_die_with, os.getpid())
            worker_process_init.connect(mortal, weak=False)
        worker_ready.connect(_notify, weak=False)
        if notify.watchdog_interval() is not None:
            worker_ready.connect(_ping_from_the_main_loop, weak=False)
            _ping_while_connecting()


class CeleryBeat(CeleryBackend):
    """`celery beat`; one of it, because each sends every task."""

    command = "beat"
    modules = ("celery.bin.beat", "celery.apps.beat", "celery.app.routes")
    singleton = True

    def announce_ready(self) -> None:
        from celery.signals import beat_init

        beat_init.connect(_notify, weak=False)
        if notify.watchdog_interval() is not None:
            beat_init.connect(_ping_after_each_tick, weak=False)


class CeleryFlower(CeleryBackend):
    """`celery flower`, which shows what the workers do."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery", "flower": "flower"}
    pings = False
    command = "flower"
    modules = ("flower.command",)

    def announce_ready(self) -> None:
        """When its event loop turns: it has no hook."""
        command: Any = importlib.import_module("flower.command")

        class Flower(command.Flower):  # type: ignore[misc]
            def start(self) -> None:
                self.io_loop.add_callback(_notify)
                super().start()

        command.Flower = Flower

    def parse(self) -> Any:
        words = super().parse()["tornado_argv"]
        from . import _flower

        try:
            return _flower.parse(words, {**os.environ, **self.config.get("ENV", {})})
        except ValueError as error:
            complaint = f"celery flower: {error}"
            raise ValueError(f"{complaint}{meant(complaint, _flower.names())}") from None

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        return [Address(options.unix_socket or (options.address or "0.0.0.0", options.port))]


def _die_with(worker: int, **kwargs: Any) -> None:
    if os.getpid() != worker:  # It is the worker itself with `--pool=solo`, which says so, too.
        kernel.die_with_parent(worker)


def _notify(**kwargs: Any) -> None:
    notify.notify()


def _ping(*args: Any) -> None:
    # A loop that is well must not be held up by a listener that is not.
    notify.notify(b"WATCHDOG=1", wait=False)


def _ping_every() -> float:
    """In seconds: half of what is allowed, as sd_watchdog_enabled(3) has it."""
    return (notify.watchdog_interval() or math.inf) / 2


def _ping_from_the_main_loop(sender: Any, **kwargs: Any) -> None:
    """Let the loop that takes messages from the broker tell that it turns.

    Celery's own heartbeat would not do. It is off by `--without-heartbeat`, and with brokers that
    have no event loop (files, memory, SQL) its timer is a thread, which goes on while the main
    loop hangs. There the thread only asks, and the main loop answers.
    """
    consumer = sender
    ping = partial(consumer.call_soon, _ping) if consumer.hub is None else _ping
    consumer.timer.call_repeatedly(_ping_every(), ping)


def _ping_while_connecting() -> None:
    """Without its broker a worker tries to connect, again and again, and does nothing else.

    Each second it calls this function. To start it anew would not bring the broker back.
    """
    module: Any = importlib.import_module("celery.worker.consumer.consumer")
    maybe_shutdown = module.maybe_shutdown

    def maybe_shutdown_and_ping() -> None:
        maybe_shutdown()
        _ping()

    module.maybe_shutdown = maybe_shutdown_and_ping


def _ping_after_each_tick(sender: Any, **kwargs: Any) -> None:
    """A tick sends what is due; between two of them beat sleeps, 300 s at most."""
    scheduler = sender.scheduler
    tick = scheduler.tick

    def tick_and_ping(*args: Any, **kwargs: Any) -> Any:
        pause = tick(*args, **kwargs)
        _ping()
        return pause

    scheduler.max_interval = min(scheduler.max_interval, _ping_every())
    scheduler.tick = tick_and_ping


def _find_app(app: str) -> Any:
    from celery.app.utils import find_app

    return find_app(app)


@contextmanager
def _without_terminal_toolkits() -> Iterator[None]:
    """Spare every process 100 ms and 10 MB of use to `celery amqp` and `celery inspect` alone.

    All commands are imported with any of them: the one brings an interactive shell, the other
    compiles the grammar of a syntax highlighter, where one is installed. Measured with Python
    3.13, Celery 5.7, click_repl 0.3 and pygments 2.21 (`-X importtime`).
    """
    shell = ModuleType("click_repl")
    shell.register_repl = lambda group: None  # type: ignore[attr-defined]
    # None makes an import fail, which Celery expects of pygments.
    stand_ins = {"click_repl": shell, "pygments": None}
    absent = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(absent)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _has_option(args: Sequence[str], short: str, long: str) -> bool:
    return any(arg.startswith(short) or arg.partition("=")[0] == long for arg in args)


def _read_environment_again() -> None:
    """billiard reads REMAP_SIGTERM when it is imported, which the project does with Celery."""
    common = sys.modules.get("billiard.common")
    if common is not None and os.environ.get("REMAP_SIGTERM") != common.REMAP_SIGTERM:
        importlib.reload(common)
