"""The project's WSGI or ASGI application, as `module:attribute`, and what its servers share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import ClassVar, Optional

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from django_prodserver.settings.errors import describe
from django_prodserver.settings.wording import with_article

from .base import BaseServerBackend, Problem


class ApplicationServer(BaseServerBackend):
    """A server for the project's application, which comes last on its command line."""

    # "wsgi" or "asgi".
    interface: ClassVar[str]

    @property
    def application(self) -> str:
        return wsgi() if self.interface == "wsgi" else asgi()

    def prep_server_args(self) -> Sequence[str]:
        return [*self.args, self.application]

    def preload(self) -> None:
        load(self.application)

    def problems(self) -> Iterator[Problem]:
        yield from problems(self.application)


def wsgi() -> str:
    """WSGI_APPLICATION; without it, `application` in `wsgi.py` next to the root URLconf."""
    return _named("WSGI_APPLICATION") or _next_to_the_urls("wsgi")


def asgi() -> str:
    """ASGI_APPLICATION; else `application` in `asgi.py` next to the WSGI one or the URLconf."""
    named = _named("ASGI_APPLICATION")
    if not named and _named("WSGI_APPLICATION"):
        package = _named("WSGI_APPLICATION").partition(":")[0].rpartition(".")[0]
        return f"{package}.asgi:application" if package else "asgi:application"
    return named or _next_to_the_urls("asgi")


def load(application: str) -> None:
    """Import an application, as a server would."""
    module, _, attribute = application.partition(":")
    getattr(import_module(module), attribute)


def problems(application: str) -> Iterator[Problem]:
    """Look for the module without importing it: this runs before every management command.

    In many projects importing it starts monitoring agents. It would also keep gunicorn from loading
    new code at a reload. Where processes are forked, the preload imports it.
    """
    cause: Optional[Exception] = None
    try:
        module = application.partition(":")[0]
        found, reason = find_spec(module) is not None, f"No module named {module!r}"
    except Exception as error:
        found, reason, cause = False, describe(error), error
    if not found:
        message = f"cannot import its application {application!r}: {reason}."
        hint = "Set WSGI_APPLICATION or ASGI_APPLICATION to the right one."
        yield Problem("", message, hint, cause=cause)


def _named(setting: str) -> str:
    dotted = getattr(settings, setting, None) or ""
    if not isinstance(dotted, str):
        raise ImproperlyConfigured(f"{setting} is {with_article(dotted)}, not a dotted path")
    return ":".join(dotted.rsplit(".", 1))


def _next_to_the_urls(module: str) -> str:
    package = settings.ROOT_URLCONF.rpartition(".")[0]
    return f"{package}.{module}:application" if package else f"{module}:application"
