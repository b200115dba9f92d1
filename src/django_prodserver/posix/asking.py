"""Runs another program for its output: one that exits on its own, and soon."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value

# In seconds: ample for a program that only reads its options, and a limit for one that hangs.
LONGEST = 30


class Answer(Value):
    status: int
    output: str
    errors: str


def ask(argv: Sequence[str], environ: Mapping[str, str], folder: Optional[str] = None) -> Answer:
    """Run a program until it exits. Raises ValueError if it cannot be run, or takes too long."""
    try:
        done = subprocess.run(
            list(argv),
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(str(error)) from None
    return Answer(status=done.returncode, output=done.stdout, errors=done.stderr)
