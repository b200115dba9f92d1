"""Each of the wrong settings is refused with its message; no traceback, and nothing is started.

Each is tried three times: in this process, where what is left behind can be seen; through
`execute_from_command_line` in a process of its own, where exit status, stdout and stderr are seen
and every attempt to start something is caught; and `manage.py check` there, too. Those processes
are forked from one that has imported Django already, because an interpreter for each would take a
minute of the processor. A few of every kind are started by `manage.py` all the same, to show that
there is no difference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from django_prodserver.checks import check_settings
from tests.corpus import NAMES, wrong
from tests.inside import NOT_SET, refused
from tests.running import QUICKSTART, ROOT

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def nothing_started() -> Iterator[None]:
    """No process and no thread is there that was not there before."""
    before = psutil.Process().children(), threading.enumerate()
    yield
    assert (psutil.Process().children(), threading.enumerate()) == before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("nothing_started")
def test_wrong_settings_are_refused_with_their_message(name: str) -> None:
    case = wrong(name)

    with case.in_force():
        said = refused(NOT_SET, "--check")
        assert case.expects(said), said
        assert refused(NOT_SET, "--all") == said

        # What the system checks cannot tell is told once the software is asked, or imported.
        checked = [f"{one.msg} {one.hint or ''}".rstrip() for one in check_settings()]
        assert checked in ([], said)
        names = case.settings.get("PRODUCTION_PROCESSES") or ()
        if checked and len(names) == 1:
            assert refused(NOT_SET, *map(str, names)) == said


def test_a_user_gets_them_on_stderr_with_exit_status_1() -> None:
    runs = each("prodserver", "--all")

    assert list(runs) == NAMES
    assert [name for name, run in runs.items() if not is_refusal(name, run)] == []


def test_manage_py_check_fails_without_a_traceback() -> None:
    runs = each("check")

    assert list(runs) == NAMES
    assert {name: run for name, run in runs.items() if "Traceback" in run["stderr"]} == {}
    assert {name: run["started"] for name, run in runs.items() if run["started"]} == {}
    # Some cannot be told without the software, and a warning is no failure.
    assert {run["status"] for run in runs.values()} == {0, 1}


SAMPLE = [
    "circle",
    "env_of_a_wrong_item",
    "gunicorn_unknown_option",
    "module_that_does_not_exist",
    "name_with_a_space",
    "package_that_is_not_installed",
    "processes_not_set",
    "supervisor_module_that_cannot_be_preloaded",
    "two_beats",
    "unknown_key",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_manage_py_says_the_same(name: str) -> None:
    manage = [sys.executable, str(QUICKSTART / "manage.py"), "prodserver", "--all"]
    variables = {
        "DJANGO_SETTINGS_MODULE": f"tests.bad_settings.{name}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(":")]),
    }
    ended = subprocess.run(
        manage, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60
    )

    run = {"status": ended.returncode, "stdout": ended.stdout, "stderr": ended.stderr}
    assert is_refusal(name, {**run, "started": ""}), run


def each(*arguments: str) -> dict[str, dict[str, Any]]:
    """What came of a command with each of them, each in a process of its own."""
    driver = [sys.executable, "-m", "tests.bad_settings_driver", *arguments]
    ended = subprocess.run(driver, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    runs: dict[str, dict[str, Any]] = json.loads(ended.stdout)
    return runs


def is_refusal(name: str, run: dict[str, Any]) -> bool:
    first, *others = run["stderr"].splitlines() or [""]
    said = [first.replace("CommandError: ", "", 1), *others]
    right = (
        (run["status"], run["stdout"], run["started"]) == (1, "", "")
        and first.startswith("CommandError: ")
        and wrong(name).expects(said)
    )
    if not right:
        print(name, json.dumps(run, indent=2))
    return right
