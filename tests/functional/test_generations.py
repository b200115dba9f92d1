"""Later loads of the project, with the supervisor's side in the process of the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from django_prodserver.posix.template.channel import Channel, pair
from django_prodserver.posix.template.handover import Command
from django_prodserver.posix.template.templates import First
from django_prodserver.supervisor.events import Event, Loaded, LoadFailed
from django_prodserver.supervisor.spec import Spec
from tests.functional.test_system import PosixSystem, program, system_of

# A template like the project's own, for a project that has nothing to fork.
TEMPLATE = """
import os, sys
from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.posix.program import Program
from django_prodserver.posix.template import serve
from django_prodserver.posix.template.order import inherited
from django_prodserver.posix.template.plan import Loaded, Plan
from django_prodserver.supervisor.spec import Spec

order = inherited()
plan = Plan(
    [Spec("web.1")],
    {"web": Program("web", execute=["sleep", "1000"])},
    LogSettings("text", False, "never", "merge", 1 << 16),
    {**os.environ, "LOADED": "again"},
    *("3", "6", "settings", False, 0.0, 0.0),
)
"""
SERVE = "serve.be_the_template(order.channel, os.getppid(), order.run, None, plan, Loaded({}))"


def loads(system: PosixSystem, folder: Path, source: str) -> Event:
    """Load the project by this program, and return the resulting event."""
    script = folder / "template.py"
    script.write_text(TEMPLATE + source)
    ours, theirs = pair()
    command = Command([sys.executable, str(script)], str(folder), dict(os.environ))
    system._starter._reloader = First(Channel(ours), 0, command, "run")
    system.load(1)
    ours.close()
    theirs.close()
    while True:
        for event in system.wait(30.0):
            if isinstance(event, (Loaded, LoadFailed)):
                return event


def test_an_adopted_generation_replaces_the_previous_generation(tmp_path: Path) -> None:
    with system_of(program("sleep", "1000")) as system:
        loaded = loads(system, tmp_path, SERVE)
        assert loaded == Loaded(1, (Spec("web.1"),))

        system.adopt(1)

        assert os.environ["LOADED"] == "again"
        assert [*system._starter._all] == [1]


def test_a_dropped_generation_leaves_the_previous_generation(tmp_path: Path) -> None:
    with system_of(program("sleep", "1000")) as system:
        loads(system, tmp_path, SERVE)

        system.drop(1)

        assert [*system._starter._all] == [0]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("sys.exit('there is no database.')", "there is no database"),
        ("os.kill(os.getpid(), 9)", "the template was killed by SIGKILL"),
        (
            "serve.VERSION += 1\n" + SERVE,
            "the new release has another version of django-prodserver: that needs a restart",
        ),
    ],
)
def test_a_generation_that_cannot_be_loaded_reports_the_reason(
    tmp_path: Path, source: str, why: str
) -> None:
    with system_of(program("sleep", "1000")) as system:
        assert loads(system, tmp_path, source) == LoadFailed(1, why)


def test_a_generation_can_be_dropped_while_it_loads(tmp_path: Path) -> None:
    with system_of(program("sleep", "1000")) as system:
        loads(system, tmp_path, "sys.exit('no')")
        system.load(2)

        system.drop(2)

        assert system._starter._loading is None
