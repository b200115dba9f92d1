from __future__ import annotations

from django_rq.management.commands.rqscheduler import Command as Base


class Command(Base):
    pass
