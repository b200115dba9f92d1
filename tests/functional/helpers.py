"""The small programs that processes of functional tests run."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Union

# Exported as well, because tests that use these programs also need the runner.
from tests.running import Run, Runs

__all__ = ["FOREVER", "STUBBORN", "Run", "Runs", "code", "shell"]


def code(source: str, backend: str = "Code", **entry: Any) -> dict[str, Any]:
    """An entry of PRODUCTION_PROCESSES that runs this Python source (see project/backends.py)."""
    return {"BACKEND": f"backends.{backend}", "ARGS": [textwrap.dedent(source)], **entry}


def shell(args: Union[str, Sequence[str]], **entry: Any) -> dict[str, Any]:
    backend = "django_prodserver.backends.command.ShellCommand"
    return {"BACKEND": backend, "ARGS": args, **entry}


FOREVER = code("forever()")
# Ignores SIGTERM and SIGINT, and prints `deaf` once it does.
STUBBORN = code(
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    print("deaf")
    forever()
    """
)
