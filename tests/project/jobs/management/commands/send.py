from __future__ import annotations

import json

import workers  # noqa: F401
from django.core.management import call_command
from django.core.management.base import BaseCommand
from jobs import tasks


class Command(BaseCommand):
    help = "Put work into the queues: [name, arguments, Celery queue or none for django-tasks]."

    def add_arguments(self, parser):
        parser.add_argument("work", type=json.loads)

    def handle(self, *, work, **options):
        call_command("migrate", verbosity=0)
        for name, args, queue in work:
            task = getattr(tasks, name)
            if queue:
                task.apply_async(args, queue=queue)
            else:
                task.enqueue(*args)
