"""ENABLED and PRODSERVER_REPLICAS_X=0: what is left out, and the messages about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_prodserver.checks import check_settings
from django_prodserver.launch.selection import select
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.load import load
from django_prodserver.test import assert_valid_configuration
from tests.inside import configured, prodserver, refused, sleeper
from tests.running import Site

THREE = {"web": sleeper(AFTER=["beat"]), "beat": sleeper(ENABLED=False), "worker": sleeper()}


def loaded(processes: Any, **environ: str) -> Configuration:
    with configured(processes):
        return load(environ)


def selected(
    configuration: Configuration, *words: str, everything: bool = False, prints: bool = False
) -> list[str]:
    return select(configuration, words, everything=everything, prints=prints).names


@pytest.mark.parametrize(
    "environ",
    [
        {"PRODSERVER_ENABLED_WEB": "0"},
        {"PRODSERVER_ENABLED_WEB": "False"},
        {"PRODSERVER_ENABLED_WEB": "no"},
        {"PRODSERVER_ENABLED_WEB": "OFF"},
        {"PRODSERVER_REPLICAS_WEB": "0"},
        {"PRODSERVER_REPLICAS_WEB": "0", "PRODSERVER_ENABLED_WEB": "yes"},
    ],
)
def test_variables_switch_a_process_off(environ: dict[str, str]) -> None:
    assert loaded({"web": sleeper(), "x": sleeper()}, **environ).disabled.keys() == {"web"}


@pytest.mark.parametrize("word", ["1", "true", "Yes", "on"])
def test_a_variable_switches_a_process_on(word: str) -> None:
    assert loaded(THREE, PRODSERVER_ENABLED_BEAT=word).disabled == {}


def test_the_all_option_leaves_out_disabled_processes() -> None:
    configuration = loaded(THREE)

    assert selected(configuration, everything=True) == ["web", "worker"]
    assert selected(configuration, prints=True) == ["web", "worker"]


def test_a_disabled_process_that_is_named_runs() -> None:
    assert selected(loaded(THREE), "web", "beat") == ["web", "beat"]
    assert selected(loaded(THREE), "beat") == ["beat"]


def test_naming_a_process_with_zero_replicas_starts_one_replica() -> None:
    configuration = loaded(THREE, PRODSERVER_REPLICAS_WORKER="0")
    selection = select(configuration, ["web", "worker"], everything=False, prints=False)

    assert selection.replicas == {"worker": 1}


def test_without_a_name_the_first_service_that_is_enabled_is_run() -> None:
    processes = {"beat": sleeper(ENABLED=False), "web": sleeper()}

    assert selected(loaded(processes)) == ["web"]


@pytest.mark.parametrize("arguments", [["--all"], [], ["--check"], ["--all", "--dry-run"]])
def test_nothing_runs_if_every_process_is_disabled(arguments: list[str]) -> None:
    processes = {"web": sleeper(ENABLED=False), "beat": sleeper(ENABLED=False)}

    with configured(processes):
        (said,) = refused(processes, *arguments or ["--timestamps"])

    everyone = (
        "Every process of PRODUCTION_PROCESSES is disabled, by ENABLED or REPLICAS: web, beat."
    )
    assert said == f"{everyone} Name one to run it anyway."


def test_list_shows_every_process_and_marks_disabled_processes() -> None:
    processes = {**THREE, "odd": sleeper(ENABLED=False)}

    assert prodserver(processes, "--list").splitlines() == [
        "NAME    TYPE     BACKEND                                          REPLICAS",
        "web     service  django_prodserver.backends.command.ShellCommand  1",
        "beat    service  django_prodserver.backends.command.ShellCommand  0 (disabled)",
        "worker  service  django_prodserver.backends.command.ShellCommand  1",
        "odd     service  django_prodserver.backends.command.ShellCommand  0 (disabled)",
    ]
    rows = json.loads(prodserver(processes, "--list", "--json"))
    assert [(row["name"], row.get("enabled", True)) for row in rows] == [
        ("web", True),
        ("beat", False),
        ("worker", True),
        ("odd", False),
    ]


def test_check_and_dry_run_report_the_processes_left_out() -> None:
    left_out = "beat: left out, disabled by ENABLED\nweb: does not wait for beat\n"

    assert prodserver(THREE, "--check") == (
        f"No problems found: web, worker.\nweb, worker: executed\n{left_out}"
    )
    assert prodserver(THREE, "--all", "--dry-run").endswith(f"sleep 1000\n{left_out}")


def test_the_procfile_has_only_the_lines_of_enabled_processes() -> None:
    assert [line.partition(":")[0] for line in prodserver(THREE, "--procfile").splitlines()] == [
        "web",
        "worker",
    ]


def test_a_disabled_process_is_validated_only_for_its_keys() -> None:
    """Its keys are validated nevertheless."""
    odd = {"BACKEND": "not.installed.Here", "ENABLED": False, "USER": "not-here"}
    processes = {"web": sleeper(), "odd": odd}

    assert prodserver(processes, "--check").startswith("No problems found: web.\n")
    with configured(processes):
        assert check_settings() == []
        assert_valid_configuration()
    assert "REPLICA" in refused({"web": sleeper(), "odd": {**odd, "REPLICA": 1}}, "--check")[0]


@pytest.mark.timeout(30)
def test_the_log_reports_a_disabled_process_that_is_not_waited_for(site: Site) -> None:
    done = {**sleeper(), "ARGS": ["true"], "TYPE": "oneshot"}
    processes = {"a": {**done, "ENABLED": False}, "b": done, "c": {**done, "AFTER": ["a", "b"]}}

    run = site(processes)

    assert run.end() == 0
    assert "c does not wait for a, which is disabled" in run.said("system")
    assert run.said("system")[0].startswith("supervising b.1, c.1 (")


# ---- roles: what --all means in a deployment, and a single process type ----

ROLES = {
    "migrate": sleeper(TYPE="oneshot"),
    "web": sleeper(AFTER=["migrate"]),
    "worker": sleeper(),
    "beat": sleeper(ENABLED=False),
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web,worker", ["web", "worker"]),
        (" worker , web,", ["web", "worker"]),
        ("beat", ["beat"]),
        ("", ["migrate", "web", "worker"]),
        (" , ", ["migrate", "web", "worker"]),
    ],
)
def test_a_variable_selects_the_processes_that_the_all_option_runs(
    text: str, names: list[str]
) -> None:
    configuration = loaded(ROLES, PRODSERVER_PROCESSES=text)

    assert selected(configuration, everything=True) == names
    assert selected(configuration, "migrate") == ["migrate"]


def test_check_and_list_report_the_processes_that_the_variable_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRODSERVER_PROCESSES", "web")

    assert prodserver(ROLES, "--check").splitlines() == [
        "No problems found: web.",
        "web: executed",
        "migrate: left out, disabled by PRODSERVER_PROCESSES",
        "worker: left out, disabled by PRODSERVER_PROCESSES",
        "beat: left out, disabled by PRODSERVER_PROCESSES",
        "web: does not wait for migrate",
    ]
    assert "worker   service" in prodserver(ROLES, "--list")
    assert prodserver(ROLES, "--list").count("0 (disabled)") == 3


@pytest.mark.parametrize("words", ["--all", "--check", "web"])
def test_a_wrong_name_in_the_variable_is_refused(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODSERVER_PROCESSES", "web,wrokers")

    (said,) = refused(ROLES, words)

    wrong = "PRODSERVER_PROCESSES names 'wrokers', which is not a process."
    hint = "Did you mean 'worker'? Configured: migrate, web, worker, beat."
    assert said == f"{wrong} {hint}"


def test_a_misspelled_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSERVER_PROCESES", "web")

    assert refused(ROLES) == [
        "PRODSERVER_PROCESES is not a known variable. Did you mean 'PRODSERVER_PROCESSES'?"
    ]


def test_only_type_and_skip_oneshots_select_processes_by_type() -> None:
    def dry(*args: str) -> list[str]:
        lines = prodserver(ROLES, "--all", "--dry-run", *args).splitlines()
        return [line.partition(".")[0] for line in lines if "sleep" in line]

    assert dry("--only-type", "oneshot") == ["migrate"]
    assert dry("--only-type", "service") == dry("--skip-oneshots") == ["web", "worker"]
    assert dry("--skip-oneshots", "--except", "web") == ["worker"]


def test_selecting_by_type_requires_all_and_a_process_of_that_type() -> None:
    assert refused(ROLES, "web", "--skip-oneshots") == [
        "--only-type and --skip-oneshots require --all."
    ]
    assert refused({"web": sleeper()}, "--all", "--only-type", "oneshot") == [
        "There is no oneshot to run."
    ]


def test_only_type_oneshot_runs_the_oneshots_and_then_exits(site: Site) -> None:
    processes = {
        "migrate": {"BACKEND": "shell", "ARGS": ["echo", "migrated"], "TYPE": "oneshot"},
        "web": sleeper(AFTER=["migrate"]),
    }

    run = site(processes, "--all", "--only-type", "oneshot", "--no-timestamps")

    assert run.end() == 0
    assert run.said("migrate.1") == ["migrated"]
    assert not any("web" in line for line in run.said("system"))
