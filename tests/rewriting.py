"""How tests change the files of a running project."""

from __future__ import annotations

from pathlib import Path


def rewrite(path: Path, text: str) -> None:
    """Write a file so that Python notices the change, if it is code.

    Python recompiles a file if its size or the second of its modification time has changed. Tests
    change files more than once a second, so each version is longer than the one before.
    """
    if path.suffix == ".py" and path.exists():
        text += "#" * (path.stat().st_size + 1 - len(text.encode()))
    path.write_text(text)
