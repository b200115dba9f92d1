"""Celery's worker and beat, https://docs.celeryq.dev/, and flower, https://flower.readthedocs.io/"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

from django.utils.module_loading import autodiscover_modules

from django_prodserver.settings.errors import describe

from .base import Address, BaseServerBackend, Problem, Queue, library_of_greenlets
from .parsers import DETACHES, PID_FILE, Misfit, by_click, refusal


class CeleryBackend(BaseServerBackend):
    """What Celery's commands have in common. ARGS are the command's arguments, APP is its `-A`."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery"}
    runner = "django_prodserver.backends.hooks.celery"
    notifies = True
    pings = True
    import_time_variables = frozenset({"REMAP_SIGTERM"})
    command: ClassVar[str]
    # The prefix of settings among ARGS: with "worker", `_pool=solo` means `worker_pool=solo`.
    namespace: ClassVar[str] = "celery"
    misfits: ClassVar[Mapping[str, Misfit]] = {"detach": DETACHES, "pidfile": PID_FILE}

    def prep_server_args(self) -> Sequence[str]:
        return ["-A", self.config["APP"], *self.skip_checks(), self.command, *self.args]

    def runner_arguments(self) -> Mapping[str, Any]:
        return {"command": self.command, "supervised": self.instance is not None}

    def preload(self) -> None:
        from .hooks import celery as hooks

        hooks.preload(self.command)
        hooks.date_messages()
        autodiscover_modules("tasks")
        hooks.finalize(self.config["APP"])

    def problems(self) -> Iterator[Problem]:
        from .hooks import celery as hooks

        hint = "Name the Celery app, such as 'myproject.celery.app'."
        if "APP" not in self.config:
            yield Problem("", "has no 'APP'.", hint, id="E008")
            return
        app = self.config["APP"]
        try:
            found = hooks.find_app(app)
        except Exception as error:
            message = f"is {app!r}, which cannot be imported: {describe(error)}."
            yield Problem("APP", message, hint, id="E008", cause=error)
        else:
            if not hooks.is_app(found):
                yield Problem("APP", f"is {app!r}, which is not a Celery app.", hint, id="E008")

    def parse(self) -> Any:
        from .hooks import celery as hooks

        app = hooks.find_app(self.config["APP"])
        return by_click(
            hooks.click_command(app, self.command),
            self.args,
            f"celery {self.command}",
            self.env,
            partial(hooks.parse_settings, app, self.namespace),
            auto_envvar_prefix=f"CELERY_{self.command.upper()}",
            obj=SimpleNamespace(app=app),
        )

    def own_context(self, options: Any) -> Mapping[str, Any]:
        names = {"USER": "uid", "GROUP": "gid"}
        given = {key: options.get(name) for key, name in names.items()}
        return {key: value for key, value in given.items() if value is not None}


class CeleryWorker(CeleryBackend):
    """`celery worker`; each instance has a node name of its own, `worker.1@host`."""

    command = "worker"
    namespace = "worker"
    singleton_options = ("beat",)  # Each embedded beat would send every task again.
    # A cold shutdown: it cancels running tasks, and returns those with acks_late to the broker.
    # Celery before 5.5 ignores this signal once a warm shutdown has begun.
    escalation_signal = "SIGQUIT"
    success_exit_statuses = frozenset({1})  # After SIGINT.
    exit_meanings: ClassVar[Mapping[int, str]] = {1: "an unrecoverable error, or a cold shutdown"}
    forwards = frozenset({"SIGUSR1"})  # Print the stacks of all threads.
    measures = frozenset({"queue", "queue-age"})

    def prep_server_args(self) -> Sequence[str]:
        args = super().prep_server_args()
        if self.instance is None or _has_option(self.args, "-n", "--hostname"):
            return args
        return [*args, f"--hostname={self.instance}@%h"]

    def patched_by(self, options: Any) -> str:
        pool = options.get("pool")
        return library_of_greenlets(getattr(pool, "__module__", pool))

    def queue(self) -> Queue:
        from .hooks import queues_of_celery

        options = self.parse()
        include, exclude = options.get("queues") or (), options.get("exclude_queues") or ()
        return Queue(*queues_of_celery.measure_queues(self.config["APP"], include, exclude))


class CeleryBeat(CeleryBackend):
    """`celery beat`; two instances would send every task twice."""

    command = "beat"
    singleton = True


class CeleryFlower(CeleryBackend):
    """`celery flower`, which shows what the workers do."""

    requires: ClassVar[Mapping[str, str]] = {"celery": "celery", "flower": "flower"}
    pings = False
    command = "flower"

    def own_context(self, options: Any) -> Mapping[str, Any]:
        return {}

    def parse(self) -> Any:
        from .hooks import flower as hooks

        words = super().parse()["tornado_argv"]
        try:
            return hooks.parse(words, self.environ())
        except ValueError as error:
            raise refusal(f"celery flower: {error}", hooks.names()) from None

    def addresses(self) -> Sequence[Address]:
        options = self.parse()
        return [Address(options.unix_socket or (options.address, options.port))]


def _has_option(args: Sequence[str], short: str, long: str) -> bool:
    return any(arg.startswith(short) or arg.partition("=")[0] == long for arg in args)
