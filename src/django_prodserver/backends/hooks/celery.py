"""Celery's commands with our hooks: readiness, watchdog pings, death with the parent.

Celery is imported only when called, because a greenlet pool has to patch Python first.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cache, partial
from importlib import metadata
from signal import Signals
from types import GeneratorType, ModuleType
from typing import Any, Callable

from django_prodserver.posix import kernel, notify, stop_signals

from . import in_flight
from .connections import close_djangos

# The entry-point group of Celery's plugins.
COMMANDS = "celery.commands"
# In seconds. An idle pool process reports within milliseconds that it has begun a task.
BEGIN_WITHIN = 2.0
# A property that we add to task messages: seconds since the epoch. Celery sends no such time.
PUBLISHED_AT = "published_at"
_find_entry_points = metadata.entry_points

# Per command: its module, then the modules that it imports only when it runs.
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
    """Run `celery` with these arguments, which include `command`."""
    from celery import maybe_patch_concurrency

    _read_environment_again()
    maybe_patch_concurrency(["celery", *args])
    with _without_unneeded_imports():
        from celery.bin.celery import celery

    date_messages()
    if command not in celery.commands:
        for plugin in metadata.entry_points(group=COMMANDS):
            if plugin.name == command:
                celery.add_command(plugin.load())
    if command == "worker":
        _announce_worker(supervised)
    elif command == "beat":
        _announce_beat(supervised)
    elif command == "flower":
        _announce_flower()
    celery.main(args=list(args), prog_name="celery", auto_envvar_prefix="CELERY")


def preload(command: str) -> None:
    with _without_unneeded_imports():
        for module in ("celery.bin.celery", *MODULES[command]):
            importlib.import_module(module)
    if "cffi" in sys.modules:
        # billiard parses a line of C with it in each pool process.
        importlib.import_module("cffi.cparser")


def date_messages() -> None:
    """Timestamp every task message that this process and its forks publish."""
    from celery.signals import before_task_publish

    before_task_publish.connect(_date, weak=False)


def _date(properties: dict[str, Any], **kwargs: Any) -> None:
    properties[PUBLISHED_AT] = time.time()


def finalize(name: str) -> None:
    """Do before the fork what the app would otherwise do in each process."""
    app = find_app(name)
    app.finalize()
    app.connection_for_read().get_transport_cls()  # Imports the transport, but does not connect.


def find_app(name: str) -> Any:
    with _entry_points(_all_entry_points):
        from celery.app.utils import find_app

        return find_app(name)


def is_app(found: object) -> bool:
    return hasattr(found, "finalize")  # It may be a proxy: its type proves nothing.


def click_command(app: Any, name: str) -> Any:
    """Return a copy of the command with the app's options: Celery changes the original."""
    with _without_unneeded_imports():
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
    from celery import signals

    # Its system checks may have opened database connections by then. Celery closes its own broker
    # connections.
    signals.worker_before_create_process.connect(_close_djangos, weak=False)
    if supervised:
        # With `--uid` or `--gid` it has just changed its user, and the kernel has cleared its
        # parent-death signal.
        signals.celeryd_init.connect(partial(_die_with, os.getppid()), weak=False)
        # billiard also sets the parent-death signal, but misses a worker that has already died. The
        # beat of `--beat` is a child process or a thread of this one.
        mortal = partial(_die_with, os.getpid())
        signals.worker_process_init.connect(mortal, weak=False)
        signals.beat_embedded_init.connect(mortal, weak=False)
    signals.worker_ready.connect(_count_stop_signals_as_one, weak=False)
    signals.worker_ready.connect(_stop_once_tasks_have_begun, weak=False)
    signals.worker_ready.connect(_notify, weak=False)
    if in_flight.has_notify_socket():
        # Sent from Celery's stop signal handler: what is in flight matters only from then on.
        reporter = in_flight.Reporter("task", _active_tasks)
        signals.worker_shutting_down.connect(partial(_start_reporting, reporter), weak=False)
    if notify.watchdog_interval() is not None:
        signals.worker_ready.connect(_ping_from_the_main_loop, weak=False)
        _ping_while_connecting()


def _announce_beat(supervised: bool) -> None:
    from celery.signals import beat_init

    if supervised:
        beat_init.connect(partial(_die_with, os.getppid()), weak=False)
    beat_init.connect(_count_stop_signals_as_one, weak=False)
    beat_init.connect(_notify, weak=False)
    if notify.watchdog_interval() is not None:
        beat_init.connect(_ping_after_each_tick, weak=False)


def _announce_flower() -> None:
    from . import flower

    flower.announce()


def _close_djangos(**kwargs: Any) -> None:
    close_djangos()


def _die_with(parent: int, **kwargs: Any) -> None:
    if os.getpid() != parent:  # With `--pool=solo` this is the worker itself.
        kernel.die_with_parent(parent)


def _count_stop_signals_as_one(**kwargs: Any) -> None:
    # Not SIGQUIT: it is the escalation signal, and has to get through at any time.
    stop_signals.count_as_one({Signals.SIGTERM, Signals.SIGINT})


def _stop_once_tasks_have_begun(sender: Any, **kwargs: Any) -> None:
    """Before a warm shutdown, hear from the pool's processes which tasks they have begun.

    If a process has been given a task but has not yet reported that it has begun, Celery forgets
    that it gave the task (`AsynPool.flush`). The process executes the task, but nothing
    acknowledges it: it goes back to the broker, and is executed a second time. Or the shutdown
    never ends, and what the worker has taken from Redis stays unavailable for the
    `visibility_timeout`. This happens to tasks that arrive within milliseconds of the stop signal:
    under load in one of five stops (Celery 5.7).
    """
    consumer = sender
    on_close = consumer.blueprint.on_close

    def read_and_close() -> None:
        from celery.worker import state

        asynpool: Any = sys.modules.get("celery.concurrency.asynpool")
        pool = getattr(consumer.pool, "_pool", None)
        cold = state.should_terminate not in (None, False)
        if asynpool is not None and isinstance(pool, asynpool.AsynPool) and not cold:
            _read_begin_reports(consumer.hub, pool)
        on_close()

    consumer.blueprint.on_close = read_and_close


def _read_begin_reports(hub: Any, pool: Any) -> None:
    until = time.monotonic() + BEGIN_WITHIN
    while processes := _yet_to_report(hub, pool):
        for process in processes:
            if not process.outq._reader.poll(max(0, until - time.monotonic())):
                return
            callback, arguments = hub.readers[process.outqR_fd]
            if isinstance(callback, GeneratorType):
                next(callback, None)  # It reads the rest of a message.
            else:
                callback(*arguments)


def _yet_to_report(hub: Any, pool: Any) -> set[Any]:
    """The processes that have been given a task but have not reported that they have begun it.

    With `-O default` a process may be given several tasks. A busy process reports late, and is left
    out.
    """
    given = [job for job in pool._cache.values() if job._write_to is not None]
    busy = {job._write_to for job in given if job._accepted}
    idle = {job._write_to for job in given} - busy
    return {process for process in idle if process.outqR_fd in hub.readers}


def _notify(**kwargs: Any) -> None:
    notify.notify()


def _start_reporting(reporter: in_flight.Reporter, **kwargs: Any) -> None:
    reporter.start_reporting()


def _active_tasks() -> in_flight.Count:
    """Count the tasks that the pool has begun: Celery lists them for every kind of pool."""
    state: Any = importlib.import_module("celery.worker.state")
    now = time.time()
    return in_flight.of_ages(now - request.time_start for request in list(state.active_requests))


def _ping(*args: Any) -> None:
    # A slow listener must not block a healthy loop.
    notify.notify(b"WATCHDOG=1", wait=False)


def _ping_every() -> float:
    """Half of the watchdog interval in seconds, as sd_watchdog_enabled(3) recommends."""
    return (notify.watchdog_interval() or math.inf) / 2


def _ping_from_the_main_loop(sender: Any, **kwargs: Any) -> None:
    """Ping from the loop that takes messages from the broker.

    Celery's own heartbeat will not do: `--without-heartbeat` disables it, and for brokers without
    an event loop (files, memory, SQL) its timer is a thread, which runs on while the main loop
    hangs. For those brokers the timer only schedules the ping, and the main loop sends it.
    """
    consumer = sender
    ping = partial(consumer.call_soon, _ping) if consumer.hub is None else _ping
    consumer.timer.call_repeatedly(_ping_every(), ping)


def _ping_while_connecting() -> None:
    """Ping while a worker tries to connect to its broker: a restart would not bring it back.

    Celery calls `maybe_shutdown` every second meanwhile.
    """
    module: Any = importlib.import_module("celery.worker.consumer.consumer")
    maybe_shutdown = module.maybe_shutdown

    def maybe_shutdown_and_ping() -> None:
        maybe_shutdown()
        _ping()

    module.maybe_shutdown = maybe_shutdown_and_ping


def _ping_after_each_tick(sender: Any, **kwargs: Any) -> None:
    """Ping after each tick, which sends the tasks that are due, and shorten the sleep after it.

    By default beat sleeps for up to 300 s.
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
def _without_unneeded_imports() -> Iterator[None]:
    """Import Celery's commands without modules that workers and beat do not need.

    Importing one command imports all, including those of plugins such as flower. Measured with
    Python 3.13, Celery 5.7, click_repl 0.3, pygments 2.21, psutil 7, flower 2.1 (`-X importtime`):
    100 ms and 10 MB for click_repl and pygments, which only a terminal needs; 130 ms for flower;
    10 ms for psutil.
    """
    shell, psutil = ModuleType("click_repl"), ModuleType("psutil")
    shell.register_repl = lambda group: None  # type: ignore[attr-defined]
    psutil.Process = _process  # type: ignore[attr-defined]
    # None makes the import fail; pygments is optional for Celery.
    stand_ins = {"click_repl": shell, "pygments": None, "psutil": psutil}
    absent = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(absent)  # type: ignore[arg-type]
    try:
        with _entry_points(_all_entry_points_but_commands):
            yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _entry_points(found: Callable[..., Any]) -> Iterator[None]:
    """Let packages look for entry points with this function (Python 3.10 and newer)."""
    before: Any = metadata.entry_points
    if sys.version_info >= (3, 10):
        metadata.entry_points = found
    try:
        yield
    finally:
        metadata.entry_points = before


def _process(*args: Any) -> Any:
    """psutil.Process, imported only when Celery looks up its own memory use."""
    from psutil import Process

    return Process(*args)


def _all_entry_points(**wanted: Any) -> Any:
    """Scan once: a scan takes 7 ms with a hundred packages, and Celery does four of them."""
    return _entry_points_here().select(**wanted)


def _all_entry_points_but_commands(**wanted: Any) -> Any:
    return [] if wanted.get("group") == COMMANDS else _all_entry_points(**wanted)


@cache
def _entry_points_here() -> Any:
    return _find_entry_points()


def _read_environment_again() -> None:
    """billiard reads REMAP_SIGTERM when it is imported, possibly before the fork."""
    common = sys.modules.get("billiard.common")
    if common is not None and os.environ.get("REMAP_SIGTERM") != common.REMAP_SIGTERM:
        importlib.reload(common)
