"""The small programs that processes of functional tests run."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Union

# The runner: whoever writes these programs starts them.
from tests.running import Run, Runs

__all__ = ["FOREVER", "STUBBORN", "Run", "Runs", "code", "shell"]


def code(source: str, backend: str = "Code", **entry: Any) -> dict[str, Any]:
    """An entry of PRODUCTION_PROCESSES that runs this Python source (see project/backends.py)."""
    return {"BACKEND": f"backends.{backend}", "ARGS": [textwrap.dedent(source)], **entry}


def shell(args: Union[str, Sequence[str]], **entry: Any) -> dict[str, Any]:
    backend = "django_prodserver.backends.command.ShellCommand"
    return {"BACKEND": backend, "ARGS": args, **entry}


FOREVER = code("forever()")
# Says when it listens, and goes on whatever it is asked.
STUBBORN = code(
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    print("deaf")
    forever()
    """
)
