"""The supervisor under a service manager: what it reports, and what it does not pass on."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM

import pytest

from tests.functional.helpers import FOREVER, Runs, code

LATE = code("held(); notify(); forever()", "NotifyingCode")
# Starts the supervisor with a watchdog that is meant for it, or for another process.
OURS = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"]
ANOTHERS = ["sh", "-c", 'WATCHDOG_PID=1 exec "$@"', "sh"]

KINDS = [
    "path",
    pytest.param(
        "abstract", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux has them")
    ),
]


class Manager:
    """A notify socket like systemd's, and the lines that it has received."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.address = address
        self.told: list[str] = []

    def hear(self) -> None:
        """Wait for one more message."""
        self.told += self.socket.recv(65536).decode().splitlines()

    def hear_all(self) -> list[str]:
        """All lines that it has received so far."""
        self.socket.setblocking(False)
        try:
            while True:
                self.hear()
        except BlockingIOError:
            return self.told
        finally:
            self.socket.setblocking(True)

    def wait_for(self, line: str) -> None:
        while line not in self.told:
            self.hear()

    def overrun(self) -> None:
        """Fill the queue of the socket."""
        self.socket.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                while True:
                    sender.sendto(b"X=1", self.socket.getsockname())
            except BlockingIOError:
                return

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address}


@pytest.fixture
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    kind = getattr(request, "param", "path")
    address = f"{tmp_path}/notify" if kind == "path" else f"@{tmp_path}"
    listening = Manager(address)
    yield listening
    listening.socket.close()


@pytest.mark.parametrize("manager", KINDS, indirect=True)
def test_the_supervisor_reports_ready_only_once_all_processes_are_ready(
    start: Runs, manager: Manager
) -> None:
    run = start({"web": FOREVER, "worker": LATE}, env=manager.environ)
    run.wait_for("system", r"web\.1 started")
    run.held("worker.1")
    run.handshake()
    assert "READY=1" not in manager.hear_all()

    run.release("worker.1")
    manager.wait_for("READY=1")
    assert "STOPPING=1" not in manager.told

    assert run.end(SIGTERM) == 0
    told = manager.hear_all()
    assert (told.count("READY=1"), told.count("STOPPING=1")) == (1, 1)
    assert told.index("READY=1") < told.index("STOPPING=1")
    said = [f"STATUS={text}" for text in run.said("system")]
    # Every log line, except the first, which comes before the supervisor has anything to do.
    assert [line for line in told if line.startswith("STATUS=")] == said[1:]
    assert not any(line.startswith("WATCHDOG") for line in told)


def test_the_supervisor_reports_why_it_stops(start: Runs, manager: Manager) -> None:
    run = start({"web": FOREVER, "worker": code("held(); sys.exit(3)")}, env=manager.environ)
    manager.wait_for("READY=1")

    run.release("worker.1")

    assert run.end() == 3
    told = manager.hear_all()
    (reason,) = [line for line in told if line.startswith("STATUS=worker.1 exited with status 3")]
    assert reason.endswith("; stopping everything")
    assert told.index("READY=1") < told.index(reason) < told.index("STOPPING=1")


def test_a_restart_does_not_report_ready_again(start: Runs, manager: Manager) -> None:
    web = {**LATE, "RESTART": "on-failure", "BACKOFF": {"INITIAL": 0}}
    run = start({"web": web}, env=manager.environ)
    run.release("web.1")
    pid = int(run.wait_for("system", r"web\.1 ready .*\(pid (\d+)\)")[1])
    manager.wait_for("READY=1")

    run.kill(pid, SIGKILL)
    run.release("web.1")
    run.wait_for("system", r"web\.1 ready")

    assert run.end(SIGTERM) == 0
    assert manager.hear_all().count("READY=1") == 1
    assert manager.told.count("STOPPING=1") == 1


def test_the_supervisor_pings_the_watchdog_of_the_service_manager(
    start: Runs, manager: Manager
) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "200000"}
    run = start({"web": LATE}, env=environ, prefix=OURS)
    while manager.told.count("WATCHDOG=1") < 3:
        manager.hear()
    assert "READY=1" not in manager.told

    run.release("web.1")
    manager.wait_for("READY=1")
    before = manager.told.count("WATCHDOG=1")
    while manager.told.count("WATCHDOG=1") < before + 3:
        manager.hear()

    assert run.end(SIGTERM) == 0


def test_the_supervisor_pings_the_watchdog_during_a_slow_stop(
    start: Runs, manager: Manager
) -> None:
    source = """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        print("here")
        signal.sigwait({signal.SIGTERM})
        held()
    """
    environ = {**manager.environ, "WATCHDOG_USEC": "200000"}
    run = start({"web": code(source)}, env=environ, prefix=OURS)
    run.wait_for("web.1", "here")
    run.signal(SIGTERM)
    manager.wait_for("STOPPING=1")

    before = manager.told.count("WATCHDOG=1")
    while manager.told.count("WATCHDOG=1") < before + 3:
        manager.hear()

    run.release("web.1")
    assert run.end() == 0


def test_the_supervisor_does_not_ping_the_watchdog_of_another_process(
    start: Runs, manager: Manager
) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "1000"}
    run = start({"web": FOREVER}, env=environ, prefix=ANOTHERS)
    manager.wait_for("READY=1")
    run.handshake()

    assert run.end(SIGTERM) == 0
    assert "WATCHDOG=1" not in manager.hear_all()


def test_processes_do_not_inherit_the_systemd_variables_of_the_supervisor(
    start: Runs, manager: Manager
) -> None:
    source = """
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"):
            print(name, os.environ.get(name))
        notify()
        forever()
    """
    environ = {
        **manager.environ,
        "WATCHDOG_USEC": "3600000000",
        "LISTEN_FDS": "1",
    }
    processes = {
        "web": code(source),
        "worker": code(source, "NotifyingCode"),
        "spawned": code(source, START_METHOD="spawn"),
    }
    run = start(processes, env=environ, prefix=OURS)
    run.wait_for_each(dict.fromkeys(["web.1", "worker.1", "spawned.1"], "LISTEN_FDS"))
    run.handshake()

    nothing = ["WATCHDOG_USEC None", "WATCHDOG_PID None", "LISTEN_FDS None"]
    assert run.said("web.1") == ["NOTIFY_SOCKET None", *nothing]
    assert run.said("spawned.1") == ["NOTIFY_SOCKET None", *nothing]
    own, *others = run.said("worker.1")
    assert own not in ("NOTIFY_SOCKET None", f"NOTIFY_SOCKET {manager.address}")
    assert others == nothing
    assert run.end(SIGTERM) == 0


def test_the_status_of_a_process_is_passed_on_to_the_service_manager(
    start: Runs, manager: Manager
) -> None:
    source = """
        notify(b"READY=1\\nSTATUS=4 tasks, \\xc3\\xa4")
        forever()
    """
    run = start({"web": code(source, "NotifyingCode", REPLICAS=2)}, env=manager.environ)

    manager.wait_for("STATUS=web.1: 4 tasks, ä")
    manager.wait_for("STATUS=web.2: 4 tasks, ä")
    manager.wait_for("READY=1")

    assert run.end(SIGTERM) == 0
    assert not any("4 tasks" in line for line in run.raw)


def test_a_service_manager_that_does_not_read_causes_no_delay(
    start: Runs, manager: Manager
) -> None:
    manager.overrun()
    source = """
        notify()
        for _ in range(1000):
            notify(b"STATUS=busy")
        print("said all")
        if life() < 5:
            sys.exit(1)
        forever()
    """
    entry = code(
        source,
        "NotifyingCode",
        RESTART="on-failure",
        BACKOFF={"INITIAL": 0},
        START_LIMIT={"BURST": 9},
    )
    environ = {**manager.environ, "WATCHDOG_USEC": "20000"}
    run = start({"web": entry}, env=environ, prefix=OURS)
    for _ in range(5):
        run.wait_for("web.1", "said all")

    assert run.end(SIGTERM) == 0
    assert set(manager.hear_all()) == {"X=1"}
    assert run.stderr == ""


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-is-here", "relative", "@", ""])
def test_a_missing_or_invalid_notify_socket_is_ignored(start: Runs, address: str) -> None:
    run = start({"web": FOREVER}, env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    run.wait_for("system", "all 1 ready")
    run.handshake()

    assert run.end(SIGTERM) == 0
    assert run.stderr == ""


@pytest.mark.template
def test_a_reload_is_reported_with_its_monotonic_time(start: Runs, manager: Manager) -> None:
    """Type=notify-reload of systemd.service(5) waits for a READY=1 after MONOTONIC_USEC."""
    run = start({"worker": FOREVER}, env=manager.environ)
    manager.wait_for("READY=1")
    manager.hear_all()
    manager.told.clear()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    run.signal(SIGHUP)
    manager.wait_for("READY=1")

    at = manager.told.index("RELOADING=1")
    name, _, moment = manager.told[at + 1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(moment) * 1000 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert manager.told.index("READY=1") > at
    assert run.end(SIGTERM) == 0
