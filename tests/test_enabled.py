"""ENABLED and PRODSERVER_REPLICAS_X=0: what is left out, by whom, and what is said of it."""

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
    return select(
        configuration.processes,
        words,
        everything=everything,
        excluded=(),
        extra=(),
        prints=prints,
    ).names


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
    assert loaded({"web": sleeper(), "x": sleeper()}, **environ).disabled == ["web"]


@pytest.mark.parametrize("word", ["1", "true", "Yes", "on"])
def test_a_variable_switches_a_process_on(word: str) -> None:
    assert loaded(THREE, PRODSERVER_ENABLED_BEAT=word).disabled == []


def test_all_leaves_out_what_is_disabled() -> None:
    configuration = loaded(THREE)

    assert selected(configuration, everything=True) == ["web", "worker"]
    assert selected(configuration, prints=True) == ["web", "worker"]


def test_a_disabled_process_that_is_named_runs() -> None:
    assert selected(loaded(THREE), "web", "beat") == ["web", "beat"]
    assert selected(loaded(THREE), "beat") == ["beat"]


def test_a_process_without_replicas_that_is_named_runs_once() -> None:
    configuration = loaded(THREE, PRODSERVER_REPLICAS_WORKER="0")
    selection = select(
        configuration.processes,
        ["web", "worker"],
        everything=False,
        excluded=(),
        extra=(),
        prints=False,
    )

    assert selection.replicas == {"worker": 1}


def test_without_a_name_the_first_service_that_is_enabled_is_run() -> None:
    processes = {"beat": sleeper(ENABLED=False), "web": sleeper()}

    assert selected(loaded(processes)) == ["web"]


@pytest.mark.parametrize("arguments", [["--all"], [], ["--check"], ["--all", "--dry-run"]])
def test_where_all_are_disabled_nothing_is_run(arguments: list[str]) -> None:
    processes = {"web": sleeper(ENABLED=False), "beat": sleeper(ENABLED=False)}

    with configured(processes):
        (said,) = refused(processes, *arguments or ["--timestamps"])

    everyone = (
        "Every process of PRODUCTION_PROCESSES is disabled, by ENABLED or REPLICAS: web, beat."
    )
    assert said == f"{everyone} Name one to run it all the same."


def test_a_list_has_all_and_says_which_are_disabled() -> None:
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


def test_check_and_dry_run_say_what_is_left_out() -> None:
    left_out = "beat: left out, disabled by ENABLED\nweb: does not wait for beat\n"

    assert prodserver(THREE, "--check") == (
        f"No problems found: web, worker.\nweb, worker: executed\n{left_out}"
    )
    assert prodserver(THREE, "--all", "--dry-run").endswith(f"sleep 1000\n{left_out}")


def test_a_procfile_is_nothing_but_a_procfile() -> None:
    assert [line.partition(":")[0] for line in prodserver(THREE, "--procfile").splitlines()] == [
        "web",
        "worker",
    ]


def test_what_is_disabled_cannot_collide_or_lack_anything() -> None:
    """Its keys are checked all the same."""
    odd = {"BACKEND": "not.installed.Here", "ENABLED": False, "USER": "not-here"}
    processes = {"web": sleeper(), "odd": odd}

    assert prodserver(processes, "--check").startswith("No problems found: web.\n")
    with configured(processes):
        assert check_settings() == []
        assert_valid_configuration()
    assert "REPLICA" in refused({"web": sleeper(), "odd": {**odd, "REPLICA": 1}}, "--check")[0]


@pytest.mark.timeout(30)
def test_the_log_says_what_is_not_waited_for(site: Site) -> None:
    done = {**sleeper(), "ARGS": ["true"], "TYPE": "oneshot"}
    processes = {"a": {**done, "ENABLED": False}, "b": done, "c": {**done, "AFTER": ["a", "b"]}}

    run = site(processes)

    assert run.end() == 0
    assert "c does not wait for a, which is disabled" in run.said("system")
    assert run.said("system")[0].startswith("supervising b.1, c.1 (")
