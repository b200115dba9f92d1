"""`--dry-run`: the instances in starting order, with the arguments of their software.

After them comes what else changes how a process runs: USER, GROUP, UMASK, CWD, and START_METHOD,
unless that is "auto" and only the preload decides.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.launch.start_method import known_before_the_preload, patched_by


def dry_run(processes: Sequence[ResolvedProcess]) -> Iterator[str]:
    """A line for each instance."""
    patched = patched_by(processes)
    for process, instance, arguments in _instances(processes):
        backend = process.backend_class.__name__
        yield f"{instance}: {backend} {shlex.join(arguments)}{_context(process, patched)}"


def dry_run_json(processes: Sequence[ResolvedProcess]) -> str:
    """An object for each instance."""
    patched = patched_by(processes)
    instances = [
        {
            "instance": instance,
            "process": process.name,
            "backend": process.settings.backend,
            "arguments": arguments,
            **_start_method(process, patched),
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


def _start_method(process: ResolvedProcess, patched: Collection[str]) -> dict[str, str]:
    """Return START_METHOD, if it is known without a preload."""
    method = known_before_the_preload(process, patched)
    return {} if method == "auto" else {"start_method": method}


def _context(process: ResolvedProcess, patched: Collection[str]) -> str:
    keys = {
        key: getattr(process.settings, key.lower()) for key in ("USER", "GROUP", "UMASK", "CWD")
    }
    keys["START_METHOD"] = _start_method(process, patched).get("start_method")
    given = [f"{key} {value}" for key, value in keys.items() if value is not None]
    return f" ({', '.join(given)})" if given else ""
