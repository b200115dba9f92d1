"""The Django app."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.apps import AppConfig
from django.core import checks


class ProdserverConfig(AppConfig):
    name = "django_prodserver"
    label = "prodserver"
    verbose_name = "Production processes"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        # The earliest moment that is ours: the other apps have not been loaded yet.
        if sys.argv[1:2] == ["prodserver"] and hasattr(os, "fork"):
            _let_output_be_lines_of_the_log(sys.argv[2:])

    def ready(self) -> None:
        from django_prodserver.checks import check_settings

        checks.register(check_settings)


def _let_output_be_lines_of_the_log(words: list[str]) -> None:
    from django_prodserver.launch.early_format import early_format

    format = early_format(words)
    if format is not None:
        from django_prodserver.posix import early

        early.begin(format)
