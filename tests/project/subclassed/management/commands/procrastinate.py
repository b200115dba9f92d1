from __future__ import annotations

from procrastinate.contrib.django.management.commands.procrastinate import Command as Base


class Command(Base):
    pass
