"""`assert_valid_configuration`, in a test process with the settings of a project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from django_prodserver.test import assert_valid_configuration
from tests.inside import (
    GUNICORN,
    NOT_SET,
    UVICORN,
    configured,
    free_port,
    listener,
    refused,
    sleeper,
)


def wrong(processes: Any, *names: str, preload: bool = True, **settings: Any) -> list[str]:
    """The lines of the AssertionError."""
    supervisor = settings.pop("supervisor", NOT_SET)
    with configured(processes, supervisor, **settings), pytest.raises(AssertionError) as error:
        assert_valid_configuration(*names, preload=preload)
    return str(error.value).splitlines()


def test_a_valid_configuration_passes() -> None:
    with configured({"web": {"BACKEND": GUNICORN}, "worker": sleeper()}):
        assert_valid_configuration()
        assert_valid_configuration("worker", preload=False)


def test_every_error_is_reported_at_once_with_its_hint() -> None:
    mistakes = {"web": sleeper(RESTRAT="never"), "worker": {"ARGS": 3}}

    said = wrong(mistakes)

    assert len(said) == 3
    assert said == refused(mistakes)
    assert "['RESTRAT'] is not a known key. Did you mean 'RESTART'?" in said[0]


def broken_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "broken_urls.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("broken_urls", None)
    return "broken_urls"


SAME = {"BACKEND": GUNICORN, "ARGS": {"bind": f"127.0.0.1:{free_port()}"}}


@pytest.mark.parametrize(
    ("processes", "others"),
    [
        (NOT_SET, {}),
        ({}, {}),
        ({"web": {"BACKEND": "no.such.Class"}}, {}),
        ({"web": {"BACKEND": GUNICORN, "ARGS": {"no-such": 1}}}, {}),
        ({"web": SAME, "other": SAME}, {}),
        ({"web": SAME}, {"WSGI_APPLICATION": "no.such.application"}),
        ({"web": SAME}, {"WSGI_APPLICATION": "tests.settings.no_application"}),
        ({"web": sleeper()}, {"supervisor": {"PRELOAD": ["no.such.module"]}}),
        ({"web": sleeper()}, {"supervisor": {"LOG_FORMAT": "jsno"}}),
        ({"web": {"BACKEND": UVICORN, "REPLICAS": 0}}, {}),
    ],
)
def test_the_assertion_reports_the_same_errors_as_check(
    processes: Any, others: dict[str, Any]
) -> None:
    said = wrong(processes, **others)

    assert said == refused(processes, "--check", **others)


def test_a_broken_urlconf_is_reported_beside_other_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = broken_urls(tmp_path, monkeypatch)

    assert wrong({"web": sleeper(RESTRAT="never")}, ROOT_URLCONF=urls)[1:] == [
        (
            "The system checks cannot run: ModuleNotFoundError: No module named 'no_such_module' "
            f"({tmp_path / 'broken_urls.py'}, line 1)."
        )
    ]


def test_errors_of_djangos_own_checks_count_unless_they_are_silenced() -> None:
    language: dict[str, Any] = {"LANGUAGE_CODE": "no language"}

    said = wrong({"web": sleeper()}, **language)

    ids = [line.split()[0] for line in said]
    assert sorted(ids) == ["(translation.E001)", "(translation.E004)"]
    language["SILENCED_SYSTEM_CHECKS"] = [one.strip("()") for one in ids]
    with configured({"web": sleeper()}, **language):
        assert_valid_configuration()


def test_an_unknown_process_name_is_reported_beside_other_errors() -> None:
    processes = {"web": sleeper(), "worker": {"BACKEND": "no.such"}}

    said = wrong(processes, "wbe", "worker")

    assert said == [*refused(processes, "wbe"), *refused(processes, "worker")]


def test_only_the_named_processes_are_checked() -> None:
    with configured({"web": sleeper(), "worker": {"BACKEND": "no.such"}}):
        assert_valid_configuration("web")


def test_an_address_in_use_is_not_a_configuration_error() -> None:
    with listener() as address:
        web = {"BACKEND": GUNICORN, "ARGS": {"bind": address}}
        assert any(address in line for line in refused({"web": web}, "--check"))

        with configured({"web": web}):
            assert_valid_configuration()


def test_without_preload_no_application_is_imported() -> None:
    # The module exists, but it has no such attribute.
    settings = {"WSGI_APPLICATION": "tests.settings.no_application"}
    with configured({"web": SAME}, **settings):
        assert_valid_configuration(preload=False)

    (said,) = wrong({"web": SAME}, **settings)
    assert "has no attribute 'no_application'" in said
