"""What a project has that matters for its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

# PyPI has another package called django-prodserver, so an image gets this one as a file.
WHEELS = "wheels/*.whl"


@dataclass(frozen=True)
class Install:
    """A file that a project's packages are installed from into /venv, and how an image does it."""

    file: str
    # What it needs beside itself; a file in a folder comes with that folder.
    copies: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def is_folder(self) -> bool:
        """With the others that a file in a folder refers to, the folder is copied."""
        return "/" in self.file


PIP = "RUN /venv/bin/pip install --no-cache-dir"
UV_PIP = "RUN uv pip install --no-cache --python /venv"


def _pip(file: str) -> Install:
    # In one call: what the wheel brings satisfies a requirement of that name in the file.
    install = f"{PIP} --requirement {file} {WHEELS}"
    folder = file.rpartition("/")[0]
    return Install(file, (folder or file,), ("RUN python -m venv /venv",), (install,))


def _tool(tool: str, file: str, copies: tuple[str, ...], install: str) -> Install:
    """These take the virtual environment that is active."""
    before = (f"RUN pip install --no-cache-dir {tool} && python -m venv /venv",)
    after = (f"RUN VIRTUAL_ENV=/venv {install}", f"{PIP} {WHEELS}")
    return Install(file, (*copies, file), before, after)


# The first of these that a project has. A lock file says more than what it was made from.
INSTALLS = (
    Install(
        "uv.lock",
        ("pyproject.toml", "uv.lock"),
        (
            "ENV UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never",
            "RUN pip install --no-cache-dir uv",
        ),
        ("RUN uv sync --locked --no-dev --no-install-project", f"{UV_PIP} {WHEELS}"),
    ),
    _tool("poetry", "poetry.lock", ("pyproject.toml",), "poetry install --only main --no-root"),
    _tool("pdm", "pdm.lock", ("pyproject.toml",), "pdm sync --prod --no-self"),
    _tool("pipenv", "Pipfile.lock", ("Pipfile",), "pipenv sync"),
    _pip("requirements.txt"),
    _pip("requirements/production.txt"),
    _pip("requirements/prod.txt"),
    _pip("requirements/base.txt"),
    _pip("requirements-prod.txt"),
    Install(
        "pyproject.toml",
        ("pyproject.toml",),
        ("RUN pip install --no-cache-dir uv && uv venv /venv",),
        (f"{UV_PIP} --requirements pyproject.toml {WHEELS}",),
    ),
    _tool("pipenv", "Pipfile", (), "pipenv install --skip-lock"),
)
DEPENDENCIES = tuple(install.file for install in INSTALLS)


@dataclass(frozen=True)
class CeleryApp:
    """The project's Celery app, and whether it has anything for beat to send."""

    path: str
    scheduled: bool = False
    # The app or the settings say how many tasks it runs at once.
    concurrency: bool = False


@dataclass(frozen=True)
class TaskBackend:
    """One entry of the setting TASKS."""

    alias: str
    backend: str
    queues: tuple[str, ...] = ("default",)


@dataclass(frozen=True)
class Run:
    """A command that a file says is run today, by the name that it has there."""

    file: str
    name: str
    words: tuple[str, ...]
    # It is run to its end before the others are started.
    first: bool = False
    # What else the file says of it, as settings, and the names of those that it comes after.
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    # The variables in front of its command.
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GunicornFile:
    """A configuration file of gunicorn, and the settings that it makes."""

    path: str
    sets: frozenset[str]
    # The port of an address that is written out in it.
    port: Optional[int] = None
    # What of it does not go with a supervisor, and why the file has to stay, in sentences.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnCommand:
    """A management command of the project itself. Whether it ends is told from its source."""

    name: str
    endless: bool = False


@dataclass(frozen=True)
class Project:
    """What there is; what to make of it is decided in `proposal`."""

    settings_module: str
    python: str
    # The file of that module, as seen from the folder of manage.py.
    settings_file: str = ""
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
    # The default one can have locks.
    has_locks: bool = True
    collects_static: bool = False
    # Commands that make static files, besides collectstatic.
    builds: tuple[tuple[str, ...], ...] = ()
    # WhiteNoise serves them from the image: no start has to wait for them.
    whitenoise: bool = False
    # Where the project itself reads a variable or has a setting PORT.
    uses_port: str = ""
    # A path at which the site says whether it is well.
    health: str = ""
    # One of DEPENDENCIES, and the folder of manage.py as seen from there.
    dependencies: str = ""
    folder: str = ""
    gunicorn: Optional[GunicornFile] = None
    # What is run today, as far as a file tells.
    runs: tuple[Run, ...] = ()
    own_commands: tuple[OwnCommand, ...] = ()
    # What else the user should hear of.
    notes: tuple[str, ...] = ()
