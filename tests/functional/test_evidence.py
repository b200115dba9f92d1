"""What the system finds out about a life that has just ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from django_prodserver.logs.lines import whole
from django_prodserver.logs.recent import Recent
from django_prodserver.posix.evidence import LINES, LONGEST, SystemEvidence
from django_prodserver.supervisor.digest import CoreDump, GroupMemory
from django_prodserver.supervisor.spec import Ref

WEB = Ref("web.1", 0, 1)


class Machine:
    """A machine whose /proc and /sys are files of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "srv"
        self.folder.mkdir()
        self.recent = Recent()
        self.evidence = SystemEvidence(self.recent, lambda ref: str(self.folder), root)

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def log(self, lines: str, *, ago: float = 0.0, name: str = "web.1") -> None:
        self.recent.add(time.time() - ago, name, "stdout", whole(lines.encode()))

    def core(self, pattern: str, uses_pid: str = "0") -> CoreDump:
        self.put("proc/sys/kernel/core_pattern", pattern)
        self.put("proc/sys/kernel/core_uses_pid", uses_pid)
        return self.evidence.core(WEB, 4242, 11)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# ---- its last lines ----


def test_the_last_lines_are_those_of_this_life(machine: Machine) -> None:
    machine.log("of the life before\n", ago=60.0)
    machine.log("one\ntwo\n", ago=5.0)
    machine.log("of another\n", name="web.2")
    machine.log("\x1b[31mthr\xe9e\n")

    assert machine.evidence.last_lines("web.1", 10.0) == ["one", "two", "\x1b[31mthr\xe9e"]


def test_the_last_lines_are_limited_in_number_and_length(machine: Machine) -> None:
    for _ in range(40):
        machine.log("x" * 2000 + "\n")

    found = machine.evidence.last_lines("web.1", 10.0)

    assert found == ["x" * LONGEST] * LINES


# ---- memory ----


def test_memory_is_read_from_a_version_2_control_group(machine: Machine) -> None:
    machine.put("proc/self/cgroup", "0::/app")
    group = "sys/fs/cgroup/app"
    machine.put(f"{group}/memory.events", "low 0\noom 2\noom_kill 3")
    machine.put(f"{group}/memory.max", "536870912")
    machine.put(f"{group}/memory.current", "1000")
    machine.put(f"{group}/memory.peak", "536870912")

    assert machine.evidence.memory() == GroupMemory(536870912, 1000, 536870912, 3)


def test_memory_is_read_from_a_version_1_control_group(machine: Machine) -> None:
    machine.put("proc/self/cgroup", "4:memory:/app")
    group = "sys/fs/cgroup/memory/app"
    machine.put(f"{group}/memory.oom_control", "under_oom 0\noom_kill 3")
    machine.put(f"{group}/memory.limit_in_bytes", "9223372036854771712")  # No limit.
    machine.put(f"{group}/memory.usage_in_bytes", "1000")

    assert machine.evidence.memory() == GroupMemory(used=1000, kills=3)


def test_a_memory_limit_of_max_means_no_limit(machine: Machine) -> None:
    machine.put("proc/self/cgroup", "0::/")
    machine.put("sys/fs/cgroup/memory.events", "oom_kill 3")
    machine.put("sys/fs/cgroup/memory.max", "max")

    assert machine.evidence.memory() == GroupMemory(kills=3)


def test_no_memory_is_reported_without_control_groups(machine: Machine) -> None:
    assert machine.evidence.memory() is None


# ---- core dumps ----


@pytest.mark.parametrize(
    ("pattern", "uses_pid", "name"),
    [
        ("core", "0", "core"),
        ("core", "1", "core.4242"),
        ("core.%p", "1", "core.4242"),
        ("%%core-%s-%p", "0", "%core-11-4242"),
        ("core.%h", "0", f"core.{os.uname().nodename}"),
    ],
)
def test_a_core_dump_is_found_where_core_pattern_says(
    machine: Machine, pattern: str, uses_pid: str, name: str
) -> None:
    (machine.folder / name).write_bytes(b"memory")

    assert machine.core(pattern, uses_pid) == CoreDump(file=f"{machine.folder}/{name}")


def test_a_core_dump_is_found_in_a_separate_folder(machine: Machine) -> None:
    (machine.root / "cores").mkdir()
    (machine.root / "cores" / "4242").write_bytes(b"memory")

    assert machine.core(f"{machine.root}/cores/%p").file == f"{machine.root}/cores/4242"


def test_a_core_pattern_with_a_pipe_names_its_program(machine: Machine) -> None:
    pattern = "|/usr/lib/systemd/systemd-coredump %P %u %g %s %t %c %h"

    assert machine.core(pattern) == CoreDump(program="/usr/lib/systemd/systemd-coredump")


def test_no_core_file_is_guessed_if_core_pattern_cannot_be_resolved(machine: Machine) -> None:
    (machine.folder / "core.web.1").write_bytes(b"memory")

    assert machine.core("core.%e") == CoreDump(pattern="core.%e")


@pytest.mark.skipif(sys.platform != "linux", reason="that is Linux's")
def test_the_core_pattern_of_this_machine_can_be_read() -> None:
    evidence = SystemEvidence(Recent(), lambda ref: os.getcwd())

    assert evidence.core(WEB, os.getpid(), 11) != CoreDump()
