"""`--check` asks the URLconf whether the paths of probes can be matched at all, and warns."""

from __future__ import annotations

import io
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path

from tests.inside import GUNICORN, UVICORN, configured, free_port, sleeper, without_threads

COMMON = "django.middleware.common.CommonMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"


def view(request: HttpRequest) -> HttpResponse:
    raise AssertionError("no view is called")


class Wrapped:
    """A wrapped application, as WhiteNoise or a Channels router makes it."""


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A project with a single module."""
    made: Any = ModuleType("one_module")
    made.__spec__ = ModuleSpec("one_module", None)
    made.urlpatterns = [
        path("health", view),
        path("slash/", view),
        re_path("^caf\u00e9$", view),
        *i18n_patterns(path("greeting", view), prefix_default_language=False),
    ]
    made.wsgi, made.asgi, made.wrapped = WSGIHandler(), ASGIHandler(), Wrapped()
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made  # type: ignore[no-any-return]


def warned(entry: dict[str, Any], **settings: Any) -> str:
    defaults = {
        "ROOT_URLCONF": "one_module",
        "WSGI_APPLICATION": "one_module.wsgi",
        "ASGI_APPLICATION": "one_module.asgi",
        "MIDDLEWARE": [],
    }
    err, out = io.StringIO(), io.StringIO()
    with configured({"web": entry}, **{**defaults, **settings}):
        call_command("prodserver", "--check", stdout=out, stderr=err)
    assert out.getvalue().startswith("No problems found: web.\n")
    return without_threads(err.getvalue())


def server(asked: str, backend: str = GUNICORN, key: str = "HEALTHCHECK", **more: Any) -> Any:
    port = free_port()
    where: dict[str, Any] = {"bind": f"127.0.0.1:{port}"}
    if backend == UVICORN:
        where = {"port": port}
    arguments = {**where, **more.pop("ARGS", {})}
    probe = {"HTTP": asked.format(port=port)}
    return {"BACKEND": backend, "ARGS": arguments, key: probe, **more}


def test_a_path_that_no_url_matches_is_warned_about() -> None:
    assert warned(server("/healthz?full=1")) == (
        "WARNING: (prodserver.W007) PRODUCTION_PROCESSES['web']['HEALTHCHECK']['HTTP'] is "
        "'/healthz?full=1', which no URL of one_module matches: Django answers 404, unless a "
        "middleware does. Add a view for it, or 'prodserver.W007' to SILENCED_SYSTEM_CHECKS.\n"
    )
    assert "'/healthz'" in warned(server("/healthz", UVICORN))
    assert "/healthz'" in warned(server("http://127.0.0.1:{port}/healthz"))
    granian = {"BACKEND": "granian", "ARGS": {"port": free_port()}, "READY": {"HTTP": "/healthz"}}
    assert "['READY']['HTTP'] is '/healthz'" in warned(granian)


@pytest.mark.parametrize("asked", ["/health", "/health?a=b", "/caf%C3%A9", "/greeting"])
@pytest.mark.parametrize("backend", [GUNICORN, UVICORN])
def test_a_path_that_a_url_matches_triggers_no_warning(asked: str, backend: str) -> None:
    assert warned(server(asked, backend)) == ""


@pytest.mark.parametrize(
    ("asked", "settings", "right"),
    [
        ("/slash", {"MIDDLEWARE": [COMMON]}, True),
        ("/slash", {}, False),
        ("/slash", {"MIDDLEWARE": [COMMON], "APPEND_SLASH": False}, False),
        ("/de/greeting", {"MIDDLEWARE": [LOCALE]}, True),
        ("/xx/greeting", {"MIDDLEWARE": [LOCALE]}, False),
        ("/app/health", {"FORCE_SCRIPT_NAME": "/app"}, True),
        ("/app/health", {"FORCE_SCRIPT_NAME": "/app/"}, True),
        ("/application/health", {"FORCE_SCRIPT_NAME": "/app"}, False),
    ],
)
def test_redirects_and_script_prefixes_are_considered_in_the_match(
    asked: str, settings: dict[str, Any], right: bool
) -> None:
    assert (warned(server(asked), **settings) == "") is right


def test_a_prefix_set_by_env_or_arguments_is_removed_from_the_path() -> None:
    assert warned(server("/app/health", ENV={"SCRIPT_NAME": "/app"})) == ""
    assert warned(server("/app/health", UVICORN, ARGS={"root-path": "/app"})) == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"WSGI_APPLICATION": "one_module.wrapped"},
        {"SILENCED_SYSTEM_CHECKS": ["prodserver.W007"]},
    ],
)
def test_an_uncertain_or_silenced_finding_triggers_no_warning(settings: dict[str, Any]) -> None:
    assert warned(server("/healthz"), **settings) == ""


def test_a_probe_of_another_server_triggers_no_warning() -> None:
    elsewhere = "http://127.0.0.1:1/healthz"
    assert warned(server(elsewhere)) == ""
    assert warned(sleeper(HEALTHCHECK={"HTTP": elsewhere})) == ""
    assert warned(sleeper(READY={"HTTP": elsewhere})) == ""


def test_a_path_without_its_language_prefix_needs_the_locale_middleware(site: Any) -> None:
    site.urlpatterns = i18n_patterns(path("health", view))

    assert warned(server("/health"), MIDDLEWARE=[LOCALE]) == ""
    assert "'/health'" in warned(server("/health"))
    assert warned(server("/de/health"), MIDDLEWARE=[LOCALE]) == ""
