"""Look at the project: its settings, its modules, what is installed. Servers are not imported."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional

from django.apps import apps
from django.conf import settings
from django.urls import Resolver404, resolve

from django_prodserver.backends import application
from django_prodserver.backends.application import describe
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.load import load
from django_prodserver.settings.names import PROCESSES

from .project import DEPENDENCIES, CeleryApp, Project, TaskBackend
from .proposal import APPS, PACKAGES

# Where projects customarily say whether they are well.
HEALTH = ("/healthz", "/healthz/", "/health", "/health/", "/livez", "/healthcheck/", "/ht/")
# Nobody has a view for it, except who has one for everything.
NOBODYS = "/which-paths-have-a-view/asks-prodserver"


def look() -> Project:
    """What cannot be imported, or reads as if it were a mistake, is a note."""
    notes: list[str] = []
    # A module of the project that prints when it is imported does not print into a proposal.
    with redirect_stdout(sys.stderr):
        packages = {name: version for name, version in _versions() if version is not None}
        celery = _celery("celery" in packages, notes)
        health = _health(notes)
    _set_already(notes)
    _files_of_sqlite(notes)
    installed = frozenset(app for app in APPS if apps.is_installed(app))
    return Project(
        settings_module=_settings_module(),
        settings_by_environment=not _named_by_manage_py(_settings_module()),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        wsgi=_there(application.wsgi),
        asgi=_there(application.asgi),
        wants_asgi=bool(getattr(settings, "ASGI_APPLICATION", None)),
        packages=packages,
        apps=installed,
        celery=celery,
        chooses_scheduler=bool(getattr(settings, "CELERY_BEAT_SCHEDULER", None)),
        rq_queues=tuple(map(str, getattr(settings, "RQ_QUEUES", None) or ())),
        tasks=tuple(_tasks()),
        has_database=any(map(_is_a_database, settings.DATABASES.values())),
        collects_static=bool(settings.STATIC_ROOT)
        and apps.is_installed("django.contrib.staticfiles"),
        health=health,
        dependencies=_dependencies(_root()),
        notes=tuple(notes),
    )


def _settings_module() -> str:
    return getattr(settings, "SETTINGS_MODULE", None) or ""


def _root() -> Path:
    """The folder of manage.py, which is where its user builds an image."""
    script = Path(sys.argv[0])
    return script.resolve().parent if script.name == "manage.py" else Path.cwd()


def _named_by_manage_py(module: str) -> bool:
    """Whether these are the settings that manage.py takes where the environment names none."""
    try:
        text = (_root() / "manage.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return not module
    return bool(re.search(rf"""["']{re.escape(module)}["']""", text))


def _versions() -> Iterator[tuple[str, Optional[str]]]:
    for name in sorted(PACKAGES):
        if not _spec(name):
            yield name, None
            continue
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, ""


def _spec(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except Exception:  # What is imported on the way to it may fail in any way.
        return False


def _there(named: Any) -> str:
    """The application, if its module is there."""
    try:
        found: str = named()
    except AttributeError:  # No ROOT_URLCONF.
        return ""
    return found if _spec(found.partition(":")[0]) else ""


def _celery(installed: bool, notes: list[str]) -> Optional[CeleryApp]:
    """`celery.py` or `celery_app.py` in a package of the project, as Celery's own docs have it.

    It is imported, as by every start of a worker: that tells what the app is called, and whether it
    has a schedule, wherever that comes from.
    """
    for module in _beside_the_project("celery", "celery_app"):
        if not _spec(module):
            continue
        by_convention = CeleryApp(
            f"{module}.app", bool(getattr(settings, "CELERY_BEAT_SCHEDULE", {}))
        )
        if not installed:
            return by_convention
        try:
            app = _app_of(module)
        except Exception as error:
            notes.append(f"{module} cannot be imported: {describe(error)}.")
            return by_convention
        if app is not None:
            return app
    return None


def _app_of(module: str) -> Optional[CeleryApp]:
    from celery import Celery

    found = import_module(module)
    for name, value in vars(found).items():
        if isinstance(value, Celery):
            value.finalize()  # Periodic tasks are added by signals, too.
            return CeleryApp(f"{module}.{name}", bool(value.conf.beat_schedule))
    return None


def _beside_the_project(*names: str) -> Iterator[str]:
    """These modules in the packages that the settings, URLs and applications are in."""
    dotted = [
        _settings_module(),
        getattr(settings, "ROOT_URLCONF", None) or "",
        (getattr(settings, "WSGI_APPLICATION", None) or "").rpartition(".")[0],
    ]
    packages = dict.fromkeys(
        ".".join(parts[:end])
        for parts in (module.split(".") for module in dotted)
        for end in range(len(parts) - 1, 0, -1)
    )
    for package in packages:
        yield from (f"{package}.{name}" for name in names)


def _tasks() -> Iterator[TaskBackend]:
    for alias, entry in (getattr(settings, "TASKS", None) or {}).items():
        backend = entry.get("BACKEND") or ""
        yield TaskBackend(str(alias), str(backend), tuple(entry.get("QUEUES", ["default"])))


def _health(notes: list[str]) -> str:
    try:
        found = [path for path in (NOBODYS, *HEALTH) if _has_view(path)]
    except Exception as error:
        notes.append(f"The URLs cannot be read: {describe(error)}.")
        return ""
    return "" if not found or found[0] == NOBODYS else found[0]


def _has_view(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def _is_a_database(entry: Mapping[str, Any]) -> bool:
    # Django itself puts the dummy where there is none.
    return entry.get("ENGINE", "") not in ("", "django.db.backends.dummy")


def _files_of_sqlite(notes: list[str]) -> None:
    for entry in settings.DATABASES.values():
        name = str(entry.get("NAME") or "")
        in_memory = name in ("", ":memory:") or "mode=memory" in name
        if entry.get("ENGINE", "").endswith("sqlite3") and not in_memory:
            notes.append(f"The database is the file {name}: in a container it needs a volume.")


def _dependencies(root: Path) -> str:
    return next((name for name in DEPENDENCIES if _lists_packages(root / name)), "")


def _lists_packages(file: Path) -> bool:
    """Whether packages can be installed from it: many a pyproject.toml only configures tools."""
    if not file.is_file():
        return False
    if file.name != "pyproject.toml":
        return True
    text = file.read_text(encoding="utf-8", errors="replace")
    return re.search(r"^\[project\]", text, re.MULTILINE) is not None


def _set_already(notes: list[str]) -> None:
    if not hasattr(settings, PROCESSES):
        return
    try:
        names: Iterable[str] = load().processes
    except ConfigurationError:
        notes.append(f"{PROCESSES} is set already, and wrong: `prodserver --check` says why.")
    else:
        notes.append(f"{PROCESSES} is set already ({', '.join(names)}): this is made afresh.")
