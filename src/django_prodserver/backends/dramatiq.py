"""dramatiq's workers, as django-dramatiq starts them: https://dramatiq.io/"""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from django.core.management.base import OutputWrapper

from .base import Queue, library_of_greenlets
from .command import CommandBackend, load_command
from .own_program import command_line
from .parsers import PID_FILE, RELOADS, Misfit, require


class DramatiqWorker(CommandBackend):
    """ARGS are the arguments of `manage.py rundramatiq`.

    That command executes the program `dramatiq`, whose worker processes import the project. A
    forked process runs dramatiq itself instead, and forks its worker processes with the project
    already loaded. Run alone or spawned, it executes dramatiq with our hooks.
    """

    requires: ClassVar[Mapping[str, str]] = {"django_dramatiq": "django-dramatiq"}
    command = "rundramatiq"
    packages = ("django_dramatiq",)
    comes_with = "Add 'django_dramatiq' to INSTALLED_APPS."
    notifies = True
    pings = False
    measures = frozenset({"queue", "queue-age"})
    exit_meanings: ClassVar[Mapping[int, str]] = {
        1: "a worker process was killed",
        2: "a module could not be imported, or an option is wrong",
        3: "the broker could not be reached",
    }
    import_time_variables = frozenset({"DRAMATIQ_NPROCS", "DRAMATIQ_NTHREADS"})
    misfits: ClassVar[Mapping[str, Misfit]] = {
        "pid_file": PID_FILE,
        "reload": RELOADS,
        "watch": RELOADS,
    }

    def defaults(self) -> Sequence[str]:
        if self.instance is None:
            return ()
        # dramatiq's default is ten minutes. A stop takes up to three seconds longer than the limit:
        # dramatiq polls once a second for the signal, for the end of its consumers and for the end
        # of its log.
        limit = self.graceful_limit(spare=4)
        return [f"--worker-shutdown-timeout={limit * 1000}"]

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import dramatiq as hooks

        hooks.run_instead(*modules, here=self.forked, command=_own_program)

    def parse(self) -> Namespace:
        options = super().parse()
        require(self.patched_by(options), "rundramatiq --use-gevent")
        return options

    def patched_by(self, options: Any) -> str:
        return "gevent" if getattr(options, "use_gevent", False) else ""

    def preload(self) -> None:
        from .hooks import dramatiq  # noqa: F401

        self._modules()

    def queue(self) -> Queue:
        from .hooks import queues_of_dramatiq

        names = getattr(self.parse(), "queues", None) or ()
        return Queue(*queues_of_dramatiq.measure_queues(names, self._modules()))

    def _modules(self) -> Sequence[str]:
        """The modules with tasks; empty if the project's own command cannot list them."""
        command: Any = load_command(self.command)
        command.stdout = OutputWrapper(io.StringIO())
        found: Sequence[str] = getattr(command, "discover_tasks_modules", list)()
        return found


def _own_program(program: str, arguments: Sequence[str]) -> list[str]:
    runner = "django_prodserver.backends.hooks.dramatiq"
    return command_line(runner, arguments, {}, sys.argv, patched_by=library_of_greenlets(program))
