"""The names of the two settings, and the place of each key in them."""

from __future__ import annotations

import re

PROCESSES = "PRODUCTION_PROCESSES"
SUPERVISOR = "PRODUCTION_SUPERVISOR"

# As in a Procfile: the parsers of honcho and foreman agree on these characters.
PROCESS_NAME = re.compile(r"[A-Za-z0-9_-]+")


def place_of(process: str, *keys: str) -> str:
    """The place of a setting as Python writes it: `PRODUCTION_PROCESSES['web']['ARGS']`."""
    return PROCESSES + "".join(f"[{key!r}]" for key in (process, *keys))
