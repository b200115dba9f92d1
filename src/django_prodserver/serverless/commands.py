"""Runs a management command in a function, as `manage.py` does, and returns its output."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, TextIO

from django.core.management import execute_from_command_line


class _Copied(io.StringIO):
    """Keeps the output, and logs it at once: Lambda kills a command that takes too long."""

    def __init__(self, log: TextIO) -> None:
        super().__init__()
        self._log = log

    def write(self, text: str) -> int:
        self._log.write(text)
        return super().write(text)


def run(words: Sequence[str]) -> dict[str, Any]:
    """Run a command; return its exit status and output: `{"status": 0, "output": "..."}`."""
    output = _Copied(sys.stdout)
    with redirect_stdout(output), redirect_stderr(output):
        status = _status(words)
    return {"status": status, "output": output.getvalue()}


def _status(words: Sequence[str]) -> int:
    try:
        execute_from_command_line(["manage.py", *words])
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0
