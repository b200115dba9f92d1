from __future__ import annotations

from django_q.management.commands.qcluster import Command as Base


class Command(Base):
    pass
