"""Wait until everything is available.

Each check runs in a process of its own, and leaves no connection open.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Callable, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from django_prodserver.posix.trials import answers

from .celery import find_app
from .connections import close_connections

# In seconds: the longest check, the shortest check worth starting, and how often missing
# dependencies are logged.
LONGEST, SHORTEST, EVERY = 5.0, 1.0, 10.0


class NotYet(Exception):
    """Nothing has failed, but the dependency is not available yet."""


class Dependency(NamedTuple):
    """Something to wait for."""

    name: str
    # Raises as long as it is not available.
    check: Callable[[], None]
    # What is logged once it is available.
    done: str


def wait(
    dependencies: Sequence[Dependency],
    timeout: float,
    interval: float,
    describe: Callable[[BaseException], str],
) -> int:
    """Return the exit status: 0 once all are available, 1 after `timeout` seconds."""
    # Without a supervisor Python's own handler is installed, and would print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    close_connections()
    began = said_at = time.monotonic()
    missing = list(dependencies)
    while True:
        checks = [partial(_try, dependency, began, describe) for dependency in missing]
        left = began + timeout - time.monotonic()
        why = answers(checks, min(LONGEST, max(SHORTEST, left)))
        reasons = {dependency: reason for dependency, reason in zip(missing, why) if reason}
        missing = list(reasons)
        if not missing:
            return 0
        now = time.monotonic()
        late = now - began >= timeout
        if late or now - said_at >= EVERY:
            said_at = now
            for dependency, reason in reasons.items():
                begin = "gave up on" if late else "still waiting for"
                _say(f"{begin} {dependency.name} after {now - began:.0f} s: {reason}")
        if late:
            return 1
        time.sleep(max(0.0, min(interval, began + timeout - now)))


def _try(dependency: Dependency, began: float, describe: Callable[[BaseException], str]) -> str:
    """Log that it is available, or return why it is not."""
    try:
        dependency.check()
    except NotYet as reason:
        return str(reason)
    except Exception as error:
        return describe(error)
    _say(f"{dependency.name} {dependency.done} after {time.monotonic() - began:.1f} s")
    return ""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# ---- the checks ----


def database(alias: str) -> None:
    _connected(alias)


def migrations(alias: str) -> None:
    """No migration is left to apply. Applied migrations that the code lacks do not count."""
    from django.db.migrations.executor import MigrationExecutor

    connection = _connected(alias)
    executor = MigrationExecutor(connection)
    executor.loader.check_consistent_history(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise NotYet(f"{len(plan)} not applied, the first is {plan[0][0]}")


def _connected(alias: str) -> Any:
    from django.db import connections

    connection = connections[alias]
    # SQLite would create the file.
    file = _file_of(connection) if connection.vendor == "sqlite" else ""
    if file and not os.path.exists(file):
        raise NotYet(f"there is no file {file}")
    connection.ensure_connection()
    return connection


def _file_of(connection: Any) -> str:
    """The path of the database; "" for a database in memory."""
    name = str(connection.settings_dict["NAME"])
    if connection.is_in_memory_db():
        return ""
    return unquote(urlsplit(name).path) if name.startswith("file:") else name


def cache(alias: str) -> None:
    from django.core.cache import caches

    caches[alias].get("prodserver")


def broker(app: str) -> None:
    # `wait` retries; 0 means one attempt.
    find_app(app).connection_for_read().ensure_connection(max_retries=0)


def tcp(address: tuple[str, int]) -> None:
    socket.create_connection(address, timeout=LONGEST).close()


def http(url: str) -> None:
    """The status is 200 to 299, after redirects."""
    urlopen(url, timeout=LONGEST).close()


def path(name: str) -> None:
    if not os.path.exists(name):
        raise NotYet("it does not exist")


def call(function: Callable[[], object]) -> None:
    answer = function()
    if not answer:
        raise NotYet(f"it returned {answer!r}")
