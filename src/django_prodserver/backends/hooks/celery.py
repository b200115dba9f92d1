"""Celery's commands with our hooks: ready, watchdog, death with the parent.

Imports Celery when called, because a pool of greenlets has to patch Python first.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from types import ModuleType
from typing import Any

from django_prodserver.posix import kernel, notify

from .connections import close_djangos

# The module of each command first, then what that imports only when it runs.
MODULES = {
    "worker": (
        "celery.bin.worker",
        "celery.apps.worker",
        "celery.concurrency.prefork",
        "celery.worker.consumer.consumer",
        "celery.worker.loops",
        "celery.events.receiver",
        "billiard.sharedctypes",
        "billiard.synchronize",
    ),
    "beat": ("celery.bin.beat", "celery.apps.beat", "celery.app.routes"),
    "flower": ("flower.command",),
}


def run(args: Sequence[str], command: str, supervised: bool) -> None:
    """Run `celery` with these arguments, which have this command among them."""
    from celery import maybe_patch_concurrency

    _read_environment_again()
    maybe_patch_concurrency(["celery", *args])
    with _without_terminal_toolkits():
        from celery.bin.celery import celery

    if command == "worker":
        _announce_worker(supervised)
    elif command == "beat":
        _announce_beat()
    elif command == "flower":
        _announce_flower()
    celery.main(args=list(args), prog_name="celery", auto_envvar_prefix="CELERY")


def preload(command: str) -> None:
    with _without_terminal_toolkits():
        for module in ("celery.bin.celery", *MODULES[command]):
            importlib.import_module(module)


def finalize(name: str) -> None:
    """Let the app do before a fork what it would do in each process."""
    app = find_app(name)
    app.finalize()
    app.connection_for_read().get_transport_cls()  # This imports, and does not connect.


def find_app(name: str) -> Any:
    from celery.app.utils import find_app

    return find_app(name)


def is_app(found: object) -> bool:
    return hasattr(found, "finalize")  # It may be a proxy, so its type tells nothing.


def click_command(app: Any, name: str) -> Any:
    """A copy of the command with the options that the app adds: Celery changes the original."""
    with _without_terminal_toolkits():
        module = importlib.import_module(MODULES[name][0])
    command = copy(getattr(module, name))
    for kind in (name, "preload"):
        command.params = [*command.params, *app.user_options.get(kind, ())]
    return command


def parse_settings(app: Any, namespace: str, context: Any) -> None:
    """Parse Celery's settings among the arguments, such as `worker_prefetch_multiplier=4`."""
    try:
        app.loader.cmdline_config_parser(context.args, namespace=namespace)
    except (KeyError, ValueError) as error:
        context.fail(f"Unable to parse extra configuration from command line. Reason: {error}")


def _announce_worker(supervised: bool) -> None:
    from celery.signals import worker_before_create_process, worker_process_init, worker_ready

    # Its own system checks may have asked the database by then. It cares for its broker itself.
    worker_before_create_process.connect(_close_djangos, weak=False)
    if supervised:
        # billiard asks the kernel for the same, but misses a worker that is dead by then.
        mortal = partial(_die_with, os.getpid())
        worker_process_init.connect(mortal, weak=False)
    worker_ready.connect(_notify, weak=False)
    if notify.watchdog_interval() is not None:
        worker_ready.connect(_ping_from_the_main_loop, weak=False)
        _ping_while_connecting()


def _announce_beat() -> None:
    from celery.signals import beat_init

    beat_init.connect(_notify, weak=False)
    if notify.watchdog_interval() is not None:
        beat_init.connect(_ping_after_each_tick, weak=False)


def _announce_flower() -> None:
    from . import flower

    flower.announce()


def _close_djangos(**kwargs: Any) -> None:
    close_djangos()


def _die_with(worker: int, **kwargs: Any) -> None:
    if os.getpid() != worker:  # With `--pool=solo` the worker itself sends this signal.
        kernel.die_with_parent(worker)


def _notify(**kwargs: Any) -> None:
    notify.notify()


def _ping(*args: Any) -> None:
    # A slow listener must not block a healthy loop.
    notify.notify(b"WATCHDOG=1", wait=False)


def _ping_every() -> float:
    """In seconds: half of the interval, as sd_watchdog_enabled(3) recommends."""
    return (notify.watchdog_interval() or math.inf) / 2


def _ping_from_the_main_loop(sender: Any, **kwargs: Any) -> None:
    """Ping from the loop that takes messages from the broker.

    Celery's own heartbeat will not do: `--without-heartbeat` disables it, and for brokers without
    an event loop (files, memory, SQL) its timer is a thread, which runs on while the main loop
    hangs. With those the timer only schedules the ping, and the main loop sends it.
    """
    consumer = sender
    ping = partial(consumer.call_soon, _ping) if consumer.hub is None else _ping
    consumer.timer.call_repeatedly(_ping_every(), ping)


def _ping_while_connecting() -> None:
    """Ping while a worker without its broker tries to connect, and calls this every second.

    A restart would not bring the broker back.
    """
    module: Any = importlib.import_module("celery.worker.consumer.consumer")
    maybe_shutdown = module.maybe_shutdown

    def maybe_shutdown_and_ping() -> None:
        maybe_shutdown()
        _ping()

    module.maybe_shutdown = maybe_shutdown_and_ping


def _ping_after_each_tick(sender: Any, **kwargs: Any) -> None:
    """Ping after each tick, which sends the tasks that are due, and shorten the sleep after it.

    By default that is up to 300 s.
    """
    scheduler = sender.scheduler
    tick = scheduler.tick

    def tick_and_ping(*args: Any, **kwargs: Any) -> Any:
        pause = tick(*args, **kwargs)
        _ping()
        return pause

    scheduler.max_interval = min(scheduler.max_interval, _ping_every())
    scheduler.tick = tick_and_ping


@contextmanager
def _without_terminal_toolkits() -> Iterator[None]:
    """Import Celery's commands without click_repl and pygments: it saves 100 ms and 10 MB.

    Celery imports all commands with any of them, but only `celery amqp` and `celery inspect` use
    these. Measured with Python 3.13, Celery 5.7, click_repl 0.3, pygments 2.21 (`-X importtime`).
    """
    shell = ModuleType("click_repl")
    shell.register_repl = lambda group: None  # type: ignore[attr-defined]
    # None makes an import fail: to Celery pygments is optional.
    stand_ins = {"click_repl": shell, "pygments": None}
    absent = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(absent)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _read_environment_again() -> None:
    """billiard reads REMAP_SIGTERM when it is imported, which may have been before the fork."""
    common = sys.modules.get("billiard.common")
    if common is not None and os.environ.get("REMAP_SIGTERM") != common.REMAP_SIGTERM:
        importlib.reload(common)
