"""Connections to a broker for one question: they give up soon, and are closed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# In seconds, for a connection and for each answer: clients wait forever for a silent server.
PATIENCE = 3
# As many of the oldest tasks are read where only their content says that they are for later.
OLDEST = 100


@contextmanager
def redis(client: Any) -> Iterator[Any]:
    """A client of Redis that others have created."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = client.connection_pool
    options: dict[str, Any] = {"socket_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
    if "path" not in pool.connection_kwargs:  # The socket of a host and a port, not a Unix socket.
        options["socket_connect_timeout"] = PATIENCE
    pool.connection_kwargs.update(options)
    try:
        yield client
    finally:
        pool.disconnect()


@contextmanager
def database(alias: str) -> Iterator[None]:
    """A database of Django."""
    from django.db import connections

    connection = connections[alias]
    connection.close()
    if connection.vendor in ("postgresql", "mysql"):
        connection.settings_dict.setdefault("OPTIONS", {}).setdefault("connect_timeout", PATIENCE)
    try:
        yield
    finally:
        connection.close()
