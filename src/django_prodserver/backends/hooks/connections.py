"""Close connections before a fork: two processes that share one get each other's answers.

This closes what Django and the task queues keep open by themselves, whichever backend is about to
fork. Software that is not imported has no connections, and is not imported for this. Redis clients
need no help: they notice a fork by the process id.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Optional


def close_connections() -> None:
    """Close connections that forked processes must not share; they reopen when used."""
    close_djangos()
    for module, close in KNOWN.items():
        if module in sys.modules:
            _close(partial(close, sys.modules[module]))


def close_djangos() -> None:
    """Close the connections and pools of databases, and the connections of caches."""
    if "django.db" not in sys.modules:
        return  # This process has not loaded Django; the software may import the project later.
    from django.core.cache import caches
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        _close(connection.close)
    for connection in _pooled():
        _close(connection.close_pool)
    for cache in caches.all(initialized_only=True):
        _close(cache.close)
        client: Any = vars(cache).get("_cache")
        # Django's `close` keeps the connections of pylibmc, which counts failures per connection,
        # and of Redis.
        _close(getattr(client, "disconnect_all", None))
        for pool in [*getattr(client, "_pools", {}).values()]:
            _close(pool.disconnect)


def _close(close: Optional[Callable[[], object]]) -> None:
    # The other end may be gone: that is no reason not to start.
    with suppress(Exception):
        if close is not None:
            close()


def _pooled() -> Iterator[Any]:
    """One connection per database that has an open pool; another thread may have opened it."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connections

    for alias, given in connections.settings.items():
        if given.get("OPTIONS", {}).get("pool"):
            with suppress(ImproperlyConfigured):  # Its driver is not installed.
                connection = connections[alias]
                # Accessing `pool` would create it.
                if getattr(connection, "_connection_pools", None):
                    yield connection


def _close_kombu(pools: Any) -> None:
    """Close connections to brokers, and tell Celery's apps to create new pools."""
    pools.reset()
    state = sys.modules.get("celery._state")
    for app in state._get_active_apps() if state is not None else ():
        app._after_fork()  # As Celery does in its own forks.


def _close_dramatiq(broker: Any) -> None:
    if broker.global_broker is not None:
        broker.global_broker.close()


def _close_huey(djhuey: Any) -> None:
    """SQLite connections, for example, must not be carried across a fork."""
    djhuey.HUEY.storage.close()


def _close_django_redis(pool: Any) -> None:
    for one in [*pool.ConnectionFactory._pools.values()]:
        one.disconnect()


# For each task queue or cache: the module that knows its connections, and how to close them.
KNOWN: dict[str, Callable[[Any], None]] = {
    "kombu.pools": _close_kombu,
    "dramatiq.broker": _close_dramatiq,
    "huey.contrib.djhuey": _close_huey,
    "django_redis.pool": _close_django_redis,
}
