from __future__ import annotations

import json

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string


class Command(BaseCommand):
    help = "Migrate, then call a function of the project with these arguments."

    def add_arguments(self, parser):
        parser.add_argument("function")
        parser.add_argument("arguments", type=json.loads)

    def handle(self, *, function, arguments, **options):
        call_command("migrate", verbosity=0)
        import_string(function)(*arguments)
