"""Celery's worker and beat: https://docs.celeryq.dev/"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, ClassVar

from django.utils.module_loading import autodiscover_modules

from django_prodserver.posix import notify

from .application import describe
from .base import BaseServerBackend, Problem


class CeleryBackend(BaseServerBackend):
    """What Celery's commands have in common. ARGS are those of the command, APP is the `-A`."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery"}
    notifies = True
    environment = frozenset({"REMAP_SIGTERM"})
    command: ClassVar[str]
    # What the command imports only when it runs.
    modules: ClassVar[Sequence[str]] = ()

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

    def problems(self) -> Iterator[Problem]:
        if "APP" not in self.config:
            hint = "Name the Celery app, such as 'myproject.celery.app'."
            yield Problem("", "has no 'APP'.", hint)
            return
        try:
            _find_app(self.config["APP"])
        except Exception as error:
            message = f"is {self.config['APP']!r}, which cannot be imported: {describe(error)}."
            yield Problem("APP", message, "Name the Celery app, such as 'myproject.celery.app'.")


class CeleryWorker(CeleryBackend):
    """`celery worker`; each instance has a node name of its own, `worker.1@host`."""

    command = "worker"
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
    success = frozenset({1})  # After SIGINT.
    forwards = frozenset({"SIGUSR1"})  # Print the stacks of all threads.

    def prep_server_args(self) -> Sequence[str]:
        args = super().prep_server_args()
        if self.instance is None or _has_option(self.args, "-n", "--hostname"):
            return args
        return [*args, f"--hostname={self.instance}@%h"]

    def announce_ready(self) -> None:
        from celery.signals import worker_ready

        worker_ready.connect(_notify, weak=False)


class CeleryBeat(CeleryBackend):
    """`celery beat`; one of it, because each sends every task."""

    command = "beat"
    modules = ("celery.bin.beat", "celery.apps.beat", "celery.app.routes")
    singleton = True

    def announce_ready(self) -> None:
        from celery.signals import beat_init

        beat_init.connect(_notify, weak=False)


def _notify(**kwargs: Any) -> None:
    notify.notify()


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
