"""Check that the project's URLconf matches the paths that probes request. No view is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from urllib.parse import unquote

from django.conf import settings as project
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.urls import Resolver404, get_resolver
from django.utils import translation

from django_prodserver.backends.application import ApplicationServer
from django_prodserver.settings.findings import Finding, advice
from django_prodserver.settings.names import place_of
from django_prodserver.settings.texts import path_or_url

from .addresses import serves_at
from .process import ResolvedProcess, importable_here, probes_of

ID = "W007"
# These redirect a path that no URL matches to one that is matched, and a redirect counts as
# healthy.
COMMON = "django.middleware.common.CommonMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"


def paths_without_a_view(processes: Iterable[ResolvedProcess]) -> list[Finding]:
    """Warn about paths for which Django responds with 404, unless a middleware handles them.

    Only for processes that serve Django's own handler as the application: a wrapper around it might
    also respond. Call this after the project has been preloaded.
    """
    silenced = f"prodserver.{ID}" in project.SILENCED_SYSTEM_CHECKS
    return [] if silenced else [found for one in importable_here(processes) for found in _of(one)]


def _of(process: ResolvedProcess) -> Iterator[Finding]:
    for key, probe in probes_of(process.settings):
        asked = path_or_url(probe.http) if probe.http is not None else None
        # Skip other addresses: one may belong to a proxy in front of it, with other paths.
        if asked is None or not (asked.at is None or serves_at(process, asked.at)):
            continue
        if _serves_django_alone(process) and not _is_known(process, asked.path):
            message = f"is {asked.path!r}, which no URL of {project.ROOT_URLCONF} matches: Django "
            message += "answers 404, unless a middleware does."
            hint = f"Add a view for it, or 'prodserver.{ID}' to SILENCED_SYSTEM_CHECKS."
            yield advice(place_of(process.name, key, "HTTP"), message, hint, ID)


def _serves_django_alone(process: ResolvedProcess) -> bool:
    backend = process.backend
    if not isinstance(backend, ApplicationServer) or any(
        "root-path" in word for word in backend.args
    ):
        return False  # With --root-path Django sees a different path.
    module, _, attribute = backend.application.partition(":")
    try:
        application = getattr(import_module(module), attribute)
    except Exception:
        return False  # The preload reported it.
    return type(application) in (WSGIHandler, ASGIHandler)


def _candidates(process: ResolvedProcess, path: str) -> Iterator[str]:
    """The path as Django may see it, and the targets of possible redirects."""
    paths = [path]
    for prefix in (project.FORCE_SCRIPT_NAME, process.backend.environ().get("SCRIPT_NAME")):
        if prefix and path.startswith(prefix.rstrip("/") + "/"):
            paths.append(path[len(prefix.rstrip("/")) :])
    if LOCALE in project.MIDDLEWARE:
        paths += [f"/{code}{one}" for one in list(paths) for code, _ in project.LANGUAGES]
    yield from paths
    if project.APPEND_SLASH and COMMON in project.MIDDLEWARE:
        yield from (f"{one}/" for one in paths if not one.endswith("/"))


def _is_known(process: ResolvedProcess, path: str) -> bool:
    try:
        path = unquote(path.partition("?")[0])
        return any(_is_matched(one) for one in _candidates(process, path))
    except Exception:
        return True  # The URLconf cannot be imported, which the system checks reported.


def _is_matched(path: str) -> bool:
    """Whether a URL matches in any language: `i18n_patterns` match only the active one."""
    languages = [project.LANGUAGE_CODE]
    if project.USE_I18N:
        languages += [code for code, _ in project.LANGUAGES if path.startswith(f"/{code}/")]
    for language in languages:
        with translation.override(language):
            try:
                get_resolver().resolve(path)
            except Resolver404:
                continue
            return True
    return False
