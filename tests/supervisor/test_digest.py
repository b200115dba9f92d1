"""What the record of an unexpected end contains in addition, and how often."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from signal import Signals
from typing import Any, Optional

import pytest

from django_prodserver.supervisor import report
from django_prodserver.supervisor.digest import (
    EVERY,
    OBEYS_WITHIN,
    CoreDump,
    Digests,
    GroupMemory,
)
from django_prodserver.supervisor.events import ChangeRequest, ExitStatus, Operator, SignalRequest
from django_prodserver.supervisor.facts import (
    Ended,
    Granted,
    LifeState,
    Ready,
    Restart,
    StopEverything,
)
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.spec import Ref
from tests.supervisor.test_report import PROCESSES, WEB

THREE, SEGV, KILL = ExitStatus(code=3), ExitStatus(signal=11), ExitStatus(signal=9)
AGAIN = Restart(0.5)


class System:
    """What a digest can find out, and a clock."""

    def __init__(self) -> None:
        self.time = 100.0
        self.group: Optional[GroupMemory] = None
        self.dumped = CoreDump()
        self.said: list[Record] = []
        digests = Digests(lambda: self.time, self)
        self.observe = report.to_log(self.said.append, PROCESSES, digests.complete)

    def last_lines(self, name: str, age: float) -> Sequence[str]:
        return [f"last line of {name}, not older than {age:g} s"]

    def memory(self) -> Optional[GroupMemory]:
        return self.group

    def core(self, ref: Ref, pid: int, signal: int) -> CoreDump:
        assert (ref, pid, signal) == (WEB, 12, 11)
        return self.dumped

    def end(self, status: ExitStatus, **more: Any) -> Optional[dict[str, Any]]:
        """End a life; return the digest of its record, if it has one."""
        more = {"consequence": AGAIN, **more}
        self.observe(Ended(more.pop("ref", WEB), LifeState.RUNNING, status, after=2.0, **more))
        found: Optional[dict[str, Any]] = self.said[-1].fields.get("digest")
        assert json.loads(json.dumps(found)) == found
        return found

    @property
    def below(self) -> list[str]:
        """What people read below the last line."""
        return [*self.said[-1].details]


@pytest.fixture
def system() -> System:
    return System()


def documented(column: str) -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "output.md").read_text("utf-8")
    (rows,) = re.findall(rf"^\| {column} \|.*\n\|.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    return re.findall(r"^\| `(.*?)` \|", rows, re.MULTILINE)


def test_every_detail_line_of_a_digest_is_documented(system: System) -> None:
    found = []

    def end(signal: int = 9, **more: Any) -> None:
        system.time += EVERY
        system.end(ExitStatus(signal=signal, dumped_core=signal == 11), **more)
        found.extend(system.below)

    system.group = GroupMemory(512_000_000, 300_000_000, 512_000_000, 3)
    end(out_of_memory=True)
    system.group = GroupMemory(used=300_000_000)
    end(out_of_memory=True)
    for core in (
        CoreDump(file="/srv/mysite/core.4242"),
        CoreDump(program="/usr/lib/systemd/systemd-coredump"),
        CoreDump(pattern="/cores/core.%e"),
    ):
        system.dumped = core
        end(11)
    system.observe(asked(Signals.SIGKILL, "web"))
    system.time -= EVERY
    end(sent=True)
    system.end(KILL)
    system.end(KILL)
    end()

    assert found == documented("line below")


def test_a_digest_contains_all_known_details_of_an_exit(system: System) -> None:
    found = system.end(THREE, meaning="a worker failed to boot", restarts=2, memory=530)

    assert found == {
        "seconds": 2.0,
        "restarts": 2,
        "exit_status": 3,
        "meaning": "a worker failed to boot",
        "memory_bytes": 530,
        "lines": ["last line of web.1, not older than 2 s"],
    }
    # All of that is in the line itself, or above it.
    assert system.below == []


def test_an_out_of_memory_digest_has_the_memory_numbers_of_the_control_group(
    system: System,
) -> None:
    system.group = GroupMemory(512_000_000, 300_000_000, 511_900_000, 3)
    found = system.end(KILL, out_of_memory=True)

    assert found is not None
    assert (found["signal"], found["reason"], found["sender"]) == ("SIGKILL", "oom", "kernel")
    assert found["memory"] == {
        "limit": 512_000_000,
        "used": 300_000_000,
        "peak": 511_900_000,
        "kills": 3,
    }
    more = "its peak was 512 MB, 3 processes killed so far"
    assert system.below == [f"its control group may use 512 MB, it uses 300 MB now, {more}"]


def test_an_out_of_memory_digest_reports_a_control_group_without_a_limit(system: System) -> None:
    system.group = GroupMemory(used=300_000_000)
    system.end(KILL, out_of_memory=True)

    assert system.below == [
        "its control group has no limit of its own, it uses 300 MB now",
    ]


@pytest.mark.parametrize(
    ("core", "found", "line"),
    [
        (
            CoreDump(file="/srv/core.12"),
            {"file": "/srv/core.12"},
            "core dump: /srv/core.12",
        ),
        (
            CoreDump(program="/lib/systemd/systemd-coredump"),
            {"program": "/lib/systemd/systemd-coredump"},
            "core dump: piped to /lib/systemd/systemd-coredump",
        ),
        (
            CoreDump(pattern="/cores/%e"),
            {"pattern": "/cores/%e"},
            "core dump: not found; core_pattern is /cores/%e",
        ),
    ],
)
def test_a_digest_reports_where_the_core_dump_is(
    system: System, core: CoreDump, found: dict[str, Any], line: str
) -> None:
    system.dumped = core
    digest = system.end(ExitStatus(signal=11, dumped_core=True))

    assert digest is not None
    assert digest["core"] == found
    assert system.below == [line]


def asked(signal: Signals, name: str) -> Granted:
    request = SignalRequest(name, signal)
    return Granted(ChangeRequest(7, Operator(1000, 77), "signal", (name, signal.name), (request,)))


@pytest.mark.parametrize("name", ["web", "web.1"])
def test_a_digest_names_the_operator_that_requested_the_signal(system: System, name: str) -> None:
    system.observe(asked(Signals.SIGSEGV, name))
    found = system.end(SEGV, sent=True)

    assert found is not None
    assert {key: found[key] for key in ("sender", "uid", "operator_pid")} == {
        "sender": "operator",
        "uid": 1000,
        "operator_pid": 77,
    }
    assert system.below == ["the signal was requested by uid 1000 (pid 77)"]


def test_an_old_signal_request_is_not_blamed_for_an_exit(system: System) -> None:
    system.observe(asked(Signals.SIGSEGV, "web"))
    system.time += OBEYS_WITHIN + 1
    found = system.end(SEGV, sent=True)

    assert found is not None
    assert "uid" not in found


@pytest.mark.parametrize(
    "fact",
    [
        Ready(WEB, 0.1),
        Ended(WEB, LifeState.STOPPING, ExitStatus(code=0), expected=True),
        Ended(WEB, LifeState.STOPPING, THREE),
        Ended(WEB, LifeState.KILLING, KILL),
        Ended(WEB, LifeState.STARTING, ExitStatus(code=0), expected=True, oneshot=True),
        Ended(WEB, LifeState.RUNNING, ExitStatus(code=0), consequence=Restart(0.0)),
    ],
    ids=str,
)
def test_expected_exits_and_other_facts_have_no_digest(system: System, fact: Any) -> None:
    system.observe(fact)

    assert "digest" not in system.said[-1].fields


def test_an_exit_with_status_0_that_stops_everything_has_a_digest(system: System) -> None:
    assert system.end(ExitStatus(code=0), consequence=StopEverything()) is not None


def test_a_repeated_exit_has_one_digest_in_ten_minutes_with_a_count_of_the_rest(
    system: System,
) -> None:
    assert system.end(THREE) is not None
    assert [system.end(THREE), system.end(THREE)] == [None, None]
    assert system.said[-1].details == ()
    system.time += EVERY
    found = system.end(THREE)

    assert found is not None
    assert found["left_out"] == 2
    assert system.below == ["2 more like it since the last one with details"]
    system.time += EVERY
    again = system.end(THREE)
    assert again is not None
    assert "left_out" not in again


def test_each_exit_reason_and_each_instance_has_its_own_digest(system: System) -> None:
    assert system.end(THREE) is not None
    assert system.end(ExitStatus(code=4)) is not None
    assert system.end(KILL) is not None
    assert system.end(KILL, out_of_memory=True) is not None
    assert system.end(THREE, ref=Ref("web.2", 0, 1)) is not None
