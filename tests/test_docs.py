"""The reference pages say what the code says; what they show as an example works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any

import pytest
from django.core.management.base import BaseCommand
from django.test import override_settings
from django.utils.module_loading import import_string

import django_prodserver
from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.exports import procfile
from django_prodserver.management.commands.prodserver import Command
from django_prodserver.settings.load import load
from django_prodserver.settings.names import PROCESSES
from django_prodserver.settings.variables import PROCESS_KEYS, SUPERVISOR_KEYS
from django_prodserver.supervisor import report
from django_prodserver.supervisor.instance import MOVES
from django_prodserver.supervisor.model import (
    AllFinished,
    AllReady,
    AllStopped,
    ExitStatus,
    LastStep,
    SignalTaken,
    State,
    StateChanged,
    StillRunning,
    Unwell,
)
from django_prodserver.supervisor.supervisor import HANDLED, STOP_SIGNALS
from tests import inside  # noqa: F401  It configures Django.

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SOURCE = Path(django_prodserver.__file__).parent
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def tables(text: str) -> Iterator[list[list[str]]]:
    """Every table of a page: its rows, header first, as cells."""
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            yield rows[:1] + rows[2:]
            rows = []


def table(page: str, *header: str, section: str = "") -> list[list[str]]:
    """The rows of the one table that begins with these columns, below that heading."""
    text = read(page)
    if section:
        (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    (found,) = [rows for rows in tables(text) if tuple(rows[0][: len(header)]) == header]
    return found[1:]


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# ---- settings ----


def settings_examples() -> list[Any]:
    examples = []
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks):
            if PROCESSES in block:
                name = f"{page.relative_to(ROOT).as_posix()}-{number}"
                examples.append(pytest.param(block, id=name))
    return examples


@pytest.mark.parametrize("block", settings_examples())
def test_every_example_of_settings_is_accepted(block: str) -> None:
    names: dict[str, Any] = {"INSTALLED_APPS": []}
    exec(block, names)
    given = {key: value for key, value in names.items() if key.startswith("PRODUCTION_")}

    with override_settings(**given):
        loaded = load()

    assert list(loaded.processes) == list(given[PROCESSES])


def test_the_readme_has_examples_of_settings() -> None:
    ids = [example.id for example in settings_examples()]

    assert len([name for name in ids if name.startswith("README.md")]) == 2


def test_the_keys_that_have_a_variable_are_documented() -> None:
    documented = {of: code(keys) for of, keys in table("howto/environments.md", "of", "keys")}

    assert documented == {"all": [*SUPERVISOR_KEYS], "a process": [*PROCESS_KEYS]}


# ---- the command ----


def test_every_option_of_the_command_is_documented() -> None:
    ours = Command().create_parser("manage.py", "prodserver")
    djangos = BaseCommand().create_parser("manage.py", "any")
    known = {option for action in djangos._actions for option in action.option_strings}
    options = {
        option
        for action in ours._actions
        for option in action.option_strings
        if option not in known
    }

    documented = [
        option
        for cell, _ in table("reference/command.md", "option")
        for option in code(cell)
        if option.startswith("-")
    ]

    assert sorted(documented) == sorted(options)


def test_the_calls_that_are_documented_are_understood() -> None:
    parser = Command().create_parser("manage.py", "prodserver")
    calls = [code(cell)[0].split() for cell, _ in table("reference/command.md", "call")]

    understood = [parser.parse_args(words[1:]) for words in calls if words[0] == "prodserver"]

    assert len(understood) == len(calls) - 1  # The last one is devserver.
    assert calls[-1] == ["devserver"]


def test_the_procfile_that_is_shown_is_the_one_that_is_printed() -> None:
    shown = procfile.render(["web", "janitor"])

    assert f"$ cat Procfile\n{shown}```" in read("howto/procfile.md")


# ---- states ----


def test_every_state_is_documented_in_its_own_words() -> None:
    assert table("reference/states.md", "state") == [[s.name, s.value] for s in State]


def test_every_move_is_documented() -> None:
    documented = {
        (old, new)
        for old, cell in table("reference/states.md", "from")
        for new in cell.split(", ")
        if new != "-"
    }

    assert documented == {(old.name, new.name) for old, moves in MOVES.items() for new in moves}


def test_every_state_that_can_be_reached_says_when() -> None:
    reached = [state.name for state in State if any(state in moves for moves in MOVES.values())]

    assert [to for to, _ in table("reference/states.md", "to")] == reached


# ---- checks ----


def test_every_check_is_documented() -> None:
    used = {
        found
        for file in SOURCE.rglob("*.py")
        for found in re.findall(r'"([EW]\d{3})"', file.read_text(encoding="utf-8"))
    }

    documented = [code(cell)[0] for cell, *_ in table("reference/checks.md", "id")]

    assert documented == [f"prodserver.{found}" for found in sorted(used)]


# ---- backends ----


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_backend_has_a_page_of_the_same_shape(name: str) -> None:
    page = read(f"reference/backends/{name}.md")

    assert re.findall(r"^##? (.+)$", page, re.MULTILINE) == [
        name,
        "A working configuration",
        "Start, health, stop",
        "What is set for you",
        "Good to know",
    ]
    assert f'"BACKEND": "{name}"' in page


def test_no_page_is_of_a_backend_that_there_is_not() -> None:
    assert {page.stem for page in (DOCS / "reference" / "backends").glob("*.md")} == set(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_a_page_installs_brings_what_the_backend_requires(name: str) -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    page = read(f"reference/backends/{name}.md")
    extras = {
        extra
        for found in re.findall(r'pip install "django-prodserver\[(.*?)\]"', page)
        for extra in found.split(",")
    }

    assert set(import_string(BUILT_IN[name]).requires.values()) <= extras
    assert all(re.search(rf"^{extra} = \[", pyproject, re.MULTILINE) for extra in extras)


def own_backends() -> list[str]:
    blocks = re.findall(r"```python\n(.*?)```", read("howto/own-backend.md"), re.DOTALL)
    # The one with a __future__ import has to be first where they are one module.
    return sorted(blocks, key=lambda block: "__future__" not in block)


def test_the_backend_of_the_how_to_is_one() -> None:
    names: dict[str, Any] = {}
    for block in own_backends():
        exec(block, names)
    server = names["WsgirefServer"]

    assert list(server(ARGS="127.0.0.1:8000").problems()) == []
    assert server(ARGS="127.0.0.1:8000").addresses() == [(("127.0.0.1", 8000), False)]
    assert [problem.place for problem in server(ARGS=[]).problems()] == ["ARGS"]
    with pytest.raises(ValueError, match="is not host:port"):
        server(ARGS="127.0.0.1").addresses()


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_the_backends_of_the_how_to_have_the_right_types(tmp_path: Path) -> None:
    """Those of the template among them, which the how-to shows."""
    (tmp_path / "backends.py").write_text("\n".join(own_backends()))
    # django-stubs may not be installed, and what is imported is not what is tested.
    options = ["--strict", "--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
    path = {} if SOURCE.parent.name == "site-packages" else {"MYPYPATH": str(SOURCE.parent)}

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--no-error-summary", "backends.py"],
        cwd=tmp_path,
        env={**os.environ, **path},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )

    assert (checked.stdout, checked.returncode) == ("", 0)


def test_everything_that_a_backend_can_declare_is_documented() -> None:
    declared = {
        name: value
        for name, value in vars(BaseServerBackend).items()
        if not name.startswith("_") and not callable(value) and name != "instance"
    }
    defined = {
        name
        for name, value in vars(BaseServerBackend).items()
        if not name.startswith("_") and callable(value)
    }

    attributes = table("howto/own-backend.md", "attribute")
    methods = [
        *table("howto/own-backend.md", "method", "when it is called"),
        *table("howto/own-backend.md", "method", "returns"),
    ]

    assert {code(name)[0]: eval(code(default)[0]) for name, default, _ in attributes} == declared
    assert {code(call)[0].partition("(")[0] for call, _ in methods} == defined


# ---- signals, exit statuses ----


def test_every_handled_signal_is_documented_with_its_exit_status() -> None:
    rows = table("reference/signals-and-exit-statuses.md", "signal")

    assert {signal: status for signal, _, status in rows} == {
        signal.name: str(STOP_SIGNALS.get(signal, "-")) for signal in HANDLED
    }


def test_the_exit_statuses_of_signals_are_right() -> None:
    rows = dict(table("reference/signals-and-exit-statuses.md", "what happened"))
    killed = [128 + signal for signal in (Signals.SIGTERM, Signals.SIGQUIT, Signals.SIGINT)]

    assert rows["stdout is gone (EPIPE), everything was stopped"] == str(128 + Signals.SIGPIPE)
    assert rows["a second SIGTERM, SIGQUIT or SIGINT (signal n)"] == "128 + n: {}, {} or {}".format(
        *killed
    )
    for name in ("SIGTERM", "SIGQUIT", "SIGINT"):
        (status,) = [
            status
            for what, status in rows.items()
            if name in what.partition(",")[0] and "everything stopped in time" in what
        ]
        assert status == str(STOP_SIGNALS[Signals[name]])


# ---- output ----


def changed(new: State, old: State = State.RUNNING, **values: Any) -> StateChanged:
    name = values.pop("name", "web.1")
    return StateChanged(name=name, old=old, new=new, **values)


EVERYTHING = "stopping everything"
ANEW = "restarting in 0.50 s"
ZERO, THREE, KILLED = ExitStatus(code=0), ExitStatus(code=3), ExitStatus(signal=9)
OF_MEMORY = {"out_of_memory": True, "memory": 530 * 10**6}
NOT_READY = {"old": State.STARTING, "ready": False, "after": 0.4}
LINES = [
    changed(State.RUNNING, State.STARTING, after=0.15, pid=12),
    changed(State.EXITED, State.STARTING, name="migrate.1", status=ZERO, expected=True, after=1.2),
    AllReady(2, 0.61),
    AllFinished(2, 1.63),
    SignalTaken(Signals.SIGTERM, EVERYTHING),
    SignalTaken(Signals.SIGTERM, "killing everything"),
    SignalTaken(Signals.SIGUSR1, "passed on"),
    SignalTaken(Signals.SIGHUP, "ignored"),
    changed(State.EXITED, State.STOPPING, lasted=0.21, status=ZERO, expected=True),
    changed(State.EXITED, State.STOPPING, lasted=0.21, status=THREE),
    changed(
        State.EXITED,
        State.STOPPING,
        lasted=0.21,
        status=ZERO,
        expected=True,
        consequence=ANEW,
    ),
    changed(State.EXITED, after=126, status=THREE, consequence=EVERYTHING),
    changed(State.EXITED, after=126, status=ExitStatus(signal=11), consequence=EVERYTHING),
    changed(State.EXITED, after=126, status=KILLED, consequence=EVERYTHING),
    changed(State.EXITED, after=126, status=KILLED, consequence=EVERYTHING, **OF_MEMORY),
    changed(State.EXITED, status=THREE, consequence=ANEW, **NOT_READY),
    changed(
        State.EXITED, status=THREE, consequence="restarting in 2.00 s", restarts=2, **NOT_READY
    ),
    changed(
        State.EXITED, after=126, status=THREE, reason="No space left on device", consequence=ANEW
    ),
    changed(State.EXITED, after=126, status=ZERO, consequence="restarting"),
    StillRunning(("web.1", "worker.1"), 24.0),
    LastStep("worker.1", Signals.SIGQUIT),
    changed(State.KILLING, State.STOPPING, reason="did not stop within 25 s"),
    changed(State.EXITED, State.KILLING, status=KILLED),
    changed(State.EXITED, State.KILLING, status=KILLED, consequence=ANEW),
    Unwell("web.1", "connection to localhost:8000 refused", 1, 3),
    changed(State.STOPPING, reason="is unhealthy: no answer within 3 s, 3 times in a row"),
    changed(State.STOPPING, reason="is unhealthy: no WATCHDOG=1 for 30 s"),
    changed(State.STOPPING, reason="is unhealthy: it said WATCHDOG=trigger"),
    changed(State.STOPPING, reason="was not ready within 60 s"),
    changed(State.STOPPING, reason="uses 530 MB, its MAX_MEMORY is 512 MB"),
    changed(
        State.FATAL,
        State.STARTING,
        reason="Resource temporarily unavailable",
        consequence=EVERYTHING,
    ),
    changed(
        State.FATAL,
        State.EXITED,
        reason="5 starts in 60 s, its START_LIMIT",
        consequence=EVERYTHING,
    ),
    AllStopped(0, 0.21),
]
# What is not a word of report.py, by its beginning.
OTHER_LINES = (
    *("supervising ", "killed what was left behind: ", "web.1: 3 messages to "),
    *("the preload left the thread ", "starting by spawn: "),
    *("starting cluster by spawn: ", "cluster will not see "),
)


@pytest.mark.parametrize("effect", LINES, ids=lambda effect: str(report.line(effect)))
def test_every_line_of_the_report_is_documented(effect: Any) -> None:
    assert report.line(effect) in documented_lines()


def documented_lines() -> list[str]:
    pages = [rows[1:] for rows in tables(read("reference/output.md")) if rows[0][0] == "line"]
    return [code(cell)[0] for rows in pages for cell, _ in rows]


def test_no_line_is_documented_that_nobody_says() -> None:
    known = {report.line(effect) for effect in LINES}

    unknown = [line for line in documented_lines() if line not in known]

    assert [line for line in unknown if not line.startswith(OTHER_LINES)] == []


def shape(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"[\w-]+\.\d+\b(?! s\b)", "NAME", line)
    line = re.sub(r"NAME(, NAME)+", "NAME", line)
    line = re.sub(r"SIG[A-Z]+", "SIGNAL", line)
    return re.sub(r"\d+(\.\d+)?", "N", line)


@pytest.mark.parametrize("page", ["explanation/how-it-stops.md", "reference/output.md"])
def test_the_logs_that_are_shown_have_only_documented_lines(page: str) -> None:
    known = {shape(line) for line in documented_lines()}
    shown = re.findall(r"^\d\d:\d\d:\d\d system +\| (.*)$", read(page), re.MULTILINE)

    assert shown
    assert [line for line in shown if shape(line) not in known] == []


# ---- what is generated ----


@pytest.mark.parametrize(
    "tool", ["backends_reference.py", "settings_reference.py", "state_diagram.py"]
)
def test_what_is_generated_is_up_to_date(tool: str) -> None:
    stale = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool)],
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout

    assert stale == "", f"PYTHONPATH=src python tools/{tool} --write"


def test_the_usual_lives_are_made_of_legal_moves() -> None:
    for life, _ in table("reference/states.md", "a life"):
        states = [State[name] for name in life.split(", ")]

        assert states[0] is State.STOPPED
        assert all(new in MOVES[old] for old, new in zip(states, states[1:])), life
