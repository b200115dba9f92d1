"""Process groups: who is still in one, after its leader has ended."""

from __future__ import annotations

import os


def is_empty(group: int) -> bool:
    """Nobody is left in it, not even a zombie (kill(2))."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # Somebody of another user's is there.
    return False
