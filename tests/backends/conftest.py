"""Every backend runs its real software in a project of its own: the fixture `site`."""

from __future__ import annotations

from tests.running import site_fixture
from tests.services import postgresql_fixture, postgresql_server, redis_fixture, redis_server

__all__ = [
    "postgresql_fixture",
    "postgresql_server",
    "redis_fixture",
    "redis_server",
    "site_fixture",
]
