"""A project overrides the management command that a backend starts."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.command import CommandBackend
from tests.backends.test_everything import ENTRIES, SETTINGS, filled, missing
from tests.running import Site
from tests.services import database

pytestmark = pytest.mark.timeout(60)

# Backends whose command itself reports that it is ready.
NAMES = [
    name
    for name, path in BUILT_IN.items()
    if issubclass(import_string(path), CommandBackend)
    and import_string(path).notifies
    and not missing(name)
]


def processes(**entry: Any) -> dict[str, Any]:
    migrate = {"BACKEND": "command", "ARGS": ["migrate", "--noinput"], "TYPE": "oneshot"}
    each = {name: {**ENTRIES[name], **entry, "BACKEND": name, "AFTER": ["m"]} for name in NAMES}
    return {"m": migrate, **each}


def project(app: str, redis: str, postgresql: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "FIRST_APPS": [app],
        "INSTALLED_APPS": [],
        "DATABASES": {"default": database(postgresql)},
    }
    for name in NAMES:
        for key, value in filled(SETTINGS.get(name, {}), {"REDIS": redis}).items():
            settings[key] = settings[key] + value if key == "INSTALLED_APPS" else value
    return settings


def test_commands_that_inherit_from_the_originals_report_when_they_are_ready(
    site: Site, redis: str, postgresql: str
) -> None:
    run = site(processes(), supervisor={"SETTINGS": project("subclassed", redis, postgresql)})

    run.wait_for_each_of(rf"^all {len(NAMES) + 1} ready")

    assert run.end(signal.SIGTERM) == 0
    assert not [line for line in run.lines if "cannot detect when" in line.text]
    assert "mine" in run.said("rq.1")


def test_a_command_that_does_not_inherit_is_treated_as_ready_and_logged(
    site: Site, redis: str, postgresql: str
) -> None:
    run = site(processes(ARGS=[]), supervisor={"SETTINGS": project("replaced", redis, postgresql)})

    run.wait_for_each_of(rf"^all {len(NAMES) + 1} ready")

    run.end(signal.SIGTERM)
    assert {line.name for line in run.lines if "cannot detect when" in line.text} == {
        f"{name}.1" for name in NAMES
    }
    (said,) = [line for line in run.said("rq.1") if line.startswith("prodserver:")]
    assert said == (
        "prodserver: cannot detect when rqworker is ready: the command of replaced.own does not "
        "inherit from django_rq's; treating it as ready now"
    )
