"""Amounts as a person reads them, with their units."""

from __future__ import annotations

from collections.abc import Mapping

from .hints import Callable


def seconds(value: float) -> str:
    """Three digits are enough: `0.15 s`, `12.3 s`, `126 s`."""
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} s"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


# How a load is shown, by METRIC.
_LOADS: Mapping[str, Callable[[float], str]] = {
    "cpu": lambda cores: f"{cores:.2f} cores",
    "memory": lambda size: megabytes(int(size)),
    "queue": lambda tasks: "1 task" if tasks == 1 else f"{tasks:g} tasks",
    "queue-age": seconds,
    "busy": lambda requests: f"{requests:.1f} requests",
}


def load(metric: str, value: float) -> str:
    words = _LOADS.get(metric)
    return f"{value:g}" if words is None else words(value)
