"""Connections that are open before a fork: two processes that share one get each other's answers.

Closed is what Django and the task queues keep open by themselves, whichever backend is about to
fork. Software that is not imported here has no connection, and is not imported for this. Clients
of Redis need no help: they see by the process id that they were forked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Optional


def close_connections() -> None:
    """Close what forked processes must not share; whatever uses it connects again."""
    close_djangos()
    for module, close in KNOWN.items():
        if module in sys.modules:
            _close(partial(close, sys.modules[module]))


def close_djangos() -> None:
    """Close databases, their pools, and caches."""
    if "django.db" not in sys.modules:
        return  # The software is on its own, and imports the project later, if at all.
    from django.core.cache import caches
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        _close(connection.close)
    for connection in _pooled():
        _close(connection.close_pool)
    for cache in caches.all(initialized_only=True):
        _close(cache.close)
        client: Any = vars(cache).get("_cache")
        # Django keeps the connections of pylibmc, because that counts its failures by them, and of
        # Redis.
        _close(getattr(client, "disconnect_all", None))
        for pool in [*getattr(client, "_pools", {}).values()]:
            _close(pool.disconnect)


def _close(close: Optional[Callable[[], object]]) -> None:
    # Its other end may be gone: that is no reason not to start.
    with suppress(Exception):
        if close is not None:
            close()


def _pooled() -> Iterator[Any]:
    """A connection of each database whose pool may be open; another thread may have opened it."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connections

    for alias, given in connections.settings.items():
        if given.get("OPTIONS", {}).get("pool"):
            with suppress(ImproperlyConfigured):  # Its driver is not installed.
                connection = connections[alias]
                # To ask for the pool would create it.
                if getattr(connection, "_connection_pools", None):
                    yield connection


def _close_kombu(pools: Any) -> None:
    """Connections to a broker, Celery's among them, whose apps are told to make new pools."""
    pools.reset()
    state = sys.modules.get("celery._state")
    for app in state._get_active_apps() if state is not None else ():
        app._after_fork()  # As Celery does in its own forks.


def _close_dramatiq(broker: Any) -> None:
    if broker.global_broker is not None:
        broker.global_broker.close()


def _close_huey(djhuey: Any) -> None:
    """SQLite's connections, for example, must not be carried across a fork."""
    djhuey.HUEY.storage.close()


def _close_django_redis(pool: Any) -> None:
    for one in [*pool.ConnectionFactory._pools.values()]:
        one.disconnect()


# Of each task queue or cache the module that knows its connections, and how they are closed.
KNOWN: dict[str, Callable[[Any], None]] = {
    "kombu.pools": _close_kombu,
    "dramatiq.broker": _close_dramatiq,
    "huey.contrib.djhuey": _close_huey,
    "django_redis.pool": _close_django_redis,
}
