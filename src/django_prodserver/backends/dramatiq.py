"""dramatiq's workers, as django-dramatiq starts them: https://dramatiq.io/"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

from django.core.management.base import OutputWrapper

from .command import CommandBackend, load_command
from .parsers import PID_FILE, RELOADS, Misfit


class DramatiqWorker(CommandBackend):
    """ARGS are those of `manage.py rundramatiq`.

    That command executes the program `dramatiq`, which would import the project again. Here it
    runs dramatiq in this process, and worker processes are forked from what is already loaded.
    """

    requires: ClassVar[Mapping[str, str]] = {"django_dramatiq": "django-dramatiq"}
    command = "rundramatiq"
    packages = ("django_dramatiq",)
    comes_with = "Add 'django_dramatiq' to INSTALLED_APPS."
    notifies = True
    pings = False
    import_time_variables = frozenset({"DRAMATIQ_NPROCS", "DRAMATIQ_NTHREADS"})
    misfits: ClassVar[Mapping[str, Misfit]] = {
        "pid_file": PID_FILE,
        "reload": RELOADS,
        "watch": RELOADS,
    }

    def defaults(self) -> Sequence[str]:
        if self.instance is None:
            return ()
        # Its default is ten minutes. On top of the limit a stop takes it up to three seconds: it
        # polls once a second for the signal, for the end of its consumers and for that of its log.
        limit = self.graceful_limit(spare=4)
        return [f"--worker-shutdown-timeout={limit * 1000}"]

    def hook(self, *modules: ModuleType) -> None:
        from .hooks import dramatiq as hooks

        hooks.run_in_this_process(*modules)

    def preload(self) -> None:
        from .hooks import dramatiq  # noqa: F401

        command: Any = load_command(self.command)
        command.stdout = OutputWrapper(io.StringIO())
        # The project may have a command of its own.
        getattr(command, "discover_tasks_modules", list)()
