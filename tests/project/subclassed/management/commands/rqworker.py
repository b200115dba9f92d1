from __future__ import annotations

from django_rq.management.commands.rqworker import Command as Base


class Command(Base):
    def handle(self, *args, **options):
        self.stdout.write("mine")
        self.stdout.flush()
        super().handle(*args, **options)
