"""The processes as a Procfile, for honcho, foreman, overmind, Heroku and Dokku."""

from __future__ import annotations

from collections.abc import Iterable


def render(names: Iterable[str]) -> str:
    """One line a process: its name, and the command that runs it alone.

    `python` and not this interpreter: where a Procfile is used, the environment is another one.
    """
    return "".join(f"{name}: python manage.py prodserver {name}\n" for name in names)
