from __future__ import annotations

from django_dramatiq.management.commands.rundramatiq import Command as Base


class Command(Base):
    pass
