"""Celery's worker and beat, https://docs.celeryq.dev/, and flower, https://flower.readthedocs.io/"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

from django.utils.module_loading import autodiscover_modules

from .application import describe
from .base import Address, BaseServerBackend, Problem
from .hooks import celery as celery_hooks
from .parsers import by_click, meant


class CeleryBackend(BaseServerBackend):
    """What Celery's commands have in common. ARGS are those of the command, APP is the `-A`."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery"}
    notifies = True
    pings = True
    import_time_variables = frozenset({"REMAP_SIGTERM"})
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

        celery_hooks.read_environment_again()
        maybe_patch_concurrency(["celery", *args])
        with celery_hooks.without_terminal_toolkits():
            from celery.bin.celery import celery

        self.announce_ready()
        celery.main(args=list(args), prog_name="celery", auto_envvar_prefix="CELERY")

    def announce_ready(self) -> None:
        """Hook into what tells that this command is ready."""
        raise NotImplementedError

    def preload(self) -> None:
        with celery_hooks.without_terminal_toolkits():
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
        with celery_hooks.without_terminal_toolkits():
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
    escalation_signal = "SIGQUIT"
    success_exit_statuses = frozenset({1})  # After SIGINT.
    forwards = frozenset({"SIGUSR1"})  # Print the stacks of all threads.

    def prep_server_args(self) -> Sequence[str]:
        args = super().prep_server_args()
        if self.instance is None or _has_option(self.args, "-n", "--hostname"):
            return args
        return [*args, f"--hostname={self.instance}@%h"]

    def announce_ready(self) -> None:
        celery_hooks.announce_worker(supervised=self.instance is not None)


class CeleryBeat(CeleryBackend):
    """`celery beat`; one of it, because each sends every task."""

    command = "beat"
    modules = ("celery.bin.beat", "celery.apps.beat", "celery.app.routes")
    singleton = True

    def announce_ready(self) -> None:
        celery_hooks.announce_beat()


class CeleryFlower(CeleryBackend):
    """`celery flower`, which shows what the workers do."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery", "flower": "flower"}
    pings = False
    command = "flower"
    modules = ("flower.command",)

    def announce_ready(self) -> None:
        celery_hooks.announce_flower()

    def parse(self) -> Any:
        words = super().parse()["tornado_argv"]
        from .hooks import flower as flower_hooks

        try:
            return flower_hooks.parse(words, {**os.environ, **self.config.get("ENV", {})})
        except ValueError as error:
            complaint = f"celery flower: {error}"
            raise ValueError(f"{complaint}{meant(complaint, flower_hooks.names())}") from None

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        return [Address(options.unix_socket or (options.address or "0.0.0.0", options.port))]


def _find_app(app: str) -> Any:
    from celery.app.utils import find_app

    return find_app(app)


def _has_option(args: Sequence[str], short: str, long: str) -> bool:
    return any(arg.startswith(short) or arg.partition("=")[0] == long for arg in args)
