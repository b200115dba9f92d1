from __future__ import annotations

import compat
from django.utils.module_loading import import_string

commands = f"{compat.TASKS_APPS[-1]}.management.commands"
Base = import_string(f"{commands}.db_worker.Command")


class Command(Base):
    pass
