from __future__ import annotations

import signal

from django.core.management.base import BaseCommand


class OwnCommand(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("words", nargs="*")

    def handle(self, **options):
        signal.pause()
