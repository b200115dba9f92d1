"""dramatiq's command line in this process, with our hooks; imports dramatiq."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, Callable, NoReturn, Optional
from uuid import uuid4

from django_prodserver.posix import notify, stop_signals

from . import in_flight
from .multiprocessing import die_with_parent

cli: Any = import_module("dramatiq.cli")
worker_process = cli.worker_process
fork_process = cli.fork_process

# Returns the command line that runs a program with these arguments and our hooks.
Command = Callable[[str, Sequence[str]], Sequence[str]]


def run(words: Sequence[str]) -> int:
    """Run `dramatiq` with these arguments; return its exit status."""
    args = cli.make_argument_parser().parse_args(words)
    _choose_start_method(args)
    # Both functions must be picklable: workers may be spawned.
    board = in_flight.Board() if in_flight.has_notify_socket() else None
    cli.worker_process = partial(_worker_process, multiprocessing.Value("i", 0), board)
    cli.fork_process = _fork_process
    before = sys.argv
    # At SIGHUP it executes sys.argv[0], and `manage.py` may not be executable.
    sys.argv = [sys.executable, *sys.argv]
    try:
        return int(cli.main(args))
    finally:
        sys.argv = before


def run_instead(*modules: Any, here: bool, command: Command) -> None:
    """Make `rundramatiq` run `dramatiq` with our hooks: `here`, or by executing this `command`.

    `modules` are the modules of the command's classes.
    """
    executing = [module for module in modules if getattr(module, "os", None) is os]
    for module in executing:
        module.os = _OperatingSystem(here, command)
    if not executing:
        raise LookupError("it does not execute dramatiq by os.execvp")


class _OperatingSystem:
    """The module `os`, except for how it executes `dramatiq` and `dramatiq-gevent`."""

    def __init__(self, here: bool, command: Command) -> None:
        self._here = here
        self._command = command

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def execvp(self, path: str, words: Sequence[str]) -> NoReturn:
        program, *arguments = words
        # The program `dramatiq-gevent` patches Python, for which it is too late here.
        if self._here and program == "dramatiq":
            sys.exit(run(arguments))
        sys.stdout.flush()
        command = list(self._command(program, arguments))
        os.execvp(command[0], command)


class WholeLines:
    """A worker's output stream that sends only whole lines, because several threads write to it.

    The parent process writes pieces in the order in which it receives them, and `print` writes the
    newline separately. So the beginning of a line is kept until its thread ends the line or
    flushes.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = threading.local()
        # dramatiq's signal handler logs, and may interrupt a write of this thread.
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        begun = getattr(self._begun, "text", "") + text
        lines, newline, self._begun.text = begun.rpartition("\n")
        self._send(lines + newline)
        return len(text)

    def flush(self) -> None:
        begun, self._begun.text = getattr(self._begun, "text", ""), ""
        self._send(begun)

    def _send(self, text: str) -> None:
        if text:
            with self._lock:
                self._stream.write(text)


def _choose_start_method(args: Namespace) -> None:
    """Fork workers, so that they share loaded code, unless that is unsafe or ARGS say spawn.

    Python 3.14 does not fork by default. `force` overrides what an app such as django-q2 may have
    set in the parent of this process.
    """
    if args.use_spawn:
        multiprocessing.set_start_method("spawn", force=True)
        args.use_spawn = False  # dramatiq would set it again, without force, and fail.
    elif sys.platform == "linux" and threading.active_count() == 1:
        multiprocessing.set_start_method("fork", force=True)


def _worker_process(
    booted: Any,
    board: Optional[in_flight.Board],
    args: Namespace,
    worker: int,
    log: Any,
    *others: Any,
) -> None:
    die_with_parent()

    class Worker(cli.Worker):  # type: ignore[misc]
        def __init__(self, broker: Any, **options: Any) -> None:
            if hasattr(broker, "broker_id"):
                # dramatiq requeues the messages of a broker id that is gone from Redis, so each
                # worker needs its own. The id created before the fork is the same in all workers.
                broker.broker_id = str(uuid4())
            if board is not None:
                _tell_of_its_tasks(broker, board)
            super().__init__(broker, **options)

        def start(self) -> None:
            stop_signals.count_as_one()
            super().start()
            with booted.get_lock():
                booted.value += 1
                last = booted.value == args.processes
            if last:
                notify.notify()

    cli.Worker = Worker
    worker_process(args, worker, WholeLines(log), *others)


def _tell_of_its_tasks(broker: Any, board: in_flight.Board) -> None:
    """Each worker process gets the stop signal; one of them reports for all."""
    running = in_flight.Running(board)

    class Tells(import_module("dramatiq").Middleware):  # type: ignore[misc]
        def before_process_message(self, broker: Any, message: Any) -> None:
            running.began(message.message_id)

        def after_process_message(self, broker: Any, message: Any, **result: Any) -> None:
            running.ended(message.message_id)

        def after_skip_message(self, broker: Any, message: Any) -> None:
            running.ended(message.message_id)

    broker.add_middleware(Tells())
    in_flight.report_after_stop_signal("task", board.count, board)


def _fork_process(args: Namespace, number: int, function: str, log: Any) -> None:
    die_with_parent()
    fork_process(args, number, function, WholeLines(log))
