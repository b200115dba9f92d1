"""huey's consumer with our hooks; imports huey when called."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Mapping
from contextlib import ExitStack, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, Callable, Optional

from django_prodserver.posix import kernel, notify, stop_signals

from . import brokers, in_flight


def preload() -> None:
    import_module("huey.consumer")


def close_storage() -> None:
    """Close the storage: it may have opened a database, which forks must not share."""
    _huey().storage.close()


def is_immediate() -> bool:
    return bool(_huey().immediate)


def consumer_options() -> Collection[str]:
    """The names of the consumer's options."""
    known: Collection[str] = import_module("huey.consumer_options").config_keys
    return known


def validate(consumer: Mapping[str, Any]) -> None:
    """Raises ValueError for values that the consumer does not accept."""
    import_module("huey.consumer_options").ConsumerConfig(**consumer).validate()


def ready() -> int:
    """Count the tasks in the queue, without those that a consumer has yet to move to the schedule.

    huey records neither which tasks are running, nor how long a task has waited.
    """
    huey = _huey()
    with ExitStack() as stack:
        client = getattr(huey.storage, "conn", None)
        if hasattr(client, "connection_pool"):
            stack.enter_context(brokers.redis(client))
        stack.callback(huey.storage.close)
        size = int(huey.storage.queue_size())
        messages = map(huey.serializer.deserialize, huey.storage.enqueued_items(brokers.OLDEST))
        return max(0, size - sum(not huey.ready_to_run(message) for message in messages))


def announce() -> None:
    """Send READY=1 when the consumer has started; its worker processes die with it."""
    module: Any = import_module("huey.consumer")
    start = module.Consumer.start
    create_process = module.ProcessEnvironment.create_process

    def start_and_notify(consumer: Any) -> None:
        forks = isinstance(consumer.environment, module.ProcessEnvironment)
        if in_flight.has_notify_socket():
            _tell_of_its_tasks(consumer.huey, in_flight.Board() if forks else None)
        # Python ignores KeyboardInterrupt in a hook that runs at a fork, and the signal is lost.
        with stop_signals.blocked(stop_signals.SIGNALS) if forks else nullcontext():
            start(consumer)
            _stop_by_a_flag(consumer)
            stop_signals.count_as_one()
        notify.notify()

    def create_mortal_process(environment: Any, runnable: Callable[[], None], name: str) -> Any:
        return create_process(environment, partial(_run_with, os.getpid(), runnable), name)

    module.Consumer.start = start_and_notify
    module.ProcessEnvironment.create_process = create_mortal_process


def _huey() -> Any:
    return import_module("huey.contrib.djhuey").HUEY


def _stop_by_a_flag(consumer: Any) -> None:
    """Before huey 3.5.4 SIGINT may raise KeyboardInterrupt anywhere in the main loop.

    The loop expects it only where it waits. Elsewhere it would end the loop and the running tasks.
    The handler that huey uses with greenlets sets a flag instead, which the loop also checks with
    threads and processes: install that handler.
    """
    for name in ("_handle_graceful_signal", "_handle_interrupt_signal_gevent"):
        handler = getattr(consumer, name, None)
        if handler and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, handler)


def _tell_of_its_tasks(huey: Any, board: Optional[in_flight.Board]) -> None:
    """`board` is for worker processes; threads and greenlets execute tasks in this process."""
    running = in_flight.Running(board)
    execute = huey.execute

    def execute_one(*args: Any, **kwargs: Any) -> Any:
        with running.one():
            return execute(*args, **kwargs)

    huey.execute = execute_one
    in_flight.report_after_stop_signal("task", (board or running).count, board)


def _run_with(parent: int, runnable: Callable[[], None]) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals.SIGNALS)
    kernel.die_with_parent(parent)
    runnable()
