"""Completion of `prodserver` and `prodctl`: the proposed words."""

from __future__ import annotations

from argparse import _SubParsersAction
from typing import Any, Optional

import pytest

from django_prodserver import completion
from django_prodserver.management.commands.prodserver import Command
from django_prodserver.prodctl.main import main as prodctl
from django_prodserver.prodctl.parser import parser
from tests.inside import NOT_SET, prodserver, sleeper

PROCESSES = {"migrate": sleeper(TYPE="oneshot"), "web": sleeper(), "worker": sleeper()}


def candidates(*words: str) -> Optional[list[str]]:
    parser = Command().create_parser("manage.py", "prodserver")
    values = {"NAME": [*PROCESSES], "NAME[=N]": [*PROCESSES, *(f"{one}=" for one in PROCESSES)]}
    return completion.candidates(parser, words, lambda action: values.get(str(action.metavar)))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], ["migrate", "web", "worker"]),
        (["w"], ["web", "worker"]),
        (["wo"], ["worker"]),
        (["web"], ["web", "web="]),
        (["web="], []),
        (["web=2", "w"], ["worker"]),
        (["--all", ""], []),
        (["--all", "--log-f"], ["--log-format"]),
        (["--log-format", ""], ["text", "json", "raw"]),
        (["--log-format", "j"], ["json"]),
        (["--log-format=j"], ["--log-format=json"]),
        (["--log-format", "json", "we"], ["web"]),
        (["--log-format=json", "we"], ["web"]),
        (["--start-method", "s"], ["spawn"]),
        (["--timest"], ["--timestamps"]),
        (["--no-ti"], ["--no-timestamps"]),
        (["--verb"], ["--verbosity"]),
        (["-v", ""], ["0", "1", "2", "3"]),
        (["--all", "--except", ""], ["migrate", "web", "worker"]),
        (["--all", "--except", "web", ""], ["migrate", "worker"]),
        (["--all", "--except", "web", "--exc"], ["--except"]),
        (["--all", "--al"], []),
        (["--list", "--proc"], []),
        (["--completion", ""], ["bash", "zsh"]),
        (["--nonsense", "we"], ["web"]),
        (["nonsense", "we"], ["web"]),
        (["--nonsense=x"], None),
        (["--pythonpath", ""], None),
        (["--pythonpath="], None),
        (["web", "--", "--wo"], None),
        (["web", "--", ""], None),
    ],
)
def test_the_next_word_of_a_prodserver_command_is_completed(
    words: list[str], found: Optional[list[str]]
) -> None:
    assert candidates(*words) == found


def test_every_option_of_the_command_is_offered() -> None:
    parser = Command().create_parser("manage.py", "prodserver")

    offered = candidates("-") or []

    assert sorted(offered) == sorted(
        option for action in parser._actions for option in action.option_strings
    )
    assert {"--all", "--help", "--settings", "--no-color"} <= set(offered)


@pytest.mark.parametrize("processes", [NOT_SET, None, 3, {3: None}, {"web": {"BACKND": 1}}])
def test_completion_prints_no_error_however_wrong_the_settings_are(
    processes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        prodserver(processes, "--complete", "", supervisor={"LOG_FORMAT": 3})

    said, errors = capsys.readouterr()
    assert end.value.code == 0
    assert said == ("\tweb\n" if processes == {"web": {"BACKND": 1}} else "")
    assert errors == ""


def prodctl_candidates(*words: str) -> Optional[list[str]]:
    instances = ["web.1", "worker.1", "worker.2"]
    values = {
        "NAME": ["web", "worker", *instances],
        "NAME=COUNT": ["web=", "worker="],
        "SIGNAL": ["HUP", "USR1"],
    }
    return completion.candidates(
        parser("prodctl"), words, lambda action: values.get(str(action.metavar))
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["st"], ["status", "start", "stop"]),
        (["status", "web"], ["web", "web.1"]),
        (["restart", "w"], ["web", "worker", "web.1", "worker.1", "worker.2"]),
        (["restart", "worker", "wo"], ["worker.1", "worker.2"]),
        (["restart", "web", "--no"], ["--no-wait"]),
        (["restart", "--no-wait", "web."], ["web.1"]),
        (["restart", "--timeout", "3", "web."], ["web.1"]),
        (["restart", "--timeout", ""], None),
        (["scale", "w"], ["web=", "worker="]),
        (["scale", "web=2", "w"], ["worker="]),
        (["scale", "web="], []),
        (["signal", ""], ["HUP", "USR1"]),
        (["signal", "HUP", "web"], ["web", "web.1"]),
        (["logs", "-f", "web"], ["web", "web.1"]),
        (["logs", "-n", ""], None),
        (["events", "-f", "web"], ["web", "web.1"]),
        (["health", "web"], ["web", "web.1"]),
        (["health", "web", ""], []),
        (["completion", ""], ["bash", "zsh"]),
        (["shutdown", ""], []),
        (["top", ""], []),
        (["nonsense", "w"], []),
        (["--socket", ""], None),
        (["--socket", "x", "status", "web."], ["web.1"]),
        (["--socket=x", "top"], ["top"]),
    ],
)
def test_the_next_word_of_a_prodctl_command_is_completed(
    words: list[str], found: Optional[list[str]]
) -> None:
    assert prodctl_candidates(*words) == found


def test_every_verb_of_prodctl_and_its_options_are_offered() -> None:
    (verbs,) = (a for a in parser("prodctl")._actions if isinstance(a, _SubParsersAction))

    assert prodctl_candidates("") == list(verbs.choices)
    for verb, of_verb in verbs.choices.items():
        options = [option for action in of_verb._actions for option in action.option_strings]
        assert prodctl_candidates(verb, "-") == options


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_is_printed_however_wrong_the_settings_are(shell: str) -> None:
    assert prodserver({"web": 3}, "--completion", shell) == completion.script(shell)


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_prodctl_prints_the_same_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert prodctl(["completion", shell]) == 0
    assert capsys.readouterr() == (completion.script(shell), "")
