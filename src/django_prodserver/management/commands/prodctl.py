"""`manage.py prodctl`: the command `prodctl`, with the control socket from the settings."""

from __future__ import annotations

import sys
from typing import Any, NoReturn, Optional

from django.core.management.base import BaseCommand

from django_prodserver.prodctl.main import main
from django_prodserver.settings.load import read


class Command(BaseCommand):
    """Leaves its command line to prodctl's parser, not Django's."""

    help = "Inspect and control the processes of a running prodserver."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        sys.exit(main(argv[2:], f"{argv[0]} {argv[1]}", read().supervisor.control_path))

    def handle(self, *args: Any, **options: Any) -> Optional[str]:
        """For `call_command`."""
        status = main([str(arg) for arg in args], "prodctl", read().supervisor.control_path)
        if status:
            raise SystemExit(status)
        return None
