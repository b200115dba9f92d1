"""Every backend runs its real software in a project of its own: the fixture `site`."""

from __future__ import annotations

from tests.running import site_fixture

__all__ = ["site_fixture"]
