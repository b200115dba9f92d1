"""`--dry-run`: the instances in the order of their start, with the arguments of their software.

Behind them stands what else changes how a process runs: its USER, GROUP, UMASK and CWD.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from django_prodserver.launch.process import ResolvedProcess


def dry_run(processes: Iterable[ResolvedProcess]) -> Iterator[str]:
    """A line for each instance."""
    for process in processes:
        for instance in process.instances:
            arguments = shlex.join(process.new_backend(instance).prep_server_args())
            yield f"{instance}: {process.backend_class.__name__} {arguments}{_context(process)}"


def _context(process: ResolvedProcess) -> str:
    keys = {
        key: getattr(process.settings, key.lower()) for key in ("USER", "GROUP", "UMASK", "CWD")
    }
    given = [f"{key} {value}" for key, value in keys.items() if value is not None]
    return f" ({', '.join(given)})" if given else ""
