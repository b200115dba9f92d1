"""The ten processes of members.py, for django-prodserver."""

from __future__ import annotations

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "django_prodserver"]

PRODUCTION_PROCESSES = {
    f"m{number}": {"BACKEND": "project.backends.Member", "ARGS": f"m{number}"}
    for number in range(1, 11)
}
