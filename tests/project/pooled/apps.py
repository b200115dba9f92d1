"""An app that queries the database when it is set up, against Django's advice, as many do."""

from __future__ import annotations

import os

from django.apps import AppConfig
from django.core import checks


class PooledConfig(AppConfig):
    name = "pooled"

    def ready(self):
        from .checks import check_database
        from .database import answer

        when = os.environ.get("ASKS_THE_DATABASE", "")
        if when == "ready":
            answer("0")
        elif when == "check":
            checks.register(check_database)
