"""Render a proposal as text, with the templates in the folder next to this file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.template import Context, Engine, Library

from django_prodserver.exports import procfile

from .code import Code
from .project import INSTALLS, Project
from .proposal import Proposal, needs_worker

# If the project lists no dependencies anywhere: the file that pip's documentation starts with.
USUAL_DEPENDENCIES = "requirements.txt"


def source(value: Any) -> str:
    """A settings value as Python source, with double quotes."""
    if isinstance(value, Code):
        return value
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        items = (f"{source(key)}: {source(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(source, value)) + "]"
    return repr(value)


def settings_block(proposal: Proposal) -> str:
    values = "".join(source(process.settings) for process in proposal.processes)
    uses_environment = "os.environ" in values
    return _text("settings", processes=proposal.processes, uses_environment=uses_environment)


def dockerfile(project: Project, proposal: Proposal) -> str:
    dependencies = project.dependencies or USUAL_DEPENDENCIES
    return _text(
        "Dockerfile",
        python=project.python,
        dependencies=dependencies,
        install=next(install for install in INSTALLS if install.file == dependencies),
        settings_module=project.settings_module if project.settings_by_environment else "",
        folder=project.folder,
        dependencies_found=bool(project.dependencies),
        packages=proposal.packages,
        builds=[shlex.join(words) for words in proposal.builds],
        port=str(proposal.port or ""),
    )


def procfile_text(proposal: Proposal, folder: str = "") -> str:
    """`folder` is the folder of manage.py, relative to the Procfile."""
    # collectstatic is left out: the files that a release step writes are not kept.
    migrates = "migrate" in proposal.oneshots
    release = procfile.line("release", "migrate", folder) if migrates else ""
    services = "\n".join(procfile.line(name, name, folder) for name in proposal.services)
    return _text("Procfile", services=services, release=release)


def whole(project: Project, proposal: Proposal) -> str:
    """Everything that `--init` prints."""
    return _text(
        "proposal",
        found=_found(project),
        notes=proposal.notes,
        missing=proposal.missing,
        pip=" ".join(map(shlex.quote, proposal.missing)),
        settings_file=_settings_file(project),
        settings=settings_block(proposal).rstrip(),
        dockerfile=dockerfile(project, proposal).rstrip(),
        procfile=procfile_text(proposal, project.folder).rstrip(),
        above=_above(project),
    )


def _found(project: Project) -> list[str]:
    found = [f"Python {project.python}"]
    if project.wsgi:
        found.append(f"WSGI application {project.wsgi}")
    if project.asgi:
        found.append(f"ASGI application {project.asgi}")
    if project.celery is not None:
        schedule = ", with a schedule" if project.celery.scheduled else ""
        found.append(f"Celery app {project.celery.path}{schedule}")
    found += [f"TASKS[{t.alias!r}] is {t.backend}" for t in project.tasks if needs_worker(t)]
    if project.apps:
        found.append(f"INSTALLED_APPS with {', '.join(sorted(project.apps))}")
    if project.dependencies:
        found.append(f"{_above(project)}{project.dependencies}")
    if project.gunicorn is not None:
        found.append(project.gunicorn.path)
    for file in dict.fromkeys(run.file for run in project.runs):
        names = [
            run.name or run.words[0].rpartition("/")[2] for run in project.runs if run.file == file
        ]
        found.append(f"{file}, which runs {', '.join(dict.fromkeys(names))}")
    return found


def _above(project: Project) -> str:
    """The relative path from the folder of manage.py to the folder with the dependencies."""
    return "../" * len(Path(project.folder).parts)


def _settings_file(project: Project) -> str:
    if project.settings_file or not project.settings_module:
        return project.settings_file or "settings"
    return project.settings_module.replace(".", "/") + ".py"


def _text(name: str, **values: Any) -> str:
    # No escaping and no localization, whatever the project's own template settings and language.
    context = Context(values, autoescape=False, use_l10n=False)
    return _engine().get_template(f"{name}.txt").render(context)


def _engine() -> Engine:
    engine = Engine(dirs=[str(Path(__file__).parent / "templates")], autoescape=False)
    filters = Library()
    filters.filter("source", source)
    engine.template_builtins.append(filters)
    return engine
