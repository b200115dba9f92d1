"""Errands: how they run, what they answer, and that a hostile one does no damage.

The supervisor's side runs in this process. The errands themselves are in `errand_tasks`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any, Callable, Optional

import psutil
import pytest

from django_prodserver.logs.formats import TextFormat
from django_prodserver.posix import errands
from django_prodserver.posix.child import quiet_fork
from django_prodserver.posix.signals import SignalPipe
from django_prodserver.posix.system import PosixSystem
from tests.functional.errand_tasks import opened as opened_by
from tests.functional.template_faults import PROGRAMS, Project, no_descriptor
from tests.functional.test_generations import SERVE, loads
from tests.functional.test_system import program, system_of
from tests.functional.test_template_faults import (
    REPLACED,
    Open,
    Opened,
    Said,
    hurried,  # noqa: F401 - a fixture
    opened,  # noqa: F401
    said,  # noqa: F401
)
from tests.running import gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates take a subreaper")

Outcome = tuple[Optional[bytes], str]


class Asked(list[Outcome]):
    """Collects the outcome of an errand: empty at first, then one item."""

    def __init__(
        self, system: PosixSystem, task: str, request: Any = None, within: float = 30.0
    ) -> None:
        self._system = system
        system.errands.run(task, request, within, lambda *outcome: self.append(outcome))
        assert not self, "it comes from the loop"

    def outcome(self) -> Outcome:
        until(self._system, lambda: bool(self))
        (outcome,) = self
        return outcome


def until(system: PosixSystem, condition: Callable[[], bool]) -> None:
    while not condition():
        system.wait(0.01)


def nothing_is_left(system: PosixSystem) -> bool:
    return not system.errands.groups


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


class Here:
    """A system that has loaded the project in this process, as on macOS."""

    def __init__(self, folder: Path) -> None:
        self._signals = SignalPipe([])
        formats = {"stdout": TextFormat(["web.1"])}
        self.system = PosixSystem(PROGRAMS, formats, self._signals, begin_from=Project(folder))

    def close(self) -> None:
        self.system.close()
        self._signals.close()


@pytest.fixture(params=["template", "here"])
def system(
    request: pytest.FixtureRequest,
    opened: Open,  # noqa: F811
    tmp_path: Path,
) -> Iterator[PosixSystem]:
    with ExitStack() as stack:
        if request.param == "template":
            yield opened().system
        else:
            here = Here(tmp_path)
            stack.callback(here.close)
            yield here.system


# ---- requests, answers and environment ----


def test_an_errand_takes_plain_data_and_answers_with_bytes(system: PosixSystem) -> None:
    request = {"a": [1, 2.5, None, True, (b"\x00", "é")], 3: {"b": []}}

    assert Asked(system, "echo", request).outcome() == (repr(request).encode(), "")


def test_a_request_that_is_not_plain_data_is_refused(system: PosixSystem) -> None:
    with pytest.raises(ValueError, match="unmarshallable object"):
        Asked(system, "echo", object())

    assert system.errands.deadline is None


def test_an_errand_runs_in_a_process_set_up_like_a_life(system: PosixSystem) -> None:
    answer, _ = Asked(system, "describe").outcome()
    assert answer is not None
    found = json.loads(answer)

    assert found["parent"] == os.getpid()
    assert found["leads"]
    assert found["shown"]
    assert "/errand/1" in found["mark"]
    assert found["title"] == "prodserver: errand.describe"
    assert found["ends_with_parent"] == SIGKILL
    assert {*found["handlers"]} <= {"Handlers.SIG_DFL", "0"}
    assert found["blocked"] == []


def test_an_errand_has_only_the_descriptors_that_it_needs(
    opened: Open,  # noqa: F811
) -> None:
    system = opened()
    ref = system.begin()
    hanging = Asked(system.system, "hang")
    answer, _ = Asked(system.system, "describe").outcome()
    assert answer is not None
    found = json.loads(answer)
    kept = found["kept"]

    # Leave out what a fork of this process inherits from pytest.
    before = opened_by(system.template).items()
    found = {int(fd): what for fd, what in found["open"].items()}.items() - before
    kinds = {fd: what.partition(":")[0] for fd, what in found}
    answer_to = max(kinds)
    kinds.pop(0, None)  # Already left out if stdin of the template is /dev/null, too.
    assert kinds == {1: "pipe", 2: "pipe", answer_to: "pipe"}
    assert answer_to not in kept
    assert not hanging
    system.end_life(ref)


def test_output_of_an_errand_is_logged_under_its_name(
    system: PosixSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    assert Asked(system, "talk").outcome() == (b"", "")
    lines = capfd.readouterr().out.splitlines()

    assert sorted(lines) == ["errand.talk | err", "errand.talk | out, unfinished"]


# ---- misbehaviour ----


@pytest.mark.parametrize(
    ("task", "why"),
    [
        ("fail", "it exited with status 1"),
        ("leave", "it exited with status 7"),
        ("be_killed", "it was killed by SIGKILL"),
        ("no such task", "it exited with status 1"),
    ],
)
def test_a_failing_errand_reports_how_it_ended(system: PosixSystem, task: str, why: str) -> None:
    assert Asked(system, task).outcome() == (None, why)
    until(system, lambda: nothing_is_left(system))


def test_the_exception_of_a_failing_errand_is_logged(
    system: PosixSystem, capfd: pytest.CaptureFixture[str]
) -> None:
    Asked(system, "fail").outcome()

    assert "errand.fail | ValueError: on purpose" in capfd.readouterr().out.splitlines()


def test_a_hanging_errand_is_killed_at_its_timeout(system: PosixSystem) -> None:
    hanging = Asked(system, "hang", None, within=2)

    assert hanging.outcome() == (None, "it took longer than 2 s")
    until(system, lambda: nothing_is_left(system))


def test_processes_started_by_an_errand_are_killed_when_it_ends(
    system: PosixSystem, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Even though those processes keep its pipes open and flood them."""
    answer, why = Asked(system, "leave_others", str(tmp_path / "pids")).outcome()
    pids = json.loads((tmp_path / "pids").read_text())
    until(system, lambda: nothing_is_left(system))

    if answer is None:  # The flood reached the limit before the errand exited.
        assert why == "its answer is longer than 16 MiB"
    else:
        assert set(answer) <= {ord("x")}
    assert [pid for pid in pids if not gone(pid)] == []
    until(system, lambda: children() == system._starter.pids)
    assert "killed what was left behind by errand.leave_others: " in capfd.readouterr().out


def test_an_errand_that_floods_the_log_does_not_block_other_errands(system: PosixSystem) -> None:
    flooding = Asked(system, "flood_the_log", within=2)
    answer = Asked(system, "echo", 1).outcome()

    assert answer == (b"1", "")
    assert flooding.outcome() == (None, "it took longer than 2 s")


def test_an_answer_of_the_maximum_length_arrives_complete(system: PosixSystem) -> None:
    size = errands.LONGEST_ANSWER
    answer, why = Asked(system, "answer_at_length", size).outcome()

    assert (answer == b"x" * size, why) == (True, "")


def test_an_answer_above_the_maximum_length_is_refused(system: PosixSystem) -> None:
    asked = Asked(system, "answer_at_length", errands.LONGEST_ANSWER + 1)

    assert asked.outcome() == (None, "its answer is longer than 16 MiB")
    until(system, lambda: nothing_is_left(system))


def test_many_concurrent_errands_are_all_answered(system: PosixSystem) -> None:
    asked = [Asked(system, "echo", number) for number in range(50)]

    assert [one.outcome() for one in asked] == [(b"%d" % number, "") for number in range(50)]


def test_a_hundred_errands_leak_no_descriptors(system: PosixSystem) -> None:
    def opened_here() -> list[dict[int, str]]:
        Asked(system, "echo").outcome()
        until(system, lambda: nothing_is_left(system) and children() == system._starter.pids)
        system.wait(0)
        return [opened_by(pid) for pid in (os.getpid(), *system._starter.pids)]

    before = opened_here()
    for number in range(100):
        Asked(system, ("echo", "fail", "talk")[number % 3]).outcome()

    assert opened_here() == before
    assert system.errands.deadline is None


# ---- a template that fails ----


def test_a_running_errand_survives_the_death_of_its_template(
    opened: Open,  # noqa: F811
    tmp_path: Path,
) -> None:
    system = opened()
    os.mkfifo(tmp_path / "pipe")
    asked = Asked(system.system, "wait_for", str(tmp_path / "pipe"))
    until(system.system, lambda: bool(system.system.errands.pids))
    os.kill(system.template, SIGKILL)
    system.wait_for_another({system.template})
    (tmp_path / "pipe").write_bytes(b"answer")

    assert asked.outcome() == (b"answer", "")


@pytest.mark.parametrize("behaviour", REPLACED)
@pytest.mark.usefixtures("hurried")
def test_an_errand_waits_for_another_template(
    opened: Open,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
) -> None:
    from django_prodserver.posix.template import templates

    if behaviour == "never_loads":
        monkeypatch.setattr(templates, "LOAD_WITHIN", 0.5)
    system = opened(behaviour)
    monkeypatch.setattr(templates, "LOAD_WITHIN", 5.0)

    assert Asked(system.system, "echo", 1).outcome() == (b"1", "")


def test_an_errand_fails_if_no_template_is_ready_within_its_timeout(
    opened: Open,  # noqa: F811
) -> None:
    system = opened("never_loads")
    asked = Asked(system.system, "echo", within=0.1)

    assert asked.outcome() == (None, "it could not be started within 0.1 s")


def test_an_errand_that_timed_out_before_its_fork_never_runs(
    opened: Open,  # noqa: F811
    said: Said,  # noqa: F811
) -> None:
    system = opened()
    os.kill(system.template, SIGSTOP)
    Asked(system.system, "talk", within=0.1).outcome()
    os.kill(system.template, SIGCONT)

    assert Asked(system.system, "echo", 2).outcome() == (b"2", "")
    assert not [line for line in said(system) if line.startswith("errand.talk")]


def test_an_errand_that_cannot_be_forked_reports_the_reason(
    opened: Open,  # noqa: F811
) -> None:
    system = opened("is_refused")

    assert Asked(system.system, "echo").outcome() == (None, "[Errno 24] Too many open files")


def test_an_errand_short_of_descriptors_reports_the_error_and_leaks_none(
    system: PosixSystem,
) -> None:
    Asked(system, "echo").outcome()
    until(system, lambda: nothing_is_left(system))
    before = sorted(os.listdir("/proc/self/fd"))
    outcomes = set()
    for spare in range(16):
        with no_descriptor(spare):
            outcomes.add(Asked(system, "echo", 1).outcome())
    assert outcomes == {(None, "[Errno 24] Too many open files"), (b"1", "")}
    until(system, lambda: nothing_is_left(system))
    system.wait(0)

    assert sorted(os.listdir("/proc/self/fd")) == before


def test_an_errand_is_refused_if_the_project_is_not_loaded() -> None:
    with system_of(program("sleep", "1000")) as system:
        assert Asked(system, "echo").outcome() == (
            None,
            "this supervisor has not loaded the project",
        )


# ---- shutdown ----


def test_errands_end_when_the_supervisor_stops(system: PosixSystem) -> None:
    asked = [Asked(system, "hang"), Asked(system, "hang")]
    until(system, lambda: len(system.errands.pids) == 2)
    asked.append(Asked(system, "echo"))
    system.errands.close()
    system.errands.close()

    assert [one.outcome() for one in asked] == 3 * [(None, "the supervisor is stopping")]


def test_an_errand_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    supervisor = quiet_fork()
    if supervisor == 0:
        try:
            system = Opened(tmp_path, "well", "well", ()).system
            Asked(system, "hang", str(tmp_path / "pipe"))
            until(system, lambda: False)
        finally:
            os._exit(1)
    pid = int((tmp_path / "pipe").read_bytes())
    errand = psutil.Process(pid)
    os.kill(supervisor, SIGKILL)
    os.waitpid(supervisor, 0)

    errand.wait(30)


# ---- reloads ----

LOADS = """
class Project:
    def run_errand(self, task, request):
        return [b"the new one"]
"""
SERVES = LOADS + SERVE.replace("None", "Project()")


def test_an_errand_runs_in_the_adopted_generation(tmp_path: Path) -> None:
    with system_of(program("sleep", "1000")) as system:
        loads(system, tmp_path, SERVES)
        before = Asked(system, "any").outcome()
        system.adopt(1)

        assert before == (None, "this supervisor has not loaded the project")
        assert Asked(system, "any").outcome() == (b"the new one", "")


def test_a_waiting_errand_runs_in_the_adopted_generation(
    opened: Open,  # noqa: F811
    tmp_path: Path,
) -> None:
    system = opened().system
    (template,) = system._starter.pids
    os.kill(template, SIGSTOP)
    asked = [Asked(system, "any"), Asked(system, "any")]
    system.wait(0)
    loads(system, tmp_path, SERVES)
    assert asked == [[], []]
    system.adopt(1)

    assert [one.outcome() for one in asked] == 2 * [(b"the new one", "")]
