"""dramatiq's workers, as django-dramatiq starts them: https://dramatiq.io/"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from django.core.management.base import OutputWrapper

from .command import CommandBackend, load_command


class DramatiqWorker(CommandBackend):
    """ARGS are those of `manage.py rundramatiq`.

    That command becomes the program `dramatiq`, which would import the project anew; here it runs
    dramatiq in this process, and the worker processes are forked from what is loaded already.
    """

    requires: ClassVar[Mapping[str, str]] = {"django_dramatiq": "django-dramatiq"}
    command = "rundramatiq"
    comes_with = "Add 'django_dramatiq' to INSTALLED_APPS."
    notifies = True
    import_time_variables = frozenset({"DRAMATIQ_NPROCS", "DRAMATIQ_NTHREADS"})

    def prep_server_args(self) -> Sequence[str]:
        command, *args = super().prep_server_args()
        if self.instance is None:
            return [command, *args]
        # dramatiq's own is ten minutes. It needs up to three seconds besides, because it looks up
        # once a second: at the signal, at the end of its consumers, and at that of its log.
        limit = self.graceful_limit(spare=4)
        return [command, f"--worker-shutdown-timeout={limit * 1000}", *args]

    def announce_ready(self, module: Any) -> None:
        module.os = import_module(".hooks.dramatiq", __package__).OperatingSystem()

    def preload(self) -> None:
        import_module(".hooks.dramatiq", __package__)
        command: Any = load_command(self.command)
        command.stdout = OutputWrapper(io.StringIO())
        command.discover_tasks_modules()
