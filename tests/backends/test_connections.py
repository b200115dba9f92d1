"""What is closed before a fork, besides the databases (see test_own_answers.py)."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import django
import pytest
from django.core.cache import caches
from django.db import connections
from django.test import override_settings

from django_prodserver.backends.hooks.connections import close_connections
from tests.running import Site, skip_without
from tests.services import database


class PersistentClient:
    """A memcached client that stays connected, as pylibmc's does."""

    def __init__(self, servers: object, **options: object) -> None:
        self.sockets = list(socket.socketpair())

    def set(self, *args: object) -> bool:
        return True

    def disconnect_all(self) -> None:
        for one in self.sockets:
            one.close()

    @property
    def connected(self) -> bool:
        return any(one.fileno() >= 0 for one in self.sockets)


def library() -> ModuleType:
    module = ModuleType("pylibmc")
    vars(module).update(Client=PersistentClient, NotFound=KeyError)
    return module


@pytest.fixture(name="pylibmc")
def pylibmc_fixture(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "pylibmc", library())
    cache = {"BACKEND": "django.core.cache.backends.memcached.PyLibMCCache", "LOCATION": "x:1"}
    with override_settings(CACHES={"default": cache}):
        yield


@pytest.mark.usefixtures("pylibmc")
def test_a_cache_connection_that_django_keeps_open_is_closed() -> None:
    caches["default"].set("a", 1)
    client: Any = vars(caches["default"])["_cache"]
    assert client.connected

    close_connections()

    assert not client.connected


def test_closing_connections_does_not_create_an_unused_cache() -> None:
    with override_settings(CACHES={"default": {"BACKEND": "no.such.Cache"}}):
        close_connections()


def test_connections_of_celery_to_its_broker_are_closed_and_can_be_reopened() -> None:
    celery = pytest.importorskip("celery")
    app = celery.Celery("tests", broker="memory://", set_as_current=False)
    with app.producer_pool.acquire() as producer:
        connection = producer.connection
        producer.publish({}, routing_key="tests")
    assert connection.connected

    close_connections()

    assert not connection.connected
    with app.producer_pool.acquire() as producer:
        producer.publish({}, routing_key="tests")
        assert producer.connection.connected
    close_connections()


def test_connections_of_djangos_cache_to_redis_are_closed(redis: str) -> None:
    backend = "django.core.cache.backends.redis.RedisCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": redis}}):
        caches["default"].set("a", 1)
        (pool,) = vars(caches["default"])["_cache"]._pools.values()
        (connection,) = pool._available_connections
        assert connection._sock is not None

        close_connections()

        assert connection._sock is None
        assert caches["default"].get("a") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_redis_connection_left_open_by_the_preload_is_not_reported(
    site: Site, redis: str
) -> None:
    source = """
        import os, redis
        client = redis.Redis.from_url(os.environ["AT"])
        client.ping()
    """
    processes = {"web": {"BACKEND": "command", "ARGS": ["migrate", "--noinput"], "TYPE": "oneshot"}}

    run = site(
        processes,
        supervisor={"PRELOAD": ["preloaded"]},
        files={"preloaded.py": source},
        env={"AT": redis},
    )

    assert run.end() == 0
    assert not [line for line in run.said("system") if "the preload left" in line]


@pytest.mark.skipif(django.VERSION < (5, 1), reason="this Django has no pool yet")
def test_a_database_pool_opened_by_another_thread_is_closed_with_its_threads(
    postgresql: str,
) -> None:
    skip_without("psycopg_pool")
    before = set(threading.enumerate())
    given = {**database(postgresql), "OPTIONS": {"pool": True}}
    connections.settings["pooled"] = connections.configure_settings(
        {"default": {}, "pooled": given}
    )["pooled"]
    try:
        opener = threading.Thread(target=_ask, args=["pooled"])
        opener.start()
        opener.join()
        assert set(threading.enumerate()) > before

        close_connections()

        assert set(threading.enumerate()) == before
        assert _ask("pooled") == 1
    finally:
        close_connections()
        del connections["pooled"], connections.settings["pooled"]


def _ask(alias: str) -> Any:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone()[0]
    finally:
        connections[alias].close()
