"""After each test nobody is left: whoever is, fails it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.helpers import Runs


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Runs]:
    """Start `manage.py prodserver` with these processes."""
    runs = Runs(tmp_path)
    yield runs
    left = runs.close()
    assert not left, f"left behind: {', '.join(left)}"
