"""Starts that fail because a descriptor, a process or the program is missing."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from signal import SIGTERM

import pytest

from tests.functional.helpers import FOREVER, Run, Runs, code, shell

pytestmark = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="limits of another process are Linux's"
)

AT_ONCE = {"INITIAL": 0.05, "MAX": 0.05}
REFUSED = r"web\.1 could not be started: \[Errno 24\] Too many open files; "


@contextmanager
def shortage(run: Run) -> Iterator[None]:
    """The supervisor can open nothing more, but keeps what it has open."""
    used = {int(fd) for fd in os.listdir(f"/proc/{run.pid}/fd")}
    lowest = next(fd for fd in count() if fd not in used)
    before = resource.prlimit(run.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(run.pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.prlimit(run.pid, resource.RLIMIT_NOFILE, before)


def lines(run: Run, word: str) -> list[str]:
    return [text for text in run.said("system") if word in text]


def test_a_restart_without_descriptors_is_retried_until_it_succeeds(start: Runs) -> None:
    policy = {"RESTART": "always", "BACKOFF": AT_ONCE, "START_LIMIT": {"BURST": 10000}}
    source = "print('here'); held(); sys.exit(3)"
    run = start({"web": code(source, **policy), "worker": FOREVER})
    run.wait_for("system", "all 2 ready")
    run.held("web.1")

    with shortage(run):
        run.release("web.1")
        for _ in range(3):
            run.wait_for("system", REFUSED + r"restarting in 0\.0\d s$")

    run.wait_for("web.1", "here")
    assert run.end(SIGTERM) == 0
    assert lines(run, "stopping everything") == ["SIGTERM received; stopping everything"]


def test_a_restart_that_lacks_descriptors_too_often_stops_everything(start: Runs) -> None:
    policy = {"RESTART": "always", "BACKOFF": AT_ONCE, "START_LIMIT": {"BURST": 3}}
    run = start({"web": code("held(); sys.exit(3)", **policy), "worker": FOREVER})
    run.wait_for("system", "all 2 ready")
    run.held("web.1")

    with shortage(run):
        run.release("web.1")
        run.wait_for("system", r"\(START_LIMIT\); stopping everything$")

    assert run.end() == 1
    assert len(lines(run, "could not be started")) == 2


def test_a_health_check_that_cannot_start_stops_no_process(start: Runs) -> None:
    check = {"COMMAND": [sys.executable, "-S", "-c", "print(end='')"]}
    often = {"INTERVAL": 0.05, "TIMEOUT": 30, "RETRIES": 1}
    run = start({"web": {**FOREVER, "HEALTHCHECK": {**check, **often}}})
    run.wait_for("system", "all 1 ready")

    with shortage(run):
        run.wait_for("system", r"^web\.1 could not be checked: Too many open files; trying again$")
        for _ in range(3):
            run.handshake()

    assert run.end(SIGTERM) == 0
    assert lines(run, "unhealthy") == []


def test_a_program_missing_at_its_restart_is_reported_in_one_line(start: Runs) -> None:
    program = start.project / "program"
    program.write_text("#!/bin/sh\nrm program\nexit 3\n")
    program.chmod(0o755)
    policy = {"RESTART": "on-failure", "BACKOFF": AT_ONCE, "START_LIMIT": {"BURST": 2}}
    run = start({"web": shell([str(program)], **policy)})

    assert run.end() == 127
    assert run.said("web.1") == [f"{program}: No such file or directory"]
