"""The system by itself: what it answers to the effects that no log line shows."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

import pytest

from django_prodserver.logs.formats import TextFormat
from django_prodserver.posix.child import Program
from django_prodserver.posix.probes import CommandProbe, HttpProbe, SocketAddress, Target, resolve
from django_prodserver.posix.system import PosixSystem
from django_prodserver.supervisor.model import (
    Exited,
    ExitStatus,
    GroupGone,
    Happening,
    Measured,
    Probe,
    Probed,
)

HANGS = ("sh", "-c", "sleep 1000 & wait")


def program(
    *argv: str, serves: Sequence[SocketAddress] = (), health: Target | None = None
) -> Program:
    def start() -> None:
        raise AssertionError("it was to be executed")

    return Program("web.1", start, argv, execute=argv, notifies=True, serves=serves, health=health)


Open = Callable[[Program], PosixSystem]


@pytest.fixture
def opened() -> Iterator[Open]:
    """A system with one program; at its end nothing is open and nobody is left."""
    before = len(os.listdir("/dev/fd"))
    systems = []

    def open_(program: Program) -> PosixSystem:
        systems.append(PosixSystem([program], {"stdout": TextFormat(["web.1"])}, []))
        return systems[-1]

    yield open_
    for system in systems:
        system.close()
    assert len(os.listdir("/dev/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def wait_for(system: PosixSystem, kind: type[Happening]) -> list[Happening]:
    """All that happens until there is one of this kind."""
    happened: list[Happening] = []
    while not any(isinstance(happening, kind) for happening in happened):
        happened += system.wait(None)
    return happened


def test_whether_a_connection_succeeds(opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        system = opened(program(*HANGS, serves=resolve(listener.getsockname()[:2])))
        pid = system.spawn("web.1")

        system.start_probe(pid, Probe.READY)

        assert wait_for(system, Probed) == [Probed(pid)]


def test_whether_it_is_well(opened: Open) -> None:
    system = opened(program(*HANGS, health=CommandProbe(["sh", "-c", "echo ill; exit 1"])))
    pid = system.spawn("web.1")

    system.start_probe(pid, Probe.HEALTH)

    failure = "command exited with status 1: ill"
    assert wait_for(system, Probed) == [Probed(pid, failure)]


def test_a_cancelled_probe_is_not_heard_of(opened: Open) -> None:
    system = opened(program(*HANGS, health=CommandProbe(HANGS)))
    pid = system.spawn("web.1")
    system.start_probe(pid, Probe.HEALTH)

    system.cancel_probe(pid)
    system.cancel_probe(pid)
    system.kill(pid, SIGKILL, group=True)

    (exited,) = (h for h in wait_for(system, GroupGone) if not isinstance(h, GroupGone))
    assert isinstance(exited, Exited)


def test_the_probes_of_the_dead_end_with_them(opened: Open) -> None:
    system = opened(program(*HANGS, health=CommandProbe(HANGS)))
    pid = system.spawn("web.1")
    system.start_probe(pid, Probe.HEALTH)
    system.kill(pid, SIGKILL, group=True)

    happened = wait_for(system, GroupGone)

    assert not any(isinstance(happening, Probed) for happening in happened)
    system.start_probe(pid, Probe.HEALTH)
    system.start_probe(pid, Probe.READY)
    system.measure(pid)
    assert system.wait(0) == []


def test_probes_under_way_at_the_end_are_no_surprise(capfd: pytest.CaptureFixture[str]) -> None:
    hanging = program(*HANGS, health=CommandProbe(HANGS))
    with PosixSystem([hanging], {"stdout": TextFormat(["web.1"])}, []) as system:
        for _ in range(3):
            pid = system.spawn("web.1")
            for _ in range(5):
                system.start_probe(pid, Probe.HEALTH)
            system.kill(pid, SIGKILL, group=True)
            wait_for(system, GroupGone)
        system.start_probe(system.spawn("web.1"), Probe.HEALTH)

    said = capfd.readouterr().out
    assert "killed what was left behind: " in said  # The last one, which nobody has killed.
    assert said.count("pid") <= 2


def test_a_probe_in_hand_is_closed_in_a_fork(opened: Open, tmp_path: Path) -> None:
    """Else the server would never see the end of the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]
        hanging = HttpProbe("x", resolve(address), "http://x/", "/", "x")
        system = opened(program(*HANGS, health=hanging))
        pid = system.spawn("web.1")
        system.start_probe(pid, Probe.HEALTH)
        connection, _ = listener.accept()
        with connection:
            other = system.spawn("web.1")
            system.cancel_probe(pid)

            assert connection.recv(1) == b""
        system.kill(other, SIGKILL, group=True)
        system.kill(pid, SIGKILL, group=True)


def test_out_of_descriptors_is_no_crash(opened: Open) -> None:
    health = CommandProbe(["true"])
    system = opened(program(*HANGS, health=health, serves=resolve(("127.0.0.1", 1))))
    pid = system.spawn("web.1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(4):
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
        try:
            system.start_probe(pid, Probe.HEALTH)
            system.start_probe(pid, Probe.READY)
            with suppress(OSError):
                system.spawn("web.1")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    failures = [h.failure for h in wait_for(system, Probed) if isinstance(h, Probed)]
    reason = os.strerror(errno.EMFILE)
    assert f"the command cannot be started: {reason}" in failures
    assert f"connection to web.1 failed: {reason}" in failures


def test_how_it_ended(opened: Open) -> None:
    system = opened(program("sh", "-c", "exit 3"))
    jitters = []
    for _ in range(5):
        pid = system.spawn("web.1")
        (exited,) = (h for h in wait_for(system, Exited) if isinstance(h, Exited))
        assert (exited.pid, exited.status) == (pid, ExitStatus(code=3))
        assert exited.out_of_memory is False
        jitters.append(exited.jitter)

    assert len(set(jitters)) == 5
    assert all(0 <= jitter <= 1 for jitter in jitters)


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is Linux's")
def test_its_memory(opened: Open) -> None:
    system = opened(program(*HANGS))
    pid = system.spawn("web.1")

    happened: list[Happening] = []
    while not happened:  # While it is being executed it has none.
        system.measure(pid)
        happened = system.wait(0)

    (measured,) = happened
    assert isinstance(measured, Measured)
    assert measured.pid == pid
    assert 0 < measured.memory < 1 << 30
