"""Locks that all supervisors of a site share: in its database, or in a file.

Each lock is held by a separate process, see `posix.locks`. It consists of a connection or an open
file, so it is released as soon as that process exits. If the whole machine disappears instead, the
database releases it after LEASE.

Each lock has a second lock next to it, which means "done". A supervisor that has done the work of
the lock also holds the second one for a while; others that find it held skip the work. So no table
is needed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Callable, ClassVar, Optional, Protocol

from django.db import DEFAULT_DB_ALIAS, connections

from django_prodserver.posix.awaited_signal import AwaitedSignal
from django_prodserver.posix.clock import Clock
from django_prodserver.posix.file_lock import FileLock, this_supervisor
from django_prodserver.posix.locks import BUSY, CANNOT, DONE, HELD, USED
from django_prodserver.settings.errors import describe
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.schema import DATABASE

# In seconds: how often to report that a lock is held, and how often to try to take it.
BEAT = 1.0
# How long the database may take to answer.
ANSWER_WITHIN = 3
# How long until a database releases the lock of a client that has become unreachable: the time
# until PostgreSQL's first keepalive probe, plus the wait for an answer to each of two probes.
IDLE, ASK_EVERY, ASK_TIMES = 4, 2, 2
LEASE = IDLE + ASK_EVERY * ASK_TIMES
# How long to hold the lock that means "done".
ANNOUNCE_FOR = 10.0

LEFT_ALONE = "its last holder may not have stopped yet"


class Lock(Protocol):
    """A kind of lock. Any call may raise errors of the database or of the operating system."""

    def take(self) -> bool:
        """Take it without waiting; return whether that worked."""

    def check(self) -> None:
        """Raise if it may no longer be held."""

    def announce_done(self) -> None:
        """Tell other supervisors, from now on, that the work is done."""

    def is_done(self) -> bool:
        """Whether another supervisor tells that the work is done."""

    def holder(self) -> str:
        """A description of the supervisor that holds it; "" if unknown."""

    def drop(self) -> None:
        """Give up a connection that has failed."""


def hold(request: Mapping[str, str]) -> Iterator[bytes]:
    """The task: take a lock, hold it until this process is killed, and report its state.

    `request` has the `process` that needs the lock; the `lock`, which is "database" or the path of
    a file; and the `work`, a text: of several supervisors with the same work, only one does it.
    """
    done_signal = AwaitedSignal(DONE)
    lock = lock_at(request["lock"], request["process"], request["work"])
    for report in _take_and_hold(lock):
        yield report
        if report != USED + b"\n" and done_signal.wait(BEAT):
            _announce_done(lock, done_signal)
            return


def _take_and_hold(lock: Lock) -> Iterator[bytes]:
    """Yield a report about the lock; each time the generator is resumed, another one.

    The holder of a lock may lose it with its connection to the database. It tries to retake it at
    once. If the database broke all connections, the other supervisors leave the lock alone for
    LEASE; if it broke only this one, another supervisor may hold the lock already.
    """
    clock = Clock()
    held = was_held = connected = broken = False
    leave_alone_until = 0.0
    while True:
        try:
            if held:
                lock.check()
            elif lock.is_done():
                yield USED + b"\n"
                return
            else:
                if broken and not was_held:
                    leave_alone_until = clock.now() + LEASE
                connected, broken = True, False
                left_alone = clock.now() < leave_alone_until
                held = not left_alone and lock.take()
                was_held = held
            if held:
                report = HELD
            else:
                holder = lock.holder()
                why = f"{holder or 'another supervisor'} has the lock"
                report = BUSY + b" " + _line(LEFT_ALONE if left_alone and not holder else why)
        except Exception as error:
            held, broken = False, connected
            with suppress(Exception):
                lock.drop()
            report = CANNOT + b" " + _line(str(error) or describe(error))
        yield report + b"\n"


def _announce_done(lock: Lock, done_signal: AwaitedSignal) -> None:
    clock = Clock()
    with suppress(Exception):
        lock.announce_done()
        end = clock.now() + ANNOUNCE_FOR
        while clock.now() < end:
            done_signal.wait(BEAT)
            lock.check()


def _line(why: str) -> bytes:
    """The first line. An error of a database may have several; the first has the reason."""
    return why.strip().splitlines()[0].encode(errors="replace")


# ---- the locks of databases ----


class _DatabaseLock:
    """A lock in the default database, on its own connection."""

    # Added to the OPTIONS of the connection.
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, process: str, work: str) -> None:
        self._names = f"prodserver {process}", f"prodserver {process} {work}"
        self._connection: Any = None

    def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def holder(self) -> str:
        return ""

    def _rows(self, statement: str, *values: object) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def _is(self, statement: str, *values: object) -> bool:
        ((answer,),) = self._rows(statement, *values)
        return bool(answer)

    def _connect(self) -> Any:
        connection = connections.create_connection(DEFAULT_DB_ALIAS)
        given = {**self.options, **connection.settings_dict["OPTIONS"]}
        given.pop("pool", None)
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": given}
        connection.connect()
        return connection


class _PostgresLock(_DatabaseLock):
    """Advisory locks of a transaction that stays open.

    Not of a session: behind pgbouncer in transaction mode, two clients could get the same lock. Do
    not wait for a lock in the database: that would deadlock with a CREATE INDEX CONCURRENTLY of its
    holder.
    """

    options: ClassVar[Mapping[str, Any]] = {
        "connect_timeout": ANSWER_WITHIN,
        "tcp_user_timeout": ANSWER_WITHIN * 1000,
    }

    def __init__(self, process: str, work: str) -> None:
        super().__init__(process, work)
        self._keys = [_number(name) for name in self._names]
        self._holder = this_supervisor()

    def take(self) -> bool:
        self._rows("BEGIN")
        for setting, value in {
            "statement_timeout": ANSWER_WITHIN * 1000,
            "idle_in_transaction_session_timeout": 0,
            "tcp_keepalives_idle": IDLE,
            "tcp_keepalives_interval": ASK_EVERY,
            "tcp_keepalives_count": ASK_TIMES,
            "application_name": f"prodserver of {self._holder}",
        }.items():
            self._rows("SELECT set_config(%s, %s, true)", setting, str(value))
        if self._is("SELECT pg_try_advisory_xact_lock(%s)", self._keys[0]):
            return True
        self._rows("ROLLBACK")
        return False

    def check(self) -> None:
        self._rows("SELECT 1")

    def announce_done(self) -> None:
        self._rows("SELECT pg_advisory_xact_lock_shared(%s)", self._keys[1])

    def is_done(self) -> bool:
        return bool(self._holders(self._keys[1]))

    def holder(self) -> str:
        names = [name for (name,) in self._holders(self._keys[0])]
        return names[0].replace("prodserver of ", "", 1) if names and names[0] else ""

    def _holders(self, key: int) -> Any:
        high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
        return self._rows(
            "SELECT application_name FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid::bigint = %s AND objid::bigint = %s",
            high,
            low,
        )


class _MySQLLock(_DatabaseLock):
    """Locks by GET_LOCK. Their names are global to the server, with at most 64 characters."""

    options: ClassVar[Mapping[str, Any]] = {
        "connect_timeout": ANSWER_WITHIN,
        "read_timeout": ANSWER_WITHIN,
    }

    def __init__(self, process: str, work: str) -> None:
        super().__init__(process, work)
        database = connections.settings[DEFAULT_DB_ALIAS]["NAME"]
        self._keys = [
            f"prodserver-{_hash(f'{database} {name}').hex()[:40]}" for name in self._names
        ]

    def take(self) -> bool:
        self._rows("SET SESSION wait_timeout = %s", LEASE)
        return self._is("SELECT GET_LOCK(%s, 0)", self._keys[0])

    def check(self) -> None:
        if not self._is("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", self._keys[0]):
            raise LookupError("the connection has lost it")

    def announce_done(self) -> None:
        self._rows("SELECT GET_LOCK(%s, 0)", self._keys[1])

    def is_done(self) -> bool:
        return self._is("SELECT IS_USED_LOCK(%s) IS NOT NULL", self._keys[1])


# ---- which lock to use ----


def _sqlite_lock(process: str, work: str) -> Lock:
    """Use a file: SQLite's own locks end with the transaction, and block all other writers."""
    name = os.path.abspath(connections.settings[DEFAULT_DB_ALIAS]["NAME"])
    return FileLock(f"{name}.{process}.lock", work)


# By the `vendor` of Django's connections.
VENDORS: Mapping[str, Callable[[str, str], Lock]] = {
    "postgresql": _PostgresLock,
    "mysql": _MySQLLock,
    "sqlite": _sqlite_lock,
}


def lock_at(lock: str, process: str, work: str) -> Lock:
    """The lock of a process. Several processes may share the path of a file."""
    if lock != DATABASE:
        return FileLock(lock, f"{process} {work}")
    return VENDORS[connections[DEFAULT_DB_ALIAS].vendor](process, work)


def lock_problem(place: str, hint: str) -> Optional[Finding]:
    """Why the database cannot hold locks; `hint` names an alternative. Does not connect to it."""
    try:
        connection: Any = connections[DEFAULT_DB_ALIAS]
    except Exception as error:
        return Finding(place, f"needs the database: {describe(error)}.", "", "E018", cause=error)
    engine = connection.settings_dict["ENGINE"]
    if connection.vendor not in VENDORS:
        message = f"needs a database with locks, but {engine} has none."
        hint = f"Use PostgreSQL, MySQL, MariaDB or SQLite{hint}."
        return Finding(place, message, hint, "E018")
    if connection.vendor == "sqlite" and connection.is_in_memory_db():
        hint = f"Use a database in a file{hint}."
        return Finding(place, "needs the database, which is in memory.", hint, "E018")
    return None


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _number(text: str) -> int:
    """A key for PostgreSQL: a signed 64-bit integer."""
    return int.from_bytes(_hash(text)[:8], "big", signed=True)
