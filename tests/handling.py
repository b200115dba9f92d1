"""What ON_EVENT may name, and what it must not."""

from __future__ import annotations

from typing import Any

NOTHING = None


def fine(event: dict[str, Any]) -> None: ...


def takes_nothing() -> None: ...


async def asynchronous(event: dict[str, Any]) -> None: ...
