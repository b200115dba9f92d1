from __future__ import annotations

from django.apps import AppConfig


class LivelyConfig(AppConfig):
    name = "lively"

    def ready(self):
        from . import everything

        everything.begin()
