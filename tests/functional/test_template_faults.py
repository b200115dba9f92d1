"""Faults of a template, and what happens to the starts that wait for it.

The supervisor's side runs in this process. The templates are separate processes that behave as
`template_faults` defines.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import psutil
import pytest

from django_prodserver.logs.formats import TextFormat
from django_prodserver.posix import marks
from django_prodserver.posix.child import quiet_fork
from django_prodserver.posix.signals import SignalPipe
from django_prodserver.posix.system import PosixSystem
from django_prodserver.posix.template import templates
from django_prodserver.posix.template.channel import Channel, pair
from django_prodserver.posix.template.handover import Command
from django_prodserver.posix.template.templates import First
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import (
    Event,
    Exited,
    GroupGone,
    PreloadFailed,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.spec import Ref
from tests.functional.template_faults import (
    BEHAVIOURS,
    GARBLED,
    PROGRAMS,
    Template,
    no_descriptor,
)
from tests.functional.test_unkillable import held
from tests.running import gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates take a subreaper")

ROOT = Path(__file__).parents[2]
# Each of these fails, before or after a fork, and is replaced by one that behaves well.
REPLACED = [
    *("dies_before", "dies_between", "is_killed_while_it_forks", "never_answers", "stops"),
    *("never_loads", "dies_once_it_is_loaded", "is_of_another_version", "closes_its_channel"),
    *("closes_it_when_asked", *GARBLED),
]


class Opened:
    """A system whose first template behaves as `first`, and its replacements as `then`."""

    def __init__(self, folder: Path, first: str, then: str, fresh: Sequence[str]) -> None:
        self.folder = folder
        self._closed = False
        self._numbers = iter(range(1, 10_000))
        (folder / "late").write_text("well")
        run, supervisor = marks.new_run(), os.getpid()
        ours, theirs = pair()
        self.template = quiet_fork()
        if self.template == 0:
            try:
                ours.close()
                BEHAVIOURS[first](Template(Channel(theirs), supervisor, run, folder))
            finally:
                os._exit(1)
        theirs.close()
        argv = [sys.executable, "-m", "tests.functional.template_faults", then, str(folder)]
        command = Command(argv, str(ROOT), dict(os.environ))
        self._signals = SignalPipe([])
        self.system = PosixSystem(
            *(PROGRAMS, {"stdout": TextFormat(["web.1"])}, self._signals),
            begin_from=First(Channel(ours), self.template, command, run, fresh=fresh),
        )
        # As the supervisor does: the template may have exited before SIGCHLD was handled.
        signal.raise_signal(signal.SIGCHLD)

    def close(self) -> None:
        """Close the system, unless it is closed already."""
        if not self._closed:
            self._closed = True
            self.system.close()
            self._signals.close()

    def begin(self, name: str = "web.1") -> Ref:
        ref = Ref(name, 0, next(self._numbers))
        self.system.spawn(ref)
        return ref

    def until(self, *wanted: Event) -> list[Event]:
        """All events until these have happened."""
        happened: list[Event] = []
        while not {*map(repr, wanted)} <= {*map(repr, happened)}:
            happened += self.system.wait(None)
        return happened

    def until_there_is(self, kind: type[Event]) -> Any:
        happened: list[Event] = []
        while not any(isinstance(event, kind) for event in happened):
            happened += self.system.wait(None)
        return next(event for event in happened if isinstance(event, kind))

    def end_life(self, ref: Ref) -> None:
        self.system.kill(ref, SIGKILL, group=True)
        self.until(GroupGone(ref))

    def lives(self, ref: Ref) -> bool:
        """Whether it is alive: no failed template has killed it, as a supervisor's exit would."""
        pid = self.system.pid(ref)
        return pid is not None and not gone(pid)

    def has_run(self, name: str, other: Ref) -> bool:
        """Whether an instance has run; otherwise its process, if any, has exited by then.

        `other` is the only other life.
        """
        lives = self.folder / "lives"
        while True:
            if lives.exists() and name in lives.read_text().split():
                return True
            children = {child.pid for child in psutil.Process().children()}
            if not children - self.templates() - {self.system.pid(other)}:
                return False
            self.system.wait(0.01)

    def templates(self) -> set[int]:
        return self.system._starter.pids

    def wait_for_another(self, than: set[int]) -> None:
        """Run the system until there is a new template."""
        while not self.templates() - than:
            self.system.wait(0.01)

    def fds(self) -> int:
        """The number of descriptors that the first template has while it waits for a request."""
        while psutil.Process(self.template).status() != psutil.STATUS_SLEEPING:
            self.system.wait(0.001)
        return len(os.listdir(f"/proc/{self.template}/fd"))

    def until_fds(self, number: int) -> None:
        """Needed because the template also sleeps while it answers, with more descriptors."""
        while self.fds() > number:
            self.system.wait(0.001)


Open = Callable[..., Opened]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens systems; at the end nothing is open and no process is left."""
    monkeypatch.setattr(templates, "FIRST_PAUSE", 0.01)
    before = sorted(os.listdir("/proc/self/fd"))

    def open(first: str = "well", then: str = "well", fresh: Sequence[str] = ()) -> Opened:
        made = Opened(tmp_path, first, then, fresh)
        systems.callback(made.close)
        return made

    with ExitStack() as systems:
        yield open
    assert sorted(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice a hanging template soon."""
    monkeypatch.setattr(templates, "FORK_WITHIN", 0.5)
    monkeypatch.setattr(templates, "LOAD_WITHIN", 5.0)


@pytest.fixture
def fails(opened: Open, hurried: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Opened]:
    """Opens systems whose first template behaves like this; hanging is noticed soon."""

    def open(behaviour: str) -> Opened:
        if behaviour != "never_loads":
            return opened(behaviour)
        monkeypatch.setattr(templates, "LOAD_WITHIN", 0.5)
        system = opened(behaviour)
        monkeypatch.setattr(templates, "LOAD_WITHIN", 5.0)
        return system

    return open


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[Opened], list[str]]:
    """Close the system, and return the lines of its log."""

    def close(opened: Opened) -> list[str]:
        opened.close()
        return capfd.readouterr().out.splitlines()

    return close


Fails = Callable[[str], Opened]
Said = Callable[[Opened], list[str]]


# ---- the start of a life ----


@pytest.mark.parametrize("behaviour", REPLACED)
def test_a_start_waits_for_another_template_if_the_first_template_fails(
    fails: Fails, said: Said, behaviour: str
) -> None:
    system = fails(behaviour)
    ref = system.begin()

    assert system.until(Spawned(ref)) == [Spawned(ref)]
    while system.template in system.templates():
        system.system.wait(0.01)
    lines = said(system)
    assert [line for line in lines if "alive" in line][1:] == []
    assert not [line for line in lines if "Traceback" in line]


@pytest.mark.parametrize("behaviour", ["well", "dies_after"])
def test_a_life_survives_the_death_of_its_template(opened: Open, behaviour: str) -> None:
    system = opened(behaviour)
    ref = system.begin()
    system.until(Spawned(ref))
    if behaviour == "well":
        os.kill(system.template, SIGKILL)
    system.wait_for_another({system.template})

    assert system.system.wait(0) == []
    other = system.begin()
    assert system.until(Spawned(other)) == [Spawned(other)]


@pytest.mark.parametrize("behaviour", ["well", *REPLACED, "dies_after", "is_refused"])
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_cancelled_start_never_runs_unless_it_was_reported_as_started(
    fails: Fails, behaviour: str, rounds: int
) -> None:
    system = fails(behaviour)
    ref = system.begin()
    answers = [event for _ in range(rounds) for event in system.system.wait(0)]
    system.system.cancel_spawn(ref)
    answers += system.system.wait(0)

    (answer,) = [event for event in answers if not isinstance(event, (Exited, GroupGone))]
    assert answer == Spawned(ref) or isinstance(answer, SpawnFailed)
    if answer != Spawned(ref):
        # A template forks one process at a time: by its answer it has done what was cancelled.
        other = system.begin("web.2")
        assert system.until_there_is((Spawned, SpawnFailed)).ref == other  # type: ignore[arg-type]
        assert not system.has_run("web.1", other)


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_start_requested_from_a_stopped_template_can_be_cancelled(
    opened: Open, order: str
) -> None:
    system = opened()
    begun = system.begin()
    system.until(Spawned(begun))
    system.end_life(begun)
    os.kill(system.template, SIGSTOP)
    if order == "first":
        cancelled, other = system.begin("web.2"), system.begin("web.3")
    else:
        other, cancelled = system.begin("web.3"), system.begin("web.2")
    system.system.cancel_spawn(cancelled)
    assert system.until_there_is(SpawnFailed).ref == cancelled
    os.kill(system.template, SIGCONT)

    assert system.until(Spawned(other)) == [Spawned(other)]
    assert not system.has_run("web.2", other)


def test_a_start_refused_by_the_template_reports_the_error(opened: Open) -> None:
    system = opened("is_refused")
    for _ in range(3):
        system.begin()
        failed = system.until_there_is(SpawnFailed)
        assert failed.error == f"[Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}"


def test_a_process_killed_before_it_runs_counts_as_a_failed_start(opened: Open, said: Said) -> None:
    system = opened("answers_after_the_death")
    system.begin()
    failed = system.until_there_is(SpawnFailed)
    ref = system.begin()

    assert failed.error == "it was killed by SIGKILL before it began"
    assert system.until(Spawned(ref)) == [Spawned(ref)]


def test_three_hundred_starts_at_once_succeed_and_leave_no_descriptor_open(opened: Open) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        system = opened()
        first = system.begin()
        system.until(Spawned(first))
        fds = system.fds()
        refs = [system.begin() for _ in range(300)]
        system.until(*map(Spawned, refs))
        system.until_fds(fds)
        system.end_life(first)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_start_succeeds_after_a_template_with_hundreds_of_lives_is_killed(opened: Open) -> None:
    system = opened()
    refs = [system.begin() for _ in range(300)]
    system.until(*map(Spawned, refs))
    os.kill(system.template, SIGKILL)
    ref = system.begin()

    assert Spawned(ref) in system.until(Spawned(ref))
    for one in refs:
        system.system.kill(one, SIGKILL, group=True)


# ---- descriptors ----


def test_a_supervisor_out_of_descriptors_resumes_starts_once_it_has_some(
    opened: Open, said: Said
) -> None:
    system = opened()
    ref = system.begin()
    system.until(Spawned(ref))
    for spare in range(6):
        with no_descriptor(spare):
            system.begin()
            assert system.until_there_is((Spawned, SpawnFailed))  # type: ignore[arg-type]
    os.kill(system.template, SIGKILL)
    for spare in range(12):
        with no_descriptor(spare):
            system.begin()
            system.system.wait(0.02)
    other = system.begin()

    assert Spawned(other) in system.until(Spawned(other))
    assert system.lives(ref)


@pytest.mark.parametrize("fresh", [(), ("make",)])
def test_a_stage_is_loaded_once_the_supervisor_has_descriptors_again(
    opened: Open, fresh: Sequence[str]
) -> None:
    for spare in range(14):
        system = opened(fresh=fresh)
        first = system.begin()
        system.until(Spawned(first))
        with no_descriptor(spare):
            system.begin("late.1")
            system.system.wait(0.02)
        ref = system.begin("late.1")

        system.until(Spawned(ref))
        assert system.lives(first)
        system.close()


@pytest.mark.parametrize("name", ["web.1", "late.1"])
def test_a_template_out_of_descriptors_refuses_starts_and_recovers(opened: Open, name: str) -> None:
    system = opened()
    system.until(Spawned(system.begin()))
    fds = system.fds()
    for spare in range(4):
        with no_descriptor(spare, system.template):
            ref = system.begin(name)
            if name == "web.1":
                failed = system.until_there_is(SpawnFailed)
                assert failed.error == f"[Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}"
            else:
                system.system.wait(0.05)
                system.system.cancel_spawn(ref)
                system.until_there_is(SpawnFailed)
        system.until_fds(fds)
    ref = system.begin(name)

    system.until(Spawned(ref))
    assert system.template in system.templates()


def test_many_replaced_templates_leave_no_descriptor_open(opened: Open) -> None:
    system = opened()
    system.until(Spawned(system.begin()))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        (template,) = system.templates()
        os.kill(template, SIGKILL)
        ref = system.begin()
        system.until(Spawned(ref))
        system.end_life(ref)
    # The output of the last template takes no more descriptors than that of the first.
    assert len(os.listdir("/proc/self/fd")) == before


# ---- stages ----


@pytest.mark.parametrize("fresh", [(), ("make",)])
def test_a_stage_is_loaded_only_once_for_several_starts(
    opened: Open, said: Said, fresh: Sequence[str]
) -> None:
    system = opened(fresh=fresh)
    refs = [system.begin("late.1") for _ in range(3)]

    system.until(*map(Spawned, refs))
    assert len(system.templates()) == 2
    assert (system.folder / "attempts").read_text() == "x"


def test_a_stage_that_cannot_be_loaded_fails_the_preload(opened: Open) -> None:
    system = opened()
    (system.folder / "late").write_text("broken")
    ref = system.begin("late.1")

    assert system.until_there_is(PreloadFailed) == PreloadFailed("it is broken.")
    other = system.begin()
    system.until(Spawned(other))  # What is already loaded can still be used.
    system.system.cancel_spawn(ref)
    assert system.until_there_is(SpawnFailed).ref == ref


def test_a_stage_that_exits_while_it_loads_fails_the_preload(opened: Open) -> None:
    system = opened()
    (system.folder / "late").write_text("raises")
    system.begin("late.1")

    failed = PreloadFailed("the template exited with status 1")
    assert system.until_there_is(PreloadFailed) == failed


@pytest.mark.parametrize("fresh", [(), ("make",)])
def test_a_stage_that_is_killed_is_loaded_again(opened: Open, fresh: Sequence[str]) -> None:
    system = opened(fresh=fresh)
    (system.folder / "late").write_text("killed once")
    ref = system.begin("late.1")

    assert system.until(Spawned(ref)) == [Spawned(ref)]
    assert (system.folder / "attempts").read_text() == "xx"


def test_a_stage_that_is_killed_each_time_is_given_up(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "GIVE_UP_AT", 0.08)
    system = opened()
    (system.folder / "late").write_text("killed")
    system.begin("late.1")

    failed = PreloadFailed("the template was killed by SIGKILL")
    assert system.until_there_is(PreloadFailed) == failed
    assert (system.folder / "attempts").read_text() == "xxxx"  # Again after 0.01, 0.02, 0.04 s.


@pytest.mark.parametrize("how", ["broken", "raises", "killed"])
def test_a_stage_that_was_loaded_before_is_retried_until_it_loads_again(
    opened: Open, how: str
) -> None:
    system = opened()
    system.until(Spawned(system.begin("late.1")))
    (stage,) = system.templates() - {system.template}
    (system.folder / "late").write_text(how)
    os.kill(stage, SIGKILL)
    attempts = system.folder / "attempts"
    while len(attempts.read_text()) < 3:
        assert system.system.wait(0.01) == []
    ref = system.begin("late.1")
    (system.folder / "late").write_text("well")

    assert system.until(Spawned(ref)) == [Spawned(ref)]


def test_a_stage_that_hangs_is_killed(
    opened: Open, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "LOAD_WITHIN", 0.3)
    system = opened()
    (system.folder / "late").write_text("hangs")
    ref = system.begin("late.1")
    while not (system.folder / "pid").exists():
        system.system.wait(0.01)
    (system.folder / "late").write_text("well")

    assert system.until(Spawned(ref)) == [Spawned(ref)]
    assert f"system | {report.template_late(0.3).message}" in said(system)


@pytest.mark.parametrize("fresh", [(), ("make",)])
def test_a_stage_can_request_that_its_processes_are_executed_afresh(
    opened: Open, said: Said, fresh: Sequence[str]
) -> None:
    system = opened(fresh=fresh)
    (system.folder / "late").write_text("executes")
    refs = [system.begin("late.1") for _ in range(2)]

    system.until(*map(Spawned, refs))
    refs.append(system.begin("late.1"))
    system.until(Spawned(refs[-1]))
    assert not any("alive" in line for line in said(system))


@pytest.mark.parametrize("behaviour", [one for one in REPLACED if one != "never_loads"])
def test_a_stage_waits_for_the_template_that_it_is_forked_from(
    opened: Open, hurried: None, behaviour: str
) -> None:
    system = opened(behaviour)
    refs = [system.begin("late.1"), system.begin()]

    system.until(*map(Spawned, refs))
    assert (system.folder / "attempts").read_text() == "x"


def test_a_stage_whose_start_was_cancelled_serves_the_next_start(opened: Open) -> None:
    system = opened()
    os.kill(system.template, SIGSTOP)
    system.system.cancel_spawn(system.begin("late.1"))
    os.kill(system.template, SIGCONT)
    ref = system.begin("late.1")

    system.until(Spawned(ref))


# ---- templates that keep failing ----


def test_a_template_that_keeps_dying_is_started_at_growing_intervals(
    opened: Open, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "FIRST_PAUSE", 0.05)
    system = opened("dies_before", then="dies_before")
    ref = system.begin()
    seen: set[int] = set()
    while len(seen) < 5:
        assert system.system.wait(0.01) == []
        seen |= system.templates()
    system.system.cancel_spawn(ref)

    how = "exited with status 3"
    pauses = (0.05 * 2**number for number in range(10))
    records = [report.template_ended(how), *(report.template_failed(how, one) for one in pauses)]
    lines = [line for line in said(system) if how in line]
    assert lines == [f"system | {one.message}" for one in records[: len(lines)]]
    assert len(lines) >= 4


def test_a_template_that_cannot_be_killed_is_left_behind(
    opened: Open, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    monkeypatch.setattr(templates, "FORK_WITHIN", 0.3)
    monkeypatch.setattr(templates, "LOSE_AFTER", 0.2)
    system = opened("never_answers")
    ref = system.begin()
    with held(system.template):
        assert system.until(Spawned(ref)) == [Spawned(ref)]
        assert system.template in system.templates()
    while system.template in system.templates():
        system.system.wait(0.01)
    line = report.template_ended(f"has survived SIGKILL (pid {system.template})").message
    assert f"system | {line}" in said(system)


# ---- shutdown ----


@pytest.mark.parametrize(
    "behaviour", ["well", "never_loads", "closes_its_channel", "never_answers", "stops"]
)
def test_the_supervisor_ends_soon_whatever_its_template_does(
    opened: Open, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "END_WITHIN", 5.0)
    system = opened(behaviour)
    if behaviour in ("never_answers", "stops"):
        monkeypatch.setattr(templates, "END_WITHIN", 0.5)
        system.begin()
    for _ in range(10):
        system.system.wait(0.01)
    began = time.monotonic()
    system.close()

    assert time.monotonic() - began < 4.0


def test_a_stage_that_is_still_loading_does_not_delay_the_shutdown(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "END_WITHIN", 5.0)
    system = opened()
    (system.folder / "late").write_text("hangs")
    system.begin("late.1")
    while not (system.folder / "pid").exists():
        system.system.wait(0.01)
    began = time.monotonic()
    system.close()

    assert time.monotonic() - began < 4.0
