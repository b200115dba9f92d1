"""The reference pages say what the code says; the examples that they show work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any, Optional

import pytest
from django.core.management.base import BaseCommand
from django.test import override_settings
from django.utils.module_loading import import_string

import django_prodserver
from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.base import Address, BaseServerBackend
from django_prodserver.management.commands import devserver
from django_prodserver.management.commands.prodserver import Command
from django_prodserver.posix.template import protocol
from django_prodserver.settings.load import load
from django_prodserver.settings.names import PROCESSES
from django_prodserver.settings.variables import PROCESS_KEYS, SUPERVISOR_KEYS
from django_prodserver.supervisor import pump, report
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.facts import (
    AllFinished,
    AllReady,
    AllStopped,
    CheckFailed,
    ChecksFailed,
    Ended,
    Escalated,
    Fact,
    Killing,
    LifeState,
    Lost,
    NoAnswer,
    NotChecked,
    NotPreloaded,
    NotReady,
    Ready,
    ReloadBegun,
    Reloaded,
    ReloadFailed,
    RenewalFailed,
    ReportsLost,
    Restart,
    SignalEffect,
    SignalReceived,
    Started,
    StartLimitReached,
    StartRefused,
    State,
    StateChanged,
    StillRunning,
    StopEverything,
    Stopping,
    TooMuchMemory,
    Updated,
    WaitingToFinish,
    WatchdogSilent,
    WatchdogTriggered,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.life import TABLE
from django_prodserver.supervisor.signals import HANDLED, STOP_SIGNALS, STOP_SIGNALS_AT_TERMINAL
from django_prodserver.supervisor.spec import CheckSchedule, Ref, RestartPolicy, Spec
from tests.inside import prodserver, sleeper
from tests.simulation.world import Behaviour, Child, World

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
    """The rows of the one table that begins with these columns, in this section."""
    text = read(page)
    if section:
        (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    (found,) = [rows for rows in tables(text) if tuple(rows[0][: len(header)]) == header]
    return found[1:]


def code(cell: str) -> list[str]:
    """The text in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# ---- settings ----


def settings_examples() -> list[Any]:
    examples = []
    for page in PAGES:
        blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks):
            if PROCESSES in block:
                # That project does not exist here.
                block = block.replace("from mysite.settings import *\n", "")
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
    documented = {of: code(keys) for of, keys in table("configure/environments.md", "of", "keys")}

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


def test_every_documented_call_has_valid_arguments() -> None:
    commands = {"prodserver": Command(), "devserver": devserver.Command()}
    calls = [one.split() for cell, _ in table("reference/command.md", "call") for one in code(cell)]

    for name, *words in calls:
        commands[name].create_parser("manage.py", name).parse_args(words)

    assert {name for name, *_ in calls} == {*commands}


def test_the_page_shows_the_procfile_that_prodserver_prints() -> None:
    shown = prodserver({"web": sleeper(), "janitor": sleeper()}, "--procfile")

    assert f"$ cat Procfile\n{shown}```" in read("deploy/procfile.md")


# ---- states ----


def test_every_state_is_documented_with_its_description_in_the_code() -> None:
    assert table("reference/states.md", "state", "meaning") == [[s.name, s.value] for s in State]


def test_every_state_transition_of_a_life_is_documented() -> None:
    assert table("reference/states.md", "from") == [
        [old.name, cause.name, new.name] for old in LifeState for cause, new in TABLE[old].items()
    ]


def test_the_page_lists_when_each_state_is_entered() -> None:
    assert [to for to, _ in table("reference/states.md", "to")] == [s.name for s in State]


def crash(**more: Any) -> Behaviour:
    return Behaviour(exits_after=1.0, status=ExitStatus(code=3), **more)


ALWAYS = RestartPolicy.ALWAYS
WAITS = Spec("web.1", after=frozenset({"migrate.1"}), stop_timeout=1.0)
# The children that produce each of the state sequences on the page, in its order.
SEQUENCES = [
    [Child(Spec("web.1"))],
    [Child(WAITS), Child(Spec("migrate.1", oneshot=True), (Behaviour(exits_after=1.0),))],
    [Child(WAITS), Child(Spec("migrate.1", oneshot=True), (crash(),))],
    [Child(Spec("web.1", oneshot=True), (crash(),))],
    [Child(Spec("web.1", stop_timeout=1.0), (Behaviour(stops_after=None),))],
    [Child(Spec("web.1", restart=ALWAYS), (crash(), Behaviour()))],
    [Child(Spec("web.1", restart=ALWAYS, backoff_initial=0), (crash(), Behaviour()))],
    [
        Child(
            Spec("web.1", restart=ALWAYS, check=CheckSchedule(retries=1)),
            (Behaviour(health=("HTTP 500",)), Behaviour()),
        )
    ],
    [
        Child(
            Spec("web.1", oneshot=True, restart=RestartPolicy.ON_FAILURE, start_burst=2), (crash(),)
        )
    ],
    [Child(Spec("web.1"), (Behaviour(cannot_start="no memory"),))],
    [Child(Spec("web.1", restart=ALWAYS), (Behaviour(cannot_start="no memory"), Behaviour()))],
]


def test_the_documented_sequences_of_states_match_simulated_runs() -> None:
    shown = [states.split(", ") for states, _ in table("reference/states.md", "states")]

    assert len(shown) == len(SEQUENCES)
    for states, children in zip(shown, SEQUENCES):
        run = seen(children)
        # The run may go on: the page does not repeat how each process stops.
        assert run[: len(states)] == states
        assert run[len(states) :] in ([], ["STOPPING", "EXITED", "STOPPED"])


def seen(children: Sequence[Child]) -> list[str]:
    """The states of the first child that users see; everything is stopped after a minute."""
    world, states = World(children, [(60.0, Signals.SIGTERM)]), []

    def observe(fact: Fact) -> None:
        if isinstance(fact, StateChanged) and fact.name == children[0].spec.name:
            states.append(fact.new.name)

    pump.run(Group([child.spec for child in children]), world, [*world.observers, observe])
    return states


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


def test_no_page_describes_a_backend_that_does_not_exist() -> None:
    assert {page.stem for page in (DOCS / "reference" / "backends").glob("*.md")} == set(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_extras_on_a_backend_page_install_its_requirements(name: str) -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    page = read(f"reference/backends/{name}.md")
    extras = {
        extra
        for found in re.findall(r'pip install "\.\./django-prodserver\[(.*?)\]"', page)
        for extra in found.split(",")
    }

    assert set(import_string(BUILT_IN[name]).requires.values()) <= extras
    assert all(re.search(rf"^{extra} = \[", pyproject, re.MULTILINE) for extra in extras)


def own_backends() -> list[str]:
    blocks = re.findall(r"```python\n(.*?)```", read("extend/own-backend.md"), re.DOTALL)
    # The block with a __future__ import must come first, because they are joined into one module.
    return sorted(blocks, key=lambda block: "__future__" not in block)


def test_the_backend_in_the_how_to_works() -> None:
    names: dict[str, Any] = {}
    for block in own_backends():
        exec(block, names)
    server = names["WsgirefServer"]

    assert list(server(ARGS="127.0.0.1:8000").problems()) == []
    assert server(ARGS="127.0.0.1:8000").addresses() == [Address(("127.0.0.1", 8000))]
    assert [problem.place for problem in server(ARGS=[]).problems()] == ["ARGS"]
    with pytest.raises(ValueError, match="is not host:port"):
        server(ARGS="127.0.0.1").addresses()


@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
def test_the_backends_of_the_how_to_have_the_right_types(tmp_path: Path) -> None:
    """This includes the backends of the template, which the how-to shows."""
    (tmp_path / "backends.py").write_text("\n".join(own_backends()))
    # django-stubs may not be installed, and the imported modules are not under test.
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
    set_for_it = ("instance", "forked")
    declared = {
        name: value
        for name, value in vars(BaseServerBackend).items()
        if not name.startswith("_") and not callable(value) and name not in set_for_it
    }
    defined = {
        name
        for name, value in vars(BaseServerBackend).items()
        if not name.startswith("_") and callable(value)
    }

    attributes = table("extend/own-backend.md", "attribute")
    methods = [
        *table("extend/own-backend.md", "method", "when it is called"),
        *table("extend/own-backend.md", "method", "returns"),
    ]

    assert {code(name)[0]: eval(code(default)[0]) for name, default, _ in attributes} == declared
    assert {code(call)[0].partition("(")[0] for call, _ in methods} == defined


# ---- signals, exit statuses ----


def test_every_handled_signal_is_documented_with_its_exit_status() -> None:
    rows = table("reference/signals-and-exit-statuses.md", "signal")

    assert {signal: status for signal, _, status in rows} == {
        **{signal.name: str(STOP_SIGNALS.get(signal, "-")) for signal in HANDLED},
        "SIGHUP at a terminal": str(STOP_SIGNALS_AT_TERMINAL[Signals.SIGHUP]),
    }


def test_the_documented_exit_statuses_of_signals_are_right() -> None:
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


class Fixed:
    """The processes behind the lives that the page shows."""

    def pid(self, ref: Ref) -> int:
        return 12

    def members(self, ref: Ref) -> list[tuple[str, int]]:
        return [("sleep", 29240)]


def said(fact: Fact) -> Optional[str]:
    return report.line(fact, Fixed())


def ended(status: ExitStatus, old: LifeState = LifeState.RUNNING, **values: Any) -> Ended:
    return Ended(WEB, old, status, **{"after": 126.0, "lasted": 0.21, **values})


WEB, WORKER, MIGRATE = (Ref(f"{name}.1", 0, 1) for name in ("web", "worker", "migrate"))
EVERYTHING, AGAIN = StopEverything(), Restart(0.5)
ZERO, THREE, KILLED = ExitStatus(code=0), ExitStatus(code=3), ExitStatus(signal=9)
STARTING, STOPPING = LifeState.STARTING, LifeState.STOPPING
OF_MEMORY = {"out_of_memory": True, "memory": 530 * 10**6}
LINES: list[Fact] = [
    Ready(WEB, 0.15),
    Ended(MIGRATE, STARTING, ZERO, after=1.2, expected=True, oneshot=True),
    AllReady(2, 0.61),
    AllFinished(2, 1.63),
    SignalReceived(Signals.SIGTERM, SignalEffect.STOP),
    SignalReceived(Signals.SIGTERM, SignalEffect.KILL),
    SignalReceived(Signals.SIGUSR1, SignalEffect.FORWARD),
    SignalReceived(Signals.SIGUSR2, SignalEffect.NOTHING),
    SignalReceived(Signals.SIGHUP, SignalEffect.RELOAD),
    SignalReceived(Signals.SIGHUP, SignalEffect.NOTHING),
    ReloadBegun(1),
    Reloaded(1, 3.86),
    ReloadFailed(1, "ModuleNotFoundError: No module named 'shop'", False),
    ReloadFailed(1, RenewalFailed("web.1", NotReady(60.0)), True),
    Updated("web.1", False),
    ended(ZERO, STOPPING, expected=True),
    ended(THREE, STOPPING),
    ended(ZERO, STOPPING, expected=True, consequence=AGAIN),
    ended(THREE, consequence=EVERYTHING),
    ended(THREE, meaning="a worker failed to boot", consequence=EVERYTHING),
    ended(ExitStatus(signal=11), consequence=EVERYTHING),
    ended(KILLED, sent=True, consequence=AGAIN),
    ended(KILLED, consequence=EVERYTHING),
    ended(KILLED, consequence=EVERYTHING, **OF_MEMORY),
    ended(THREE, STARTING, after=0.4, consequence=AGAIN),
    ended(THREE, STARTING, after=0.4, consequence=Restart(2.0), restarts=2),
    ended(THREE, reported="No space left on device", consequence=AGAIN),
    ended(ZERO, consequence=Restart(0.0)),
    StillRunning(("web.1", "worker.1"), 24.0),
    StillRunning(("worker.1",), 24.0, {"worker.1": "2 tasks, oldest 14 s"}),
    WaitingToFinish(("migrate.1",), 25.0),
    Escalated(WORKER, Signals.SIGQUIT),
    Killing(WEB, 25.0),
    Lost(WEB, 5.0),
    ended(KILLED, LifeState.KILLING),
    ended(KILLED, LifeState.KILLING, consequence=AGAIN),
    CheckFailed(WEB, "connection to localhost:8000 refused", 1, 3),
    NotChecked(WEB, "Too many open files"),
    ReportsLost(WEB),
    Stopping(WEB, ChecksFailed(NoAnswer(3.0), 3)),
    Stopping(WEB, WatchdogSilent(30.0)),
    Stopping(WEB, WatchdogTriggered()),
    Stopping(WEB, NotReady(60.0)),
    Stopping(WEB, NotReady(60.0, "connection to 127.0.0.1:8000 refused")),
    Started(WEB),
    Stopping(WEB, TooMuchMemory(530 * 10**6, 512 * 10**6)),
    StartRefused("web.1", "[Errno 11] Resource temporarily unavailable", EVERYTHING),
    StartRefused("web.1", "[Errno 11] Resource temporarily unavailable", AGAIN),
    StartLimitReached("web.1", 5, 60.0, EVERYTHING),
    NotPreloaded(
        "PRODUCTION_PROCESSES['web'] cannot be loaded: SyntaxError: invalid syntax "
        "(views.py, line 3)."
    ),
    AllStopped(0, 0.21),
]
# Lines that do not report a fact of the core.
RECORDS = [
    report.template_ended("was killed by SIGKILL"),
    report.template_failed("exited with status 1", 1.0),
    report.template_late(15.0),
    report.template_of_another_version(),
    report.template_replaced(),
    report.handler_failed("shop.alerts.page", 3, 5, "TimeoutError: timed out"),
    report.handlers_failed(5, "it took longer than 30 s"),
    report.events_dropped(7),
    report.killed_orphans("web.1", [("sleep", 29240)]),
    report.needs_restart("CONTROL"),
    report.project_metrics_failed("it took longer than 2 s"),
    report.socket_not_used("api", "('127.0.0.1', 8000)"),
]
# The beginnings of lines that do not come from report.py.
OTHER_LINES = (
    *(
        "web.1: the LOG of its READY ",
        "supervising ",
        "killed what was left behind",
        "web.1: 3 messages to ",
    ),
    *("the preload left ", "starting by spawn: ", "starting by fork, though "),
    *("starting cluster by spawn: ", "cluster will not see "),
    *("SIGKILL did not end ", "some processes are left behind: ", "MAX_MEMORY has no effect: "),
    "the log was not read: ",
)


@pytest.mark.parametrize("line", [*map(said, LINES), *(one.message for one in RECORDS)])
def test_every_line_of_the_report_is_documented(line: str) -> None:
    assert line in documented_lines()


def test_every_event_that_is_not_a_fact_of_the_core_is_documented() -> None:
    documented = {
        event for cell, *_ in table("reference/output.md", "event") for event in code(cell)
    }

    assert {one.event for one in RECORDS} <= documented


def documented_lines() -> list[str]:
    pages = [rows[1:] for rows in tables(read("reference/output.md")) if rows[0][0] == "line"]
    return [code(cell)[0] for rows in pages for cell, _ in rows]


def test_every_documented_line_still_exists_in_the_code() -> None:
    known = {*map(said, LINES), *(one.message for one in RECORDS)}

    unknown = [line for line in documented_lines() if line not in known]

    assert [line for line in unknown if not line.startswith(OTHER_LINES)] == []


def shape(line: str) -> str:
    """A line without the parts that differ from run to run."""
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


# ---- how it is built ----


def test_the_architecture_page_shows_the_actual_template_protocol() -> None:
    assert protocol.__doc__ is not None
    told = re.findall(
        r"^(To a template:.*?)\n\nA stage", protocol.__doc__, re.MULTILINE | re.DOTALL
    )

    assert f"```text\n{told[0]}\n```" in read("explanation/architecture.md")


# ---- generated pages ----


@pytest.mark.parametrize(
    "tool",
    [
        "backends_reference.py",
        "command_reference.py",
        "metrics_reference.py",
        "prodctl_reference.py",
        "settings_reference.py",
        "state_diagram.py",
    ],
)
def test_the_generated_pages_are_up_to_date(tool: str) -> None:
    stale = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool)],
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    ).stdout

    assert stale == "", f"PYTHONPATH=src python tools/{tool} --write"
