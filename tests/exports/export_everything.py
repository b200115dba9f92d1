"""Run in the folder of a project: export it in all formats, each into its own folder."""

from __future__ import annotations

import sys

import django
from django.core.management import call_command

django.setup()
folder, *formats = sys.argv[1:]
for one in formats:
    call_command("prodserver", "--export", one, "--output", f"{folder}/{one}")
