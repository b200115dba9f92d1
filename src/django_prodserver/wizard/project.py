"""The facts about a project that matter for its processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

# PyPI has another package called django-prodserver, so an image installs this one from a file.
WHEELS = "wheels/*.whl"


@dataclass(frozen=True)
class Install:
    """A dependency file, and the Dockerfile lines that install from it into /venv."""

    file: str
    # What to copy into the image: the file and what it needs, or the whole folder of the file.
    copies: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def is_folder(self) -> bool:
        """Whether its whole folder is copied, because the file may refer to others there."""
        return "/" in self.file


PIP = "RUN /venv/bin/pip install --no-cache-dir"
UV_PIP = "RUN uv pip install --no-cache --python /venv"


def _pip(file: str) -> Install:
    # In one call, so that the wheel satisfies a requirement of the same name in the file.
    install = f"{PIP} --requirement {file} {WHEELS}"
    folder = file.rpartition("/")[0]
    return Install(file, (folder or file,), ("RUN python -m venv /venv",), (install,))


def _tool(tool: str, file: str, copies: tuple[str, ...], install: str) -> Install:
    """A tool that installs into the active virtual environment."""
    before = (f"RUN pip install --no-cache-dir {tool} && python -m venv /venv",)
    after = (f"RUN VIRTUAL_ENV=/venv {install}", f"{PIP} {WHEELS}")
    return Install(file, (*copies, file), before, after)


# The first of these that a project has is used. A lock file is more precise than its source.
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
    """The project's Celery app; `scheduled` means that beat has something to send."""

    path: str
    scheduled: bool = False
    # The app or the settings define how many tasks a worker runs at once.
    concurrency: bool = False


@dataclass(frozen=True)
class TaskBackend:
    """One entry of the setting TASKS."""

    alias: str
    backend: str
    queues: tuple[str, ...] = ("default",)


@dataclass(frozen=True)
class Run:
    """A command that runs today according to `file`, and its name there."""

    file: str
    name: str
    words: tuple[str, ...]
    # It runs to completion before the others start.
    first: bool = False
    # What else the file says about it, as settings; and the names that it starts after.
    settings: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    # The variable assignments before the command.
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GunicornFile:
    """A gunicorn configuration file, and the names that it sets."""

    path: str
    sets: frozenset[str]
    # The port, if the file sets `bind` to a literal address.
    port: Optional[int] = None
    # Sentences on settings that conflict with the supervisor, and on why the file has to stay.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class OwnCommand:
    """One of the project's own commands; `endless` is guessed from its source."""

    name: str
    endless: bool = False


@dataclass(frozen=True)
class Project:
    """Facts only; `proposal` decides what follows from them."""

    settings_module: str
    python: str
    # The file of that module, relative to the folder of manage.py.
    settings_file: str = ""
    # An environment variable chose them; by default manage.py uses others.
    settings_by_environment: bool = False
    # `module:application`, or "" if there is no such module.
    wsgi: str = ""
    asgi: str = ""
    # ASGI_APPLICATION is set. An `asgi.py` alone means nothing: every new project has one.
    wants_asgi: bool = False
    # Those packages and apps that we know: installed versions, and what is in INSTALLED_APPS.
    packages: Mapping[str, str] = field(default_factory=dict)
    apps: frozenset[str] = frozenset()
    celery: Optional[CeleryApp] = None
    # CELERY_BEAT_SCHEDULER is set.
    chooses_scheduler: bool = False
    rq_queues: tuple[str, ...] = ()
    tasks: tuple[TaskBackend, ...] = ()
    has_database: bool = False
    # The default database supports our locks.
    has_locks: bool = True
    collects_static: bool = False
    # Commands that build static files, besides collectstatic.
    builds: tuple[tuple[str, ...], ...] = ()
    # WhiteNoise serves the static files from the image, so no start has to wait for them.
    whitenoise: bool = False
    # Where the project itself reads a variable PORT or has such a setting; "" if nowhere.
    uses_port: str = ""
    # The path of a health check of the site; "" if there is none.
    health: str = ""
    # One of DEPENDENCIES, and the folder of manage.py relative to that file.
    dependencies: str = ""
    folder: str = ""
    gunicorn: Optional[GunicornFile] = None
    # What runs today, according to files.
    runs: tuple[Run, ...] = ()
    own_commands: tuple[OwnCommand, ...] = ()
    # Further notes for the user.
    notes: tuple[str, ...] = ()
