"""huey's consumer: https://huey.readthedocs.io/"""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, Callable, ClassVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from django_prodserver.posix import kernel, notify

from .command import CommandBackend, parse_command
from .parsers import PrintsOnly


class HueyWorker(CommandBackend):
    """ARGS are those of `manage.py run_huey`; the `consumer` of the setting HUEY counts as usual.

    Each consumer would enqueue every periodic task: of several instances only the first does.
    """

    requires: ClassVar[Mapping[str, str]] = {"huey": "huey"}
    command = "run_huey"
    comes_with = "Add 'huey.contrib.djhuey' to INSTALLED_APPS."
    # SIGTERM interrupts the tasks in hand, unless `--graceful-signal` has it the other way round.
    stop_signal = "SIGINT"
    notifies = True

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        if self._consumer().get("graceful_signal") == "TERM":
            self.stop_signal = "SIGTERM"

    def prep_server_args(self) -> Sequence[str]:
        command, *args = super().prep_server_args()
        if self.instance is None:
            return [command, *args]
        known = import_module("huey.consumer_options").config_keys  # Since huey 3.4:
        if "shutdown_timeout" in known and "shutdown_timeout" not in self._consumer():
            # Without a limit it waits for ever for the tasks in hand.
            args.insert(0, f"--shutdown-timeout={self.graceful_limit()}")
        if not self.instance.endswith(".1"):
            args.append("--no-periodic")
        return [command, *args]

    def announce_ready(self, module: Any) -> None:
        _hook_into(import_module("huey.consumer"))

    def preload(self) -> None:
        super().preload()
        import_module("huey.consumer")
        if not self._consumer().get("disable_autoload"):
            autodiscover_modules("tasks")
        # It may have opened a database when it was created, which no fork must share.
        _huey().storage.close()

    def parse(self) -> Namespace:
        options = super().parse()
        if _huey().immediate:
            raise ImproperlyConfigured(
                "huey is in immediate mode, where no consumer can run; "
                "set HUEY['immediate'] to False, because it is DEBUG otherwise"
            )
        import_module("huey.consumer_options").ConsumerConfig(**self._consumer()).validate()
        return options

    def _consumer(self) -> dict[str, Any]:
        """What the consumer is told: by ARGS, else by the setting; nothing on wrong ARGS."""
        huey = getattr(settings, "HUEY", None)
        by_setting = huey.get("consumer", {}) if isinstance(huey, dict) else {}
        # The command is not there before its app is installed, which is another's complaint.
        with suppress(KeyError, PrintsOnly, ValueError):
            options = vars(parse_command(self.command, *self.args))
            by_args = {key: value for key, value in options.items() if value is not None}
            return {**by_setting, **by_args}
        return {}


def _huey() -> Any:
    return import_module("huey.contrib.djhuey").HUEY


def _hook_into(module: Any) -> None:
    """Tell when the consumer has started; let its worker processes, if any, die with it."""
    start = module.Consumer.start
    create_process = module.ProcessEnvironment.create_process

    def start_and_notify(consumer: Any) -> None:
        start(consumer)
        _stop_by_a_flag(consumer)
        notify.notify()

    def create_mortal_process(environment: Any, runnable: Callable[[], None], name: str) -> Any:
        return create_process(environment, partial(_run_with, os.getpid(), runnable), name)

    module.Consumer.start = start_and_notify
    module.ProcessEnvironment.create_process = create_mortal_process


def _stop_by_a_flag(consumer: Any) -> None:
    """Before huey 3.5.4 SIGINT may be a KeyboardInterrupt, wherever the main loop is at the moment.

    The loop expects it where it waits; elsewhere it would end it, and the tasks in hand. With
    greenlets a handler sets a flag instead, which the loop heeds with threads and processes, too.
    """
    for name in ("_handle_graceful_signal", "_handle_interrupt_signal_gevent"):
        handler = getattr(consumer, name, None)
        if handler and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, handler)


def _run_with(parent: int, runnable: Callable[[], None]) -> None:
    kernel.die_with_parent(parent)
    runnable()
