"""Each of the wrong settings is refused with its message; no traceback, and nothing is started.

Each is tried twice: in this process, which shows what is left behind, and through
`execute_from_command_line` in its own process, which shows exit status, stdout and stderr, and
where every attempt to start something is caught. Those processes are forked from one that has
imported Django, because a separate interpreter for each would take minutes of CPU time. A few of
every kind also run through `manage.py`, to show that there is no difference.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from django_prodserver.checks import check_settings
from django_prodserver.launch.examine import all_findings
from django_prodserver.settings.convert import fields_of
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.load import read
from django_prodserver.settings.schema import (
    Backoff,
    HealthCheckSettings,
    ProcessSettings,
    ReadySettings,
    StartLimit,
    SupervisorSettings,
)
from tests.corpus import NAMES, wrong
from tests.inside import NOT_SET, refused
from tests.running import QUICKSTART, ROOT, Runs

# Hundreds of projects are checked, one after another.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def nothing_started() -> Iterator[None]:
    """Assert that no process and no thread is left behind."""
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
        assert "secret" not in "".join(said)
        assert refused(NOT_SET, "--all") == said

        checked = [f"{one.msg} {one.hint or ''}".rstrip() for one in check_settings()]
        if checked:
            assert checked == said
        else:
            configuration = read()
            found = all_findings(configuration, configuration.processes)
            assert all(may_need_a_start(finding) for finding in found)
        with suppress(SystemCheckError):
            call_command("check")
        names = case.settings.get("PRODUCTION_PROCESSES") or ()
        if checked and len(names) == 1 and not str(*names).startswith("-"):
            assert refused(NOT_SET, *map(str, names)) == said


def may_need_a_start(finding: Finding) -> bool:
    """Whether the system checks may miss it: they do not import the software.

    See docs/reference/checks.md.
    """
    later = ("E009", "E011", "E012", "E015", "E016", "E017")
    return finding.id in later or "it is unknown at which host and port" in finding.message


def test_the_wrong_settings_cover_every_key() -> None:
    lines = "\n".join(line for name in NAMES for line in wrong(name).lines)
    process, supervisor = "PRODUCTION_PROCESSES['web']", "PRODUCTION_SUPERVISOR"
    kinds = {
        process: ProcessSettings,
        f"{process}['START_LIMIT']": StartLimit,
        f"{process}['BACKOFF']": Backoff,
        f"{process}['READY']": ReadySettings,
        f"{process}['HEALTHCHECK']": HealthCheckSettings,
        supervisor: SupervisorSettings,
    }
    places = [f"{where}['{key}']" for where, kind in kinds.items() for key in fields_of(kind)]

    assert [
        place for place in places if not re.search(re.escape(place) + "( is| must be|:)", lines)
    ] == []
    assert len(NAMES) >= 100


def test_errors_in_settings_are_printed_on_stderr_with_exit_status_1() -> None:
    runs = each("prodserver", "--all")

    assert list(runs) == NAMES
    assert [name for name, run in runs.items() if not is_refusal(name, run)] == []


SAMPLE = [
    "after_a_circle_of_two",
    "app_missing",
    "backend_package_that_is_not_installed",
    "env_secret_beside_a_wrong_value",
    "every_key_of_a_wrong_type",
    "gunicorn_unknown_option",
    "many_mistakes",
    "processes_not_set",
    "supervisor_preload_that_does_not_exist",
    "variable_misspelt",
]


@pytest.mark.parametrize("name", SAMPLE)
def test_manage_py_reports_the_same_errors(start: Runs, name: str) -> None:
    run = manage(start, name, "prodserver", "--all")

    assert is_refusal(name, {**run, "started": ""}), run


@pytest.mark.parametrize("name", SAMPLE)
def test_manage_py_check_prints_no_traceback_and_exits_with_1_for_errors(
    start: Runs, name: str
) -> None:
    run = manage(start, name, "check")

    warning = name in ("processes_not_set", "backend_package_that_is_not_installed")
    only_at_a_start = name in ("gunicorn_unknown_option", "supervisor_preload_that_does_not_exist")
    assert ("prodserver." in run["stderr"]) is not only_at_a_start, run
    assert run["status"] == int(not only_at_a_start and not warning), run
    assert "Traceback" not in run["stderr"]


def manage(start: Runs, name: str, *arguments: str) -> dict[str, Any]:
    """The result of `manage.py` in its own interpreter."""
    case = wrong(name)
    environ = {
        **case.environment,
        "DJANGO_SETTINGS_MODULE": f"tests.bad_settings.{name}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, str(QUICKSTART / "manage.py"), *arguments]
    run = start.command(command, env=environ)
    return {"status": run.end(), "stdout": "\n".join(run.raw), "stderr": run.stderr}


def each(*arguments: str) -> dict[str, dict[str, Any]]:
    """The results of a command with each of the wrong settings, each in its own process."""
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
