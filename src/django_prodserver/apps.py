"""The Django app."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from django.apps import AppConfig
from django.core import checks


class ProdserverConfig(AppConfig):
    name = "django_prodserver"
    verbose_name = "Production processes"

    def __init__(self, app_name: str, app_module: Any) -> None:
        super().__init__(app_name, app_module)
        # Our earliest opportunity: the other apps have not been loaded yet.
        is_prodserver = sys.argv[1:2] == ["prodserver"]
        supervises = is_prodserver or sys.argv[1:2] == ["devserver"]
        if supervises:
            # Imported objects stay alive: a collection would take time and find nothing. Collection
            # is enabled again before any process runs.
            gc.disable()
        if hasattr(os, "fork"):
            from django_prodserver.posix.template.order import inherited

            order = inherited()
            if is_prodserver:
                _time_imports()
            if supervises:
                _remember_what_was_inherited()
            if is_prodserver and order is None:
                _let_processes_share_their_metrics(sys.argv[2:])
            # The output of a later template is part of the supervisor's log already.
            if is_prodserver and (order is None or order.first):
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


def _time_imports() -> None:
    from django_prodserver.posix import imports

    imports.begin()


def _let_processes_share_their_metrics(words: list[str]) -> None:
    from django_prodserver.posix import metrics_folder

    if metrics_folder.is_wanted():
        from django_prodserver.launch.early_metrics import share_metrics

        share_metrics(words)


def _remember_what_was_inherited() -> None:
    from django_prodserver.posix import own_process

    own_process.begin()
