from __future__ import annotations

from huey.contrib.djhuey.management.commands.run_huey import Command as Base


class Command(Base):
    pass
