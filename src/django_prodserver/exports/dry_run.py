"""`--dry-run`: the instances in the order of their start, with the arguments of their software.

Behind them stands what else changes how a process runs: its USER, GROUP, UMASK and CWD.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from django_prodserver.launch.process import ResolvedProcess


def dry_run(processes: Iterable[ResolvedProcess]) -> Iterator[str]:
    """A line for each instance."""
    for process, instance, arguments in _instances(processes):
        backend = process.backend_class.__name__
        yield f"{instance}: {backend} {shlex.join(arguments)}{_context(process)}"


def dry_run_json(processes: Iterable[ResolvedProcess]) -> str:
    """An object for each instance."""
    instances = [
        {
            "instance": instance,
            "process": process.name,
            "backend": process.settings.backend,
            "arguments": arguments,
        }
        for process, instance, arguments in _instances(processes)
    ]
    return msgspec.json.format(msgspec.json.encode(instances)).decode()


def _instances(
    processes: Iterable[ResolvedProcess],
) -> Iterator[tuple[ResolvedProcess, str, Sequence[str]]]:
    for process in processes:
        for instance in process.instances:
            yield process, instance, list(process.new_backend(instance).prep_server_args())


def _context(process: ResolvedProcess) -> str:
    keys = {
        key: getattr(process.settings, key.lower()) for key in ("USER", "GROUP", "UMASK", "CWD")
    }
    given = [f"{key} {value}" for key, value in keys.items() if value is not None]
    return f" ({', '.join(given)})" if given else ""
