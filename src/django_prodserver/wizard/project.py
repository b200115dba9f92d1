"""What a project has that matters for its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

# What a project's packages are installed from: the first of these that it has.
DEPENDENCIES = (
    "uv.lock",
    "requirements.txt",
    "requirements/production.txt",
    "requirements/prod.txt",
    "pyproject.toml",
)


@dataclass(frozen=True)
class CeleryApp:
    """The project's Celery app, and whether it has anything for beat to send."""

    path: str
    scheduled: bool = False


@dataclass(frozen=True)
class TaskBackend:
    """One entry of the setting TASKS."""

    alias: str
    backend: str
    queues: tuple[str, ...] = ("default",)


@dataclass(frozen=True)
class Project:
    """What there is; what to make of it is decided in `proposal`."""

    settings_module: str
    python: str
    # manage.py alone would take others.
    settings_by_environment: bool = False
    # `module:application`, where there is such a module.
    wsgi: str = ""
    asgi: str = ""
    # The settings ask for ASGI. That there is an `asgi.py`, as in every new project, does not.
    wants_asgi: bool = False
    # Installed packages and their versions, and INSTALLED_APPS, of those that we know.
    packages: Mapping[str, str] = field(default_factory=dict)
    apps: frozenset[str] = frozenset()
    celery: Optional[CeleryApp] = None
    # CELERY_BEAT_SCHEDULER or its like says which one.
    chooses_scheduler: bool = False
    rq_queues: tuple[str, ...] = ()
    tasks: tuple[TaskBackend, ...] = ()
    has_database: bool = False
    collects_static: bool = False
    # A path at which the site says whether it is well.
    health: str = ""
    # One of DEPENDENCIES.
    dependencies: str = ""
    # What else the user should hear of.
    notes: tuple[str, ...] = ()
