"""dramatiq's command line in this process, with hooks in its workers; imports dramatiq."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn
from uuid import uuid4

from django_prodserver.posix import notify

from .multiprocessing import die_with_parent

cli: Any = import_module("dramatiq.cli")
worker_process = cli.worker_process
fork_process = cli.fork_process


class OperatingSystem:
    """The module `os` as `rundramatiq` is to have it: `dramatiq` is executed in this process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def execvp(self, path: str, words: Sequence[str]) -> NoReturn:
        if words[0] != "dramatiq":
            # `dramatiq-gevent` patches Python before it imports anything, and has no hook for us.
            notify.notify()
            os.execvp(path, list(words))
        sys.exit(run(words[1:]))


def run(words: Sequence[str]) -> int:
    """Run `dramatiq` with these arguments; returns its exit status."""
    args = cli.make_argument_parser().parse_args(words)
    _choose_start_method(args)
    # Both are pickled where workers are not forked.
    cli.worker_process = partial(_worker_process, multiprocessing.Value("i", 0))
    cli.fork_process = _fork_process
    before = sys.argv
    # At SIGHUP it executes sys.argv[0], which is no program where it is `manage.py`.
    sys.argv = [sys.executable, *sys.argv]
    try:
        return int(cli.main(args))
    finally:
        sys.argv = before


class WholeLines:
    """The stream of a worker to the process that writes for all, which mixes what it gets.

    `print` writes the end of a line by itself, and others may be quicker. What a thread has begun
    waits for its end, or until it is flushed.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = threading.local()
        # A signal handler of dramatiq logs, and may interrupt what this thread is writing.
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
    """Fork workers from what is loaded, unless that is unsafe or they are to be spawned.

    From Python 3.14 on it is not the default any more. By force, because an app such as django-q2
    may have fixed it in what this process was forked from.
    """
    if args.use_spawn:
        multiprocessing.set_start_method("spawn", force=True)
        args.use_spawn = False  # Done, and it can be done only once.
    elif sys.platform == "linux" and threading.active_count() == 1:
        multiprocessing.set_start_method("fork", force=True)


def _worker_process(booted: Any, args: Namespace, worker: int, log: Any, *others: Any) -> None:
    die_with_parent()

    class Worker(cli.Worker):  # type: ignore[misc]
        def __init__(self, broker: Any, **options: Any) -> None:
            if hasattr(broker, "broker_id"):
                # By it Redis knows whose messages to give to others when somebody is gone; what
                # was created before the fork all have in common.
                broker.broker_id = str(uuid4())
            super().__init__(broker, **options)

        def start(self) -> None:
            super().start()
            with booted.get_lock():
                booted.value += 1
                last = booted.value == args.processes
            if last:
                notify.notify()

    cli.Worker = Worker
    worker_process(args, worker, WholeLines(log), *others)


def _fork_process(args: Namespace, number: int, function: str, log: Any) -> None:
    die_with_parent()
    fork_process(args, number, function, WholeLines(log))
