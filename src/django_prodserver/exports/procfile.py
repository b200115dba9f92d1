"""The processes as a Procfile, for honcho, foreman, overmind, Heroku and Dokku."""

from __future__ import annotations

from collections.abc import Iterable


def render(names: Iterable[str]) -> str:
    """One line a process: its name, and the command that runs it alone."""
    return "".join(line(name, name) + "\n" for name in names)


def line(label: str, name: str) -> str:
    """`python` and not this interpreter: who uses a Procfile has another environment."""
    return f"{label}: python manage.py prodserver {name}"
