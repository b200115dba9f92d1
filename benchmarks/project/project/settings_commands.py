"""Any commands under django-prodserver, from the JSON file that BENCH_COMMANDS names: an object of
name -> argv, written by peers.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "django_prodserver"]

PRODUCTION_PROCESSES = {
    name: {"BACKEND": "django_prodserver.backends.command.ShellCommand", "ARGS": argv}
    for name, argv in json.loads(Path(os.environ["BENCH_COMMANDS"]).read_text()).items()
}
