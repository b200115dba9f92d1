"""The stdout of a command that prints and exits."""

from __future__ import annotations

import os


def give_up_stdout() -> None:
    """Redirect stdout to /dev/null: its reader is gone, and Python would complain on exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
