"""Inspect the project: its settings, modules and packages. Servers are not imported."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional

from django.apps import apps
from django.conf import settings
from django.core.management import get_commands
from django.urls import Resolver404, resolve

from django_prodserver.backends import application
from django_prodserver.launch.locks import lock_problem
from django_prodserver.posix.places import is_installed
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.load import load
from django_prodserver.settings.names import PROCESSES

from . import files
from .project import CeleryApp, GunicornFile, OwnCommand, Project, Run, TaskBackend
from .proposal import APPS, BUILDS, GUNICORN_FILE, PACKAGES
from .today import celery_apps, gunicorn_config

# Common paths of health checks.
HEALTH = ("/healthz", "/healthz/", "/health", "/health/", "/livez", "/healthcheck/", "/ht/")
# No project has a view for this path, unless one of its views matches every path.
UNMATCHED_PATH = "/which-paths-have-a-view/asks-prodserver"
# Names of the settings module for production, where there are several modules.
FOR_PRODUCTION = ("production", "prod")
# Celery's settings for how many tasks a worker runs at once: the new name and the old one.
CONCURRENCY = ("CELERY_WORKER_CONCURRENCY", "CELERYD_CONCURRENCY")
# Matches in the source of a command that runs until it is stopped.
ENDLESS = re.compile(
    r"\bwhile\s+(True|1|not\b)|\b(serve|run|loop)_forever\(|\bstart_consuming\(|BlockingScheduler"
    r"|\binotify|\bwatchfiles\b|\bwatchdog\b"
)


def inspect_project() -> Project:
    """Inspect the project; failed imports and likely mistakes become notes."""
    notes: list[str] = []
    root = _root()
    places = files.folders(root)
    runs = files.runs(root, places, notes)
    dependencies, folder = files.dependencies(places)
    # If a module prints while it is imported, keep its output out of the proposal on stdout.
    with redirect_stdout(sys.stderr):
        packages = {name: version for name, version in _versions() if version is not None}
        celery = _celery("celery" in packages, root, runs, notes)
        health = _health(notes)
    _set_already(notes)
    _files_of_sqlite(notes)
    _settings_for_production(notes)
    installed = frozenset(app for app in APPS if apps.is_installed(app))
    return Project(
        settings_module=_settings_module(),
        settings_file=_shown(_settings_path(), root),
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
        has_locks=lock_problem("", "") is None,
        collects_static=bool(settings.STATIC_ROOT)
        and apps.is_installed("django.contrib.staticfiles"),
        builds=tuple(_builds()),
        whitenoise=_has_whitenoise(),
        uses_port=_uses_port(root),
        health=health,
        dependencies=dependencies,
        folder="" if folder is None else root.relative_to(folder).as_posix().lstrip("."),
        gunicorn=_gunicorn(root, places, runs, notes),
        runs=runs,
        own_commands=tuple(_own_commands(places[-1])),
        notes=tuple(notes),
    )


def _settings_module() -> str:
    return getattr(settings, "SETTINGS_MODULE", None) or ""


def _root() -> Path:
    """The folder of manage.py, where the image is built too; else the working directory."""
    script = Path(sys.argv[0])
    return script.resolve().parent if script.name == "manage.py" else Path.cwd()


def _named_by_manage_py(module: str) -> bool:
    """Whether manage.py uses these settings by default, if the environment names none."""
    text = files.read(_root() / "manage.py")
    return bool(re.search(rf"""["']{re.escape(module)}["']""", text)) if text else not module


def _settings_path() -> Optional[Path]:
    file = getattr(sys.modules.get(_settings_module()), "__file__", None)
    return Path(file).resolve() if file else None


def _settings_paths() -> list[Path]:
    """The file of the settings; if they are in a package of settings, all its files."""
    path = _settings_path()
    if path is None:
        return []
    together = path.name == "__init__.py" or "settings" in path.parent.name
    return sorted(path.parent.glob("*.py")) if together else [path]


def _shown(path: Optional[Path], root: Path) -> str:
    """The path relative to `root`, or absolute if it is outside."""
    return "" if path is None else os.path.relpath(path, root) if _within(path, root) else str(path)


def _within(path: Path, folder: Path) -> bool:
    return folder in path.parents


def _settings_for_production(notes: list[str]) -> None:
    """Add a note if the project has production settings but other settings are in use."""
    path, module = _settings_path(), _settings_module()
    if path is None or path.stem in FOR_PRODUCTION:
        return
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for name in FOR_PRODUCTION:
        other = path.with_name(f"{name}.py")
        if other in _settings_paths() and not re.search(rf"\b{name}\b", files.read(path)):
            notes.append(
                f"The settings in use are {module}. If {package}.{name} are those for production, "
                f"run it again with DJANGO_SETTINGS_MODULE={package}.{name}."
            )
            return


def _uses_port(root: Path) -> str:
    """Where the settings define PORT, or read the variable; "" if they do neither."""
    for path in _settings_paths():
        # Ignore an earlier proposal, which also reads the variable.
        text = files.read(path).partition(PROCESSES)[0]
        if re.search(r"""["']PORT["']|^PORT\s*[:=]""", text, re.MULTILINE):
            return _shown(path, root)
    return "the setting PORT" if hasattr(settings, "PORT") else ""


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
    except Exception:  # find_spec imports the parent packages, which may raise anything.
        return False


def _there(named: Any) -> str:
    """The dotted name of the application, or "" if its module does not exist."""
    try:
        found: str = named()
    except AttributeError:  # No ROOT_URLCONF.
        return ""
    return found if _spec(found.partition(":")[0]) else ""


def _celery(
    installed: bool, root: Path, runs: Sequence[Run], notes: list[str]
) -> Optional[CeleryApp]:
    """The app that `celery -A` names today, or that a module of the project creates.

    Celery's docs put it in `celery.py` next to the settings, but it may be anywhere. The module is
    imported, as it is by each worker: only then are the app's name and its schedule known for
    certain, because the schedule may come from anywhere.
    """
    for module in dict.fromkeys(_where_celery_may_be(root, runs)):
        if not _spec(module):
            continue
        text = _source(module)
        named = re.search(r"^(\w+)\s*=\s*(?:\w+\.)*Celery\(", text, re.MULTILINE)
        by_convention = CeleryApp(
            f"{module}.{named.group(1) if named else 'app'}",
            bool(getattr(settings, "CELERY_BEAT_SCHEDULE", {})),
            any(hasattr(settings, name) for name in CONCURRENCY),
        )
        if not installed:
            return by_convention
        try:
            app = _app_of(module)
        except Exception as error:
            notes.append(f"{module} cannot be imported: {describe(error)}.")
            return by_convention
        if app is not None:
            _other_settings(module, text, notes)
            return app
    return None


def _where_celery_may_be(root: Path, runs: Sequence[Run]) -> Iterator[str]:
    for name in celery_apps(runs):
        # Celery accepts a module, an app in a module, or a package with a `celery` module.
        yield from (f"{name}.celery", name, name.rpartition(".")[0] or name)
    yield from _beside_the_project("celery", "celery_app")
    for path in files.sources(root):
        if re.search(r"\bCelery\(", files.read(path)):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _source(module: str) -> str:
    spec = find_spec(module)
    return files.read(Path(spec.origin)) if spec is not None and spec.origin else ""


def _other_settings(module: str, text: str, notes: list[str]) -> None:
    found = re.search(r"""DJANGO_SETTINGS_MODULE["']\s*[,\]]\s*=?\s*["']([\w.]+)""", text)
    other = found.group(1) if found else _settings_module()
    if other != _settings_module() and not _named_by_manage_py(other):
        notes.append(
            f"{module} names the settings {other}. All processes here have {_settings_module()}: "
            f"if Celery needs the others, start everything with DJANGO_SETTINGS_MODULE={other}."
        )


def _app_of(module: str) -> Optional[CeleryApp]:
    from celery import Celery

    found = import_module(module)
    for name, value in vars(found).items():
        if isinstance(value, Celery):
            value.finalize()  # Its signal handlers may add periodic tasks.
            conf = value.conf
            return CeleryApp(
                f"{module}.{name}", bool(conf.beat_schedule), conf.worker_concurrency is not None
            )
    return None


def _beside_the_project(*names: str) -> Iterator[str]:
    """Modules with these names in the packages of the settings, URLconf and WSGI application."""
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
        found = [path for path in (UNMATCHED_PATH, *HEALTH) if _has_view(path)]
    except Exception as error:
        notes.append(f"The URLs cannot be read: {describe(error)}.")
        return ""
    return "" if not found or found[0] == UNMATCHED_PATH else found[0]


def _has_view(path: str) -> bool:
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


def _is_a_database(entry: Mapping[str, Any]) -> bool:
    # Django uses the dummy engine if no database is configured.
    return entry.get("ENGINE", "") not in ("", "django.db.backends.dummy")


def _files_of_sqlite(notes: list[str]) -> None:
    for entry in settings.DATABASES.values():
        name = str(entry.get("NAME") or "")
        in_memory = name in ("", ":memory:") or "mode=memory" in name
        if entry.get("ENGINE", "").endswith("sqlite3") and not in_memory:
            notes.append(f"The database is the file {name}: in a container it needs a volume.")


def _has_whitenoise() -> bool:
    """Whether WhiteNoise is a middleware, or wraps the WSGI application."""
    module = _there(application.wsgi).partition(":")[0]
    return any("whitenoise" in str(name).lower() for name in settings.MIDDLEWARE) or bool(
        module and re.search(r"^(from|import) whitenoise\b", _source(module), re.MULTILINE)
    )


def _builds() -> Iterator[tuple[str, ...]]:
    for app, setting, words, _ in BUILDS:
        wanted = not setting or bool(getattr(settings, setting, False))
        if wanted and apps.is_installed(app) and words[0] in get_commands():
            yield words


def _own_commands(top: Path) -> Iterator[OwnCommand]:
    """The commands of the project's own apps. Their source is searched, not imported."""
    own = {
        config.name: Path(config.path)
        for config in apps.get_app_configs()
        if _within(Path(config.path).resolve(), top.resolve()) and not is_installed(config.path)
    }
    for name, app in sorted(get_commands().items()):
        if app in own:
            text = files.read(own[app] / "management" / "commands" / f"{name}.py")
            yield OwnCommand(name, re.search(ENDLESS, text) is not None)


def _gunicorn(
    root: Path, places: Sequence[Path], runs: Sequence[Run], notes: list[str]
) -> Optional[GunicornFile]:
    """The configuration file that gunicorn is given today, or that it finds by default."""
    given = gunicorn_config(runs)
    path = Path(given[len("file:") :] if given.startswith("file:") else given)
    candidates = [*(folder / path for folder in places), root / path.name] if given else []
    for file in (*candidates, *(folder / GUNICORN_FILE for folder in places)):
        if file.is_file():
            return files.gunicorn_file(file, os.path.relpath(file, root))
    if given:
        notes.append(
            f"gunicorn gets its configuration from {given} today, but that file was not found."
        )
    return None


def _set_already(notes: list[str]) -> None:
    if not hasattr(settings, PROCESSES):
        return
    try:
        names: Iterable[str] = load().processes
    except ConfigurationError:
        notes.append(f"{PROCESSES} is already set, but wrong: `prodserver --check` says why.")
    else:
        notes.append(f"{PROCESSES} is set already ({', '.join(names)}): this proposal ignores it.")
