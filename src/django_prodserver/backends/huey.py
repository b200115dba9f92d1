"""huey's consumer: https://huey.readthedocs.io/"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from .base import Queue
from .command import CommandBackend, known_options, parse_command
from .parsers import PrintsOnly, require

# Values of its option `worker_type`.
GREENLETS = ("greenlet", "gevent")


class HueyWorker(CommandBackend):
    """ARGS are the arguments of `manage.py run_huey`; the setting HUEY's `consumer` works as usual.

    Every consumer would enqueue the periodic tasks, so only the first instance may.
    """

    requires: ClassVar[Mapping[str, str]] = {"huey": "huey"}
    command = "run_huey"
    packages = ("huey",)
    comes_with = "Add 'huey.contrib.djhuey' to INSTALLED_APPS."
    # SIGTERM interrupts running tasks, unless `--graceful-signal` swaps the two.
    stop_signal = "SIGINT"
    notifies = True
    pings = False
    measures = frozenset({"queue"})

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        if self._consumer().get("graceful_signal") == "TERM":
            self.stop_signal = "SIGTERM"

    def defaults(self) -> Sequence[str]:
        from .hooks import huey as hooks

        if self.instance is None:
            return ()
        # The option exists since huey 3.4. Without a limit it waits forever for running tasks.
        known = hooks.consumer_options()
        if "shutdown_timeout" in known and "shutdown_timeout" not in self._consumer():
            return [f"--shutdown-timeout={self.graceful_limit()}"]
        return ()

    def prep_server_args(self) -> Sequence[str]:
        args = super().prep_server_args()
        if self.instance is None or self.instance.endswith(".1"):
            return args
        return [*args, *known_options(self.command, ["--no-periodic"])]

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import huey as hooks

        hooks.announce()

    def preload(self) -> None:
        from .hooks import huey as hooks

        super().preload()
        hooks.preload()
        if not self._consumer().get("disable_autoload"):
            autodiscover_modules("tasks")
        hooks.close_storage()

    def parse(self) -> Namespace:
        from .hooks import huey as hooks

        options = super().parse()
        if hooks.is_immediate():
            raise ImproperlyConfigured(
                "huey is in immediate mode, where no consumer can run; "
                "set HUEY['immediate'] to False, because its default is DEBUG"
            )
        hooks.validate(self._consumer())
        require(self.patched_by(options), "run_huey --worker-type=greenlet")
        return options

    def patched_by(self, options: Any) -> str:
        return "gevent" if self._consumer().get("worker_type") in GREENLETS else ""

    def queue(self) -> Queue:
        from .hooks import huey as hooks

        return Queue(hooks.ready(), running=0)

    def _consumer(self) -> dict[str, Any]:
        """The consumer's options: ARGS override the setting. Empty if ARGS are wrong."""
        huey = getattr(settings, "HUEY", None)
        by_setting = huey.get("consumer", {}) if isinstance(huey, dict) else {}
        # KeyError: the app is not installed, so there is no command. `problems` reports that.
        with suppress(KeyError, PrintsOnly, ValueError):
            options = vars(parse_command(self.command, *self.args))
            by_args = {key: value for key, value in options.items() if value is not None}
            return {**by_setting, **by_args}
        return {}
