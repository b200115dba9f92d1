from __future__ import annotations

import os
import signal
import sys

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Tell what kind of process this is; with --stay until a signal ends it."

    def add_arguments(self, parser):
        parser.add_argument("--stay", action="store_true")

    def handle(self, *, stay, **options):
        self.stdout.write(f"argv {sys.argv[1:]}")
        self.stdout.write(f"COLOUR {os.environ.get('COLOUR')}")
        self.stdout.flush()
        if stay:
            signal.pause()
