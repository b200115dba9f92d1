"""Settings and variables with names like ours are reported; those of others are not."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from django.core import checks

from django_prodserver.settings.lookalikes import meant_by
from django_prodserver.settings.names import PROCESSES, SUPERVISOR
from tests.inside import configured, sleeper


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("PRODUCTION_PROCESES", PROCESSES),
        ("PRODUCTION_PROCESS", PROCESSES),
        ("PRODUCTION_PROCESSESS", PROCESSES),
        ("PRODUCTIONPROCESSES", PROCESSES),
        ("PRODUCTION_PROCCESSES", PROCESSES),
        ("PRODUCTON_PROCESSES", PROCESSES),
        ("PROD_PROCESSES", PROCESSES),
        ("PROD_PROCESS", PROCESSES),
        ("PRODSERVER_PROCESSES", PROCESSES),
        ("DJANGO_PRODSERVER_PROCESSES", PROCESSES),
        ("PRODUCTION_SUPERVISER", SUPERVISOR),
        ("PRODUCTION_SUPERVISORS", SUPERVISOR),
        ("PROD_SUPERVISOR", SUPERVISOR),
        ("PRODSERVER_SUPERVISOR", SUPERVISOR),
        (PROCESSES, None),
        (SUPERVISOR, None),
        ("PRODUCTION_PROCESSES_BASE", None),
        ("PRODUCTION_PROCESSES_2", None),
        ("LOCAL_PRODUCTION_PROCESSES", None),
        ("PRODUCTION", None),
        ("PRODUCTION_HOST", None),
        ("PRODUCTION_DATABASES", None),
        ("PRODUCTION_PROJECTS", None),
        ("PRODUCTION_PROVIDERS", None),
        ("PRODUCTION_SERVERS", None),
        ("PRODUCTION_SUPERUSERS", None),
        ("PRODUCTION_URL_PREFIX", None),
        ("PROD_SETTINGS", None),
        ("PROCESSES", None),
        ("SUPERVISOR", None),
        ("CELERY_PROCESSES", None),
    ],
)
def test_a_misspelled_setting_is_matched_to_the_intended_setting(
    name: str, ours: Optional[str]
) -> None:
    assert meant_by(name) == ours


def said(**settings: Any) -> list[str]:
    with configured({"web": sleeper()}, **settings):
        messages = checks.run_checks()
    return [f"{one.id} {one.msg} {one.hint}" for one in messages if isinstance(one, checks.Warning)]


def test_a_setting_with_a_similar_name_triggers_a_warning() -> None:
    lines = said(PRODUCTION_SUPERVISER={"RESTART": "always"}, PRODUCTION_PROCESES={})

    assert lines == [
        f"prodserver.W004 {name} is set, but {ours} is read instead. Did you mean {ours!r}?"
        for name, ours in (
            ("PRODUCTION_PROCESES", PROCESSES),
            ("PRODUCTION_SUPERVISER", SUPERVISOR),
        )
    ]


def test_a_similar_setting_that_is_not_a_mapping_triggers_no_warning() -> None:
    assert said(PRODUCTION_SUPERVISORS=["ann@example.com"], PRODUCTION_PROCESS="moulding") == []


def test_a_variable_among_the_settings_triggers_a_warning() -> None:
    (line,) = said(PRODSERVER_LOG_FORMAT="json", PRODSERVER_URL="https://example.com")

    assert line.startswith(
        "prodserver.W004 PRODSERVER_LOG_FORMAT is an environment variable, and not read as a "
    )


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("PRODSERVR_LOG_FORMAT", "PRODSERVER_LOG_FORMAT"),
        ("PROD_SERVER_REPLICAS_WEB", "PRODSERVER_REPLICAS_WEB"),
        ("prodserver_stop_timeout", "PRODSERVER_STOP_TIMEOUT"),
        ("PRODSERVICE_STOP_TIMEOUT", None),
        ("PRODUCTION_LOG_FORMAT", None),
        ("PRODSERVER_SERVICE_HOST", None),
        ("PRODSERVR_SERVICE_HOST", None),
        ("PRODUCER", None),
    ],
)
def test_a_misspelled_environment_variable_triggers_a_warning(
    name: str, ours: Optional[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")

    expected = f"prodserver.W004 {name} is not a known variable. Did you mean {ours!r}?"
    assert said() == ([expected] if ours else [])
