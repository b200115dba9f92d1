"""How tests change the files of a project that is running."""

from __future__ import annotations

from pathlib import Path


def rewrite(path: Path, text: str) -> None:
    """Write a file in such a way that Python notices the change, if it is code.

    Python compiles a file again if its size or the second of its last change is another one. Tests
    change a file more than once a second; so each version is longer than the one before.
    """
    if path.suffix == ".py" and path.exists():
        text += "#" * (path.stat().st_size + 1 - len(text.encode()))
    path.write_text(text)
