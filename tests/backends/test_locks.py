"""LOCK and SINGLETON: several supervisors of one site, over a real database or with a file."""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any, Optional
from urllib.parse import urlsplit

import psutil
import pytest

from tests.inside import free_port
from tests.operating import PRODCTL
from tests.running import Run, Site
from tests.services import connections, database

SHELL = "shell"
# Prints a line when it begins, and runs until it is stopped.
BEAT = {"BACKEND": SHELL, "ARGS": ["sh", "-c", "echo beats; exec sleep 1000"], "SINGLETON": True}
# Prints a line, and finishes once the other end of the FIFO was opened.
WORK = {
    "BACKEND": SHELL,
    "ARGS": ["sh", "-c", "echo works; read line <work.fifo; echo has worked"],
    "TYPE": "oneshot",
    "LOCK": "database",
}
WEB = {"BACKEND": SHELL, "ARGS": ["sleep", "1000"], "AFTER": ["work"]}
MIGRATE = {"BACKEND": "command", "ARGS": ["migrate"], "TYPE": "oneshot", "LOCK": "database"}
AFTERWARDS = {"BACKEND": SHELL, "ARGS": ["sleep", "1000"], "AFTER": ["migrate"]}
TAKEN_BY = r"[^ ]+ \(pid {}\) has the lock"


class Supervisors:
    """Several supervisors of one site, as if on several machines."""

    def __init__(self, site: Site, settings: Mapping[str, Any] = {}) -> None:
        self.site = site
        self._settings = settings
        self._count = 0

    def start(self, processes: Mapping[str, Any], **supervisor: Any) -> Run:
        self._count += 1
        self._sockets = self.site.runtime / f"control-{self._count}"
        env = {"PRODSERVER_CONTROL": str(self._sockets)}
        given = {**supervisor, "SETTINGS": dict(self._settings)}
        return self.site(processes, supervisor=given, env=env)

    def status(self, process: str) -> dict[str, Any]:
        """The state of a process, from the supervisor that was started last."""
        command = [*PRODCTL, "--socket", str(self._sockets), "status", "--json"]
        run = self.site.command(command)
        assert run.end() == 0
        found = {one["name"]: one for one in json.loads("\n".join(run.raw))["processes"]}
        return found[process]["instances"][0]  # type: ignore[no-any-return]


@pytest.fixture
def over_postgresql(site: Site, postgresql: str) -> Supervisors:
    return Supervisors(site, {"DATABASES": {"default": database(postgresql)}})


@pytest.fixture
def over_sqlite(site: Site) -> Supervisors:
    return Supervisors(site)


@pytest.fixture(params=["postgresql", "pgbouncer", "mariadb", "sqlite"])
def supervisors(request: pytest.FixtureRequest, site: Site) -> Supervisors:
    if request.param == "sqlite":
        return Supervisors(site)
    address = request.getfixturevalue(request.param)
    if request.param == "mariadb":
        return Supervisors(site, {"DATABASES": {"default": address}})
    return Supervisors(site, {"DATABASES": {"default": database(address)}})


def holder(run: Run) -> psutil.Process:
    """The process that holds the lock, or waits for it."""
    for one in psutil.Process(run.pid).children():
        if any("errand.lock" in word for word in one.cmdline()):
            return one
    raise AssertionError("nothing holds a lock")


# ---- a oneshot, once among all ----


@pytest.mark.parametrize("count", [3, pytest.param(10, marks=pytest.mark.long)])
def test_only_one_of_several_supervisors_that_start_together_migrates(
    over_postgresql: Supervisors, count: int
) -> None:
    runs = [over_postgresql.start({"migrate": MIGRATE, "web": AFTERWARDS}) for _ in range(count)]

    for run in runs:
        run.wait_for("system", "all 2 ready")

    # A supervisor that starts long after the others finds nothing to migrate.
    migrated = ["\n".join(run.said("migrate.1")) for run in runs]
    again = [text for text in migrated if text and "Applying " not in text]
    assert sum("Applying " in text for text in migrated) == 1
    assert all("No migrations to apply" in text for text in again)
    assert [run.end(SIGTERM) for run in runs] == [0] * count


def test_a_second_supervisor_waits_and_skips_the_oneshot_once_it_is_done(
    supervisors: Supervisors,
) -> None:
    os.mkfifo(supervisors.site.project / "work.fifo")
    first = supervisors.start({"work": WORK, "web": WEB})
    first.wait_for("work.1", "works")
    second = supervisors.start({"work": WORK, "web": WEB})
    second.wait_for("system", r"work.1 waits for its lock: ")

    supervisors.site.release("work")
    first.wait_for("system", "all 2 ready")
    second.wait_for("system", "work.1 need not run: another supervisor has done it")
    second.wait_for("system", "all 2 ready")

    assert second.said("work.1") == []
    assert [run.end(SIGTERM) for run in (first, second)] == [0, 0]


def test_a_killed_supervisor_leaves_its_oneshot_to_another_supervisor(
    supervisors: Supervisors,
) -> None:
    os.mkfifo(supervisors.site.project / "work.fifo")
    first = supervisors.start({"work": WORK, "web": WEB})
    first.wait_for("work.1", "works")
    second = supervisors.start({"work": WORK, "web": WEB})
    second.wait_for("system", r"work.1 waits for its lock: ")

    first.signal(SIGKILL)
    second.wait_for("work.1", "works")
    supervisors.site.release("work")

    second.wait_for("system", "all 2 ready")
    assert second.end(SIGTERM) == 0


@pytest.mark.long
def test_only_one_of_nine_supervisors_takes_over_the_oneshot_of_a_killed_tenth(
    over_postgresql: Supervisors,
) -> None:
    os.mkfifo(over_postgresql.site.project / "work.fifo")
    first = over_postgresql.start({"work": WORK, "web": WEB})
    first.wait_for("work.1", "works")
    others = [over_postgresql.start({"work": WORK, "web": WEB}) for _ in range(9)]
    for run in others:
        run.wait_for("system", "work.1 waits for its lock: ")

    its_own = [psutil.Process(pid) for pid in first.descendants()]
    assert first.end(SIGKILL) == -SIGKILL
    # The lives that it started read the FIFO, too.
    psutil.wait_procs(its_own)
    over_postgresql.site.release("work")
    for run in others:
        run.wait_for("system", "all 2 ready")

    assert sorted(run.said("work.1") for run in others) == [[]] * 8 + [["works", "has worked"]]
    assert [run.end(SIGTERM) for run in others] == [0] * 9


def test_a_failed_oneshot_is_run_by_the_next_supervisor(over_sqlite: Supervisors) -> None:
    os.mkfifo(over_sqlite.site.project / "work.fifo")
    fails = {**WORK, "ARGS": ["sh", "-c", "echo works; read line <work.fifo; exit 3"]}
    first = over_sqlite.start({"work": fails})
    first.wait_for("work.1", "works")
    second = over_sqlite.start({"work": WORK})
    second.wait_for("system", r"work.1 waits for its lock: ")

    over_sqlite.site.release("work")
    assert first.end() == 3
    second.wait_for("work.1", "works")
    over_sqlite.site.release("work")

    assert second.end() == 0


def test_a_oneshot_with_different_args_is_not_considered_done(over_sqlite: Supervisors) -> None:
    """Another release may have the same process with other work."""
    work = {"BACKEND": SHELL, "ARGS": ["echo", "one"], "TYPE": "oneshot", "LOCK": "database"}
    stays = {"BACKEND": SHELL, "ARGS": ["sleep", "1000"], "AFTER": ["work"]}
    first = over_sqlite.start({"work": work, "web": stays})
    first.wait_for("system", "all 2 ready")

    same = over_sqlite.start({"work": work})
    other = over_sqlite.start({"work": {**work, "ARGS": ["echo", "two"]}})

    assert (same.end(), same.said("work.1")) == (0, [])
    # `other` waits for as long as the first supervisor reports that its work is done.
    assert first.end(SIGTERM) == 0
    assert (other.end(), other.said("work.1")) == (0, ["two"])


def test_prodctl_can_start_a_finished_oneshot_again(over_sqlite: Supervisors) -> None:
    work = {"BACKEND": SHELL, "ARGS": ["echo", "works"], "TYPE": "oneshot", "LOCK": "database"}
    run = over_sqlite.start({"work": work, "web": WEB})
    run.wait_for("system", "all 2 ready")

    command = [*PRODCTL, "--socket", str(over_sqlite._sockets), "start", "work"]
    assert over_sqlite.site.command(command).end() == 0
    run.wait_for("system", "start work: requested")
    run.wait_for("system", "work.1 finished")

    assert run.end(SIGTERM) == 0
    assert run.said("work.1") == ["works", "works"]


def test_a_spawned_migrate_does_not_take_its_lock_a_second_time(over_sqlite: Supervisors) -> None:
    """It runs `prodserver migrate`, which on its own would take the lock itself."""
    migrate = {"BACKEND": "migrate", "START_METHOD": "spawn"}
    run = over_sqlite.start({"migrate": migrate, "web": AFTERWARDS})

    run.wait_for("system", "migrate.1 finished")
    assert run.end(SIGTERM) == 0


def test_a_lock_file_keeps_a_second_supervisor_waiting(site: Site, tmp_path: Path) -> None:
    lock = str(tmp_path / "work.lock")
    work = {"BACKEND": SHELL, "TYPE": "oneshot", "LOCK": lock}
    supervisors = Supervisors(site)
    os.mkfifo(site.project / "work.fifo")
    first = supervisors.start({"work": {**WORK, **work}})
    first.wait_for("work.1", "works")
    second = supervisors.start({"work": {**WORK, **work}})
    second.wait_for("system", rf"work.1 waits for its lock: {TAKEN_BY.format(first.pid)}")

    assert second.end(SIGTERM) == 0
    site.release("work")
    assert first.end() == 0


# ---- a singleton ----


def test_a_second_supervisor_stands_by_while_the_first_runs_the_singleton(
    supervisors: Supervisors,
) -> None:
    first = supervisors.start({"beat": BEAT})
    first.wait_for("beat.1", "beats")
    second = supervisors.start({"beat": BEAT})

    second.wait_for("system", "beat.1 stands by: ")
    second.wait_for("system", "all 1 ready")
    status = supervisors.status("beat")

    assert (status["state"], status["as_wanted"], status["ready"]) == ("STANDBY", True, False)
    assert "has the lock" in status["reason"]
    assert [run.end(SIGTERM) for run in (second, first)] == [0, 0]


@pytest.mark.parametrize("signal", [SIGTERM, SIGKILL])
def test_a_second_supervisor_takes_over_the_singleton_when_the_first_ends(
    supervisors: Supervisors, signal: Any
) -> None:
    first = supervisors.start({"beat": BEAT})
    first.wait_for("beat.1", "beats")
    second = supervisors.start({"beat": BEAT})
    second.wait_for("system", "beat.1 stands by: ")

    first.signal(signal)
    second.wait_for("system", "beat.1 has its lock; starting it")
    second.wait_for("beat.1", "beats")

    assert second.end(SIGTERM) == 0


def test_a_singleton_stopped_on_request_is_taken_over_by_another_supervisor(
    over_postgresql: Supervisors,
) -> None:
    first = over_postgresql.start({"beat": BEAT})
    first.wait_for("beat.1", "beats")
    stop = [*PRODCTL, "--socket", str(over_postgresql._sockets), "stop", "beat"]
    second = over_postgresql.start({"beat": BEAT})
    second.wait_for("system", "beat.1 stands by: ")

    assert over_postgresql.site.command(stop).end() == 0
    second.wait_for("beat.1", "beats")

    assert [run.end(SIGTERM) for run in (first, second)] == [0, 0]


def test_a_singleton_stops_and_starts_again_if_its_lock_holder_is_killed(
    over_postgresql: Supervisors,
) -> None:
    run = over_postgresql.start({"beat": BEAT})
    run.wait_for("beat.1", "beats")

    run.kill(holder(run).pid, SIGKILL)

    run.wait_for("system", r"beat.1 has lost its lock: .* was killed by SIGKILL; stopping it")
    run.wait_for("system", "beat.1 stopped after .*; standing by")
    run.wait_for("beat.1", "beats")
    assert run.end(SIGTERM) == 0


def test_a_lock_holder_reconnects_before_another_supervisor_takes_the_lock(
    over_postgresql: Supervisors, postgresql: str
) -> None:
    first = over_postgresql.start({"beat": BEAT})
    first.wait_for("beat.1", "beats")
    second = over_postgresql.start({"beat": BEAT})
    second.wait_for("system", "beat.1 stands by: ")

    end_connections(postgresql)
    second.wait_for("system", "beat.1 stands by: terminating connection")
    second.wait_for("system", rf"beat.1 stands by: {TAKEN_BY.format(first.pid)}")

    assert [run.end(SIGTERM) for run in (first, second)] == [0, 0]
    assert not any("lost" in line for line in first.said("system"))


def test_a_singleton_stops_if_the_database_does_not_respond(
    over_postgresql: Supervisors, postgresql: str
) -> None:
    """PostgreSQL's process for the connection hangs, and the connection stays open."""
    run = over_postgresql.start({"beat": BEAT})
    run.wait_for("beat.1", "beats")
    (server,) = backends(postgresql)

    os.kill(server, SIGSTOP)
    try:
        run.wait_for("system", "beat.1 has lost its lock: no report for 4 s")
        run.wait_for("system", "beat.1 stopped after .*; standing by")
    finally:
        os.kill(server, SIGCONT)
    run.wait_for("beat.1", "beats")

    assert run.end(SIGTERM) == 0


def test_a_singleton_stops_without_its_database_and_restarts_once_it_is_back(
    site: Site, postgresql: str
) -> None:
    with between(postgresql) as (address, gate):
        supervisors = Supervisors(site, {"DATABASES": {"default": database(address)}})
        first = supervisors.start({"beat": BEAT})
        first.wait_for("beat.1", "beats")
        second = supervisors.start({"beat": BEAT})
        second.wait_for("system", "beat.1 stands by: ")

        gate.close()
        first.wait_for("system", "beat.1 has lost its lock: ")
        first.wait_for("system", "beat.1 stopped after .*; standing by")
        second.wait_for("system", "beat.1 stands by: .*(refused|closed)")
        gate.open()

        first.wait_for("beat.1", "beats")
        second.wait_for("system", rf"beat.1 stands by: {TAKEN_BY.format(first.pid)}")
        assert [run.end(SIGTERM) for run in (first, second)] == [0, 0]
        assert second.said("beat.1") == []


def test_a_singleton_waits_for_a_database_that_is_not_up_yet(site: Site, postgresql: str) -> None:
    with between(postgresql) as (address, gate):
        gate.close()
        supervisors = Supervisors(site, {"DATABASES": {"default": database(address)}})
        run = supervisors.start({"beat": BEAT})
        run.wait_for("system", "beat.1 stands by: .*refused")
        gate.open()

        run.wait_for("beat.1", "beats")
        assert run.end(SIGINT) == 130


def test_a_reload_of_the_standby_supervisor_does_not_move_the_singleton(
    over_postgresql: Supervisors,
) -> None:
    first = over_postgresql.start({"beat": BEAT})
    first.wait_for("beat.1", "beats")
    second = over_postgresql.start({"beat": BEAT})
    second.wait_for("system", "all 1 ready")
    reload = [*PRODCTL, "--socket", str(over_postgresql._sockets), "reload"]

    assert over_postgresql.site.command(reload).end() == 0
    second.wait_for("system", "reloaded after")

    assert [run.end(SIGTERM) for run in (second, first)] == [0, 0]
    assert second.said("beat.1") == []


def test_only_the_lock_holder_is_connected_to_the_database(over_postgresql: Supervisors) -> None:
    run = over_postgresql.start({"beat": BEAT})
    run.wait_for("beat.1", "beats")
    template = next(iter(run.templates()))

    for pid in (run.pid, template):
        assert connections(pid) == []
    assert len(connections(holder(run).pid)) == 1
    assert run.end(SIGTERM) == 0


# ---- the databases of the tests ----


def backends(postgresql: str) -> list[int]:
    """The PIDs of PostgreSQL's processes for connections that hold a lock."""
    psycopg: Any = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT DISTINCT pid FROM pg_locks JOIN pg_database d ON d.oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        ).fetchall()
    return [pid for (pid,) in rows]


def end_connections(postgresql: str) -> None:
    psycopg: Any = pytest.importorskip("psycopg")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class Gate:
    """A TCP proxy that forwards connections while it is open."""

    def __init__(self, port: int, to: tuple[str, int]) -> None:
        self._at, self._to = ("127.0.0.1", port), to
        self._selector = selectors.DefaultSelector()
        self._other: dict[socket.socket, socket.socket] = {}
        self._listener: Optional[socket.socket] = None
        self._lock = threading.Lock()
        self._ended = False

    def open(self) -> None:
        with self._lock:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self._at)
            listener.listen()
            self._listener = listener
            self._selector.register(listener, selectors.EVENT_READ)

    def close(self) -> None:
        """Refuse new connections and drop the existing ones."""
        with self._lock:
            for one in [*self._other, *([self._listener] if self._listener else [])]:
                self._selector.unregister(one)
                one.close()
            self._other.clear()
            self._listener = None

    def run(self) -> None:
        while not self._ended:
            ready = self._selector.select(0.05)
            with self._lock:
                for key, _ in ready:
                    self._pass_on(key.fileobj)

    def end(self) -> None:
        self._ended = True

    def _pass_on(self, ready: Any) -> None:
        if ready is self._listener:
            client, _ = ready.accept()
            server = socket.create_connection(self._to)
            for one, other in ((client, server), (server, client)):
                self._other[one] = other
                self._selector.register(one, selectors.EVENT_READ)
        elif ready in self._other:
            other = self._other[ready]
            try:
                data = ready.recv(1 << 16)
                other.sendall(data)
            except ConnectionError:  # The process at the other end was killed.
                data = b""
            if not data:
                for one in (ready, other):
                    self._selector.unregister(one)
                    del self._other[one]
                    one.close()


@contextmanager
def between(postgresql: str) -> Iterator[tuple[str, Gate]]:
    """Yield the address of the same database behind a gate, and the gate."""
    url, port = urlsplit(postgresql), free_port()
    assert url.port is not None
    gate = Gate(port, ("127.0.0.1", url.port))
    gate.open()
    thread = threading.Thread(target=gate.run)
    thread.start()
    with ExitStack() as stack:
        stack.callback(gate.close)
        stack.callback(thread.join)
        stack.callback(gate.end)
        yield re.sub(r":\d+/", f":{port}/", postgresql), gate
