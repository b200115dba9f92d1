"""In which runs early output is formatted as log lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_prodserver.launch.early_format import early_format
from django_prodserver.launch.words import INSTEAD, WITH_VALUE
from django_prodserver.logs.lines import whole
from django_prodserver.management.commands.prodserver import Command
from tests.inside import configured

JSON = {"LOG_FORMAT": "json"}


def rendered(words: str, supervisor: Any = None) -> Any:
    """A line of early output, as it is in the log; None if it is not changed."""
    with configured({}, supervisor):
        format = early_format(words.split())
    if format is None:
        return None
    return json.loads(b"".join(format.render("system", "stderr", whole(b"x\n"))))


@pytest.mark.parametrize(
    ("words", "supervisor"),
    [
        ("--all --log-format json", None),
        ("--log-format=json --all", {"LOG_FORMAT": "text"}),
        ("--all --log json", None),
        ("--all", JSON),
        ("web=2", JSON),
        ("web worker", JSON),
        ("--all --except web worker", JSON),
        ("--all --settings json.settings --nosuch", JSON),
        ("--all", {**JSON, "NOSUCH": 1}),
    ],
)
def test_early_output_is_rendered_as_json_if_the_log_is_json(words: str, supervisor: Any) -> None:
    found = rendered(words, supervisor)

    assert found.pop("time").endswith("Z")
    assert found == {"process": "system", "stream": "stderr", "message": "x"}


@pytest.mark.parametrize(
    ("words", "supervisor"),
    [
        ("--all", None),
        ("--all", {}),
        ("--all", ["json"]),
        ("--all", {"LOG_FORMAT": ["json"]}),
        ("--all --log-format=text", JSON),
        ("--all --log-format=jsn", JSON),
        ("--all --log-format", JSON),
        ("", JSON),
        ("web", JSON),
        ("web --stop-timeout 5 -v 2 --settings json.settings", JSON),
        ("web -- a=1 --all", JSON),
        *((f"--all {option}", JSON) for option in INSTEAD),
        ("--completion bash", JSON),
        ("--all --export=compose --output out", JSON),
    ],
)
def test_early_output_is_unchanged_without_a_supervisor_that_logs_json(
    words: str, supervisor: Any
) -> None:
    assert rendered(words, supervisor) is None


def test_an_option_overrides_a_variable_which_overrides_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRODSERVER_LOG_FORMAT", "json")
    monkeypatch.setenv("PRODSERVER_TIMESTAMPS", "false")

    assert rendered("--all", {"LOG_FORMAT": "text", "TIMESTAMPS": True}) == {
        "process": "system",
        "stream": "stderr",
        "message": "x",
    }
    assert "time" in rendered("--all --timestamps")
    assert rendered("--all --log-format=raw") is None


def test_the_option_lists_for_early_parsing_match_the_command() -> None:
    actions = Command().create_parser("manage.py", "prodserver")._actions
    named = [action for action in actions if action.option_strings]

    with_value = {action.option_strings[-1] for action in named if action.nargs is None}
    assert with_value == {*WITH_VALUE, "--verbosity", "--log-format", "--completion", "--export"}
    assert set(INSTEAD) <= {option for action in named for option in action.option_strings}
