"""A proposal as text. The texts themselves are templates, in the folder beside this file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.template import Context, Engine, Library

from django_prodserver.exports import procfile

from .project import Project
from .proposal import Code, Proposal, needs_worker

# Where nothing says from what to install, the file that pip's own documentation begins with.
USUAL_DEPENDENCIES = "requirements.txt"


def source(value: Any) -> str:
    """A value of the settings as Python, in double quotes."""
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
    uses_environment = proposal.port is not None
    return _text("settings", processes=proposal.processes, uses_environment=uses_environment)


def dockerfile(project: Project, proposal: Proposal) -> str:
    dependencies = project.dependencies or USUAL_DEPENDENCIES
    return _text(
        "Dockerfile",
        python=project.python,
        dependencies=dependencies,
        settings_module=project.settings_module if project.settings_by_environment else "",
        # With the others that a file in a folder refers to.
        folder=dependencies.rpartition("/")[0],
        dependencies_found=bool(project.dependencies),
        packages=["django-prodserver", *proposal.packages],
        port=str(proposal.port or ""),
    )


def procfile_text(proposal: Proposal) -> str:
    # collectstatic is left out: what a release step writes is not kept.
    release = procfile.line("release", "migrate") if "migrate" in proposal.oneshots else ""
    services = procfile.render(proposal.services).rstrip()
    return _text("Procfile", services=services, release=release)


def whole(project: Project, proposal: Proposal) -> str:
    """Everything that is printed."""
    return _text(
        "proposal",
        found=_found(project),
        notes=proposal.notes,
        missing=proposal.missing,
        pip=" ".join(map(shlex.quote, proposal.missing)),
        settings_file=_settings_file(project),
        settings=settings_block(proposal).rstrip(),
        dockerfile=dockerfile(project, proposal).rstrip(),
        procfile=procfile_text(proposal).rstrip(),
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
        found.append(project.dependencies)
    return found


def _settings_file(project: Project) -> str:
    return (
        project.settings_module.replace(".", "/") + ".py" if project.settings_module else "settings"
    )


def _text(name: str, **values: Any) -> str:
    # Strings as they are, whatever the project's own templates and its language do.
    context = Context(values, autoescape=False, use_l10n=False)
    return _engine().get_template(f"{name}.txt").render(context)


def _engine() -> Engine:
    engine = Engine(dirs=[str(Path(__file__).parent / "templates")], autoescape=False)
    filters = Library()
    filters.filter("source", source)
    engine.template_builtins.append(filters)
    return engine
