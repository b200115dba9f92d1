"""PosixSystem by itself: its answers to the effects that no log line shows."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from signal import SIGKILL, SIGUSR1, Signals

import pytest

from django_prodserver.logs.formats import TextFormat
from django_prodserver.posix import kernel
from django_prodserver.posix.address import SocketAddress, socket_addresses
from django_prodserver.posix.probes.targets import CommandTarget, HttpTarget, Target
from django_prodserver.posix.program import Program
from django_prodserver.posix.signals import SignalPipe
from django_prodserver.posix.system import PosixSystem
from django_prodserver.supervisor.commands import ProbeKind
from django_prodserver.supervisor.events import (
    Event,
    Exited,
    ExitStatus,
    GroupGone,
    Measured,
    Probed,
    ProbeRefused,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.spec import Ref

HANGS = ("sh", "-c", "sleep 1000 & wait")


def program(
    *argv: str, serves: Sequence[SocketAddress] = (), health: Target | None = None
) -> Program:
    return Program("web", execute=argv, notifies=True, serves=serves, health=health)


@contextmanager
def system_of(program: Program, *signals: Signals) -> Iterator[PosixSystem]:
    pipe = SignalPipe(signals)
    try:
        formats = {"stdout": TextFormat(["web.1"])}
        with PosixSystem({"web": program}, formats, pipe) as system:
            yield system
    finally:
        pipe.close()


Open = Callable[[Program], PosixSystem]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens systems with one program; at the end nothing is open and no process is left."""
    before = len(os.listdir("/dev/fd"))
    with ExitStack() as systems:
        yield lambda program: systems.enter_context(system_of(program))
    assert len(os.listdir("/dev/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


numbers = count(1)


def spawn(system: PosixSystem) -> Ref:
    """Start another life of its program."""
    ref = Ref("web.1", 0, next(numbers))
    system.spawn(ref)
    assert wait_for(system, Spawned) == [Spawned(ref)]
    return ref


def wait_for(system: PosixSystem, kind: type[Event]) -> list[Event]:
    """All events until there is one of this kind."""
    happened: list[Event] = []
    while not any(isinstance(event, kind) for event in happened):
        happened += system.wait(None)
    return happened


def test_the_result_of_a_ready_probe_is_an_event(opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        system = opened(program(*HANGS, serves=socket_addresses(listener.getsockname()[:2])))
        ref = spawn(system)

        system.start_probe(ref, ProbeKind.READY)

        assert wait_for(system, Probed) == [Probed(ref)]


def test_the_result_of_a_health_check_is_an_event(opened: Open) -> None:
    system = opened(program(*HANGS, health=CommandTarget(["sh", "-c", "echo ill; exit 1"])))
    ref = spawn(system)

    system.start_probe(ref, ProbeKind.HEALTH)

    failure = "command exited with status 1: ill"
    assert wait_for(system, Probed) == [Probed(ref, failure)]


def test_a_cancelled_probe_reports_no_result(opened: Open) -> None:
    system = opened(program(*HANGS, health=CommandTarget(HANGS)))
    ref = spawn(system)
    system.start_probe(ref, ProbeKind.HEALTH)

    system.cancel_probe(ref)
    system.cancel_probe(ref)
    system.kill(ref, SIGKILL, group=True)

    (exited,) = (h for h in wait_for(system, GroupGone) if not isinstance(h, GroupGone))
    assert isinstance(exited, Exited)


def test_a_probe_ends_with_its_life_and_none_starts_after_it(opened: Open) -> None:
    system = opened(program(*HANGS, health=CommandTarget(HANGS)))
    ref = spawn(system)
    system.start_probe(ref, ProbeKind.HEALTH)
    system.kill(ref, SIGKILL, group=True)

    happened = wait_for(system, GroupGone)

    assert not any(isinstance(event, Probed) for event in happened)
    system.start_probe(ref, ProbeKind.HEALTH)
    system.start_probe(ref, ProbeKind.READY)
    system.measure(ref)
    assert system.wait(0) == []


def test_probes_running_at_the_end_are_not_reported_as_left_behind(
    capfd: pytest.CaptureFixture[str],
) -> None:
    hanging = program(*HANGS, health=CommandTarget(HANGS))
    with system_of(hanging) as system:
        for _ in range(3):
            ref = spawn(system)
            for _ in range(5):
                system.start_probe(ref, ProbeKind.HEALTH)
            system.kill(ref, SIGKILL, group=True)
            wait_for(system, GroupGone)
        system.start_probe(spawn(system), ProbeKind.HEALTH)

    said = capfd.readouterr().out
    assert "killed what was left behind: " in said  # The last life, which the test did not kill.
    assert said.count("pid") <= 2


def test_the_socket_of_a_running_probe_is_closed_in_a_fork(opened: Open, tmp_path: Path) -> None:
    """Otherwise the server would never see the end of the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()[:2]
        hanging = HttpTarget("x", socket_addresses(address), "http://x/", "/", "x")
        system = opened(program(*HANGS, health=hanging))
        ref = spawn(system)
        system.start_probe(ref, ProbeKind.HEALTH)
        connection, _ = listener.accept()
        with connection:
            other = spawn(system)
            system.cancel_probe(ref)

            assert connection.recv(1) == b""
        system.kill(other, SIGKILL, group=True)
        system.kill(ref, SIGKILL, group=True)


def test_a_lack_of_descriptors_refuses_probes_and_starts_without_a_crash(opened: Open) -> None:
    health = CommandTarget(["true"])
    system = opened(program(*HANGS, health=health, serves=socket_addresses(("127.0.0.1", 1))))
    ref = spawn(system)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(4):
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
        try:
            system.start_probe(ref, ProbeKind.HEALTH)
            system.start_probe(ref, ProbeKind.READY)
            system.spawn(Ref("web.1", 0, next(numbers)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    reason = os.strerror(errno.EMFILE)
    told = wait_for(system, ProbeRefused)
    # Probes of both kinds lacked a descriptor: that says nothing about the life.
    assert told.count(ProbeRefused(ref, reason)) >= 2
    assert not any(isinstance(one, Probed) and reason in one.failure for one in told)
    refused = next(one for one in told if isinstance(one, SpawnFailed))
    assert refused.error == f"[Errno {errno.EMFILE}] {reason}"


def test_the_exit_of_a_life_is_an_event_with_its_status(opened: Open) -> None:
    system = opened(program("sh", "-c", "exit 3"))
    jitters = []
    for _ in range(5):
        ref = Ref("web.1", 0, next(numbers))
        system.spawn(ref)
        (exited,) = (h for h in wait_for(system, Exited) if isinstance(h, Exited))
        assert (exited.ref, exited.status) == (ref, ExitStatus(code=3))
        assert exited.out_of_memory is False
        jitters.append(exited.jitter)

    assert len(set(jitters)) == 5
    assert all(0 <= jitter <= 1 for jitter in jitters)


@pytest.mark.skipif(sys.platform != "linux", reason="PSS is Linux's")
def test_the_memory_of_a_life_is_measured(opened: Open) -> None:
    system = opened(program(*HANGS))
    ref = spawn(system)

    happened: list[Event] = []
    while not happened:  # During exec it has no memory to measure.
        system.measure(ref)
        happened = system.wait(0)

    (measured,) = happened
    assert isinstance(measured, Measured)
    assert measured.ref == ref
    assert 0 < measured.memory < 1 << 30


def test_the_pid_of_a_life_is_kept_until_its_process_group_is_gone(opened: Open) -> None:
    system = opened(program("sh", "-c", "sleep 1000 & exit 3"))
    ref = Ref("web.1", 0, next(numbers))
    system.spawn(ref)
    wait_for(system, Exited)
    pid = system.pid(ref)

    assert pid is not None
    ((name, member),) = system.members(ref)
    assert name in ("sh", "sleep")  # `sleep` once exec is done.
    assert member not in (pid, os.getpid())
    system.kill(ref, SIGKILL, group=True)
    wait_for(system, GroupGone)
    assert system.pid(ref) == pid  # For log lines about earlier events.
    assert system.members(ref) == []
    system.wait(0)
    assert system.pid(ref) is None


def test_requests_about_an_unknown_life_do_nothing(opened: Open) -> None:
    system = opened(program(*HANGS))
    ref = Ref("web.1", 0, 1)
    system.kill(ref, SIGKILL, group=True)
    system.start_probe(ref, ProbeKind.READY)
    system.cancel_probe(ref)
    system.measure(ref)

    assert system.wait(0) == []
    assert system.pid(ref) is None
    assert system.members(ref) == []


def test_a_signal_is_reported_although_a_deadline_is_due() -> None:
    with system_of(program("true"), SIGUSR1) as system:
        os.kill(os.getpid(), SIGUSR1)

        assert system.wait(0) == [Signalled(SIGUSR1)]


def test_processes_are_killed_at_the_end_although_proc_does_not_show_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernel, "shows_our_processes", lambda: False)
    sleeping = program("sleep", "1000", health=CommandTarget(["sleep", "1000"]))
    with system_of(sleeping) as system:
        system.start_probe(spawn(system), ProbeKind.HEALTH)

    assert not system.left_behind
    assert capfd.readouterr().out == ""
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
