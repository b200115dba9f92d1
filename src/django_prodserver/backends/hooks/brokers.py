"""Connections to a broker for one query: they give up soon, and are closed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# In seconds, to connect and for each answer: by default clients wait forever for a silent server.
TIMEOUT = 3
# How many of the oldest tasks are read, if only their content says that they are for later.
OLDEST = 100


@contextmanager
def redis(client: Any) -> Iterator[Any]:
    """Make a Redis client give up soon, and disconnect it afterwards."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    pool = client.connection_pool
    options: dict[str, Any] = {"socket_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0)}
    if "path" not in pool.connection_kwargs:  # TCP, not a Unix socket.
        options["socket_connect_timeout"] = TIMEOUT
    pool.connection_kwargs.update(options)
    try:
        yield client
    finally:
        pool.disconnect()


@contextmanager
def database(alias: str) -> Iterator[None]:
    """Make Django's connection to a database give up soon, and close it afterwards."""
    from django.db import connections

    connection = connections[alias]
    connection.close()
    if connection.vendor in ("postgresql", "mysql"):
        connection.settings_dict.setdefault("OPTIONS", {}).setdefault("connect_timeout", TIMEOUT)
    try:
        yield
    finally:
        connection.close()
