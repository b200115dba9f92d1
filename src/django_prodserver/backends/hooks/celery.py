"""Hooks into Celery's commands: ready, alive, dead with the supervisor; imports it when called."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from django_prodserver.posix import kernel, notify


def announce_worker(supervised: bool) -> None:
    """Let the worker tell when it is ready, and ping if somebody listens for that."""
    from celery.signals import worker_process_init, worker_ready

    if supervised:
        # Its own request to die with the worker misses one that is dead already.
        mortal = partial(_die_with, os.getpid())
        worker_process_init.connect(mortal, weak=False)
    worker_ready.connect(_notify, weak=False)
    if notify.watchdog_interval() is not None:
        worker_ready.connect(_ping_from_the_main_loop, weak=False)
        _ping_while_connecting()


def announce_beat() -> None:
    """Let beat tell when it is ready, and ping if somebody listens for that."""
    from celery.signals import beat_init

    beat_init.connect(_notify, weak=False)
    if notify.watchdog_interval() is not None:
        beat_init.connect(_ping_after_each_tick, weak=False)


def announce_flower() -> None:
    """Let flower tell when its event loop turns: it has no hook."""
    command: Any = importlib.import_module("flower.command")

    class Flower(command.Flower):  # type: ignore[misc]
        def start(self) -> None:
            self.io_loop.add_callback(_notify)
            super().start()

    command.Flower = Flower


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


@contextmanager
def without_terminal_toolkits() -> Iterator[None]:
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


def read_environment_again() -> None:
    """billiard reads REMAP_SIGTERM when it is imported, which the project does with Celery."""
    common = sys.modules.get("billiard.common")
    if common is not None and os.environ.get("REMAP_SIGTERM") != common.REMAP_SIGTERM:
        importlib.reload(common)
