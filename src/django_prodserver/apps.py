"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class ProdserverConfig(AppConfig):
    name = "django_prodserver"
    label = "prodserver"
    verbose_name = "Production processes"

    def ready(self) -> None:
        from django_prodserver.checks import check_settings

        checks.register(check_settings)
