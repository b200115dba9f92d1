"""The project's own metrics: the files of prometheus_client, made one text in an errand.

Each process has a file for each kind of metric, `counter_12.db` or `gauge_liveall_12.db`, which
stays when it has ended: what it has counted counts on. Those of many short lives would take longer
to read each time, so they are made one file.
https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from os.path import getsize, join
from typing import Any, Callable, Optional

from django_prodserver.posix import process_table
from django_prodserver.posix.metrics_folder import LIBRARY, VARIABLE

# If processes that have ended have more files than that, these are made one of each kind.
MOST_OF_THE_DEAD = 200
# Which it has in place of a process id.
TOGETHER = 0
# Says what is about to be done with files: which are renamed, and which are removed.
JOURNAL = "journal"

# A value and, for some, the moment when it was set.
Cell = tuple[float, float]


def collect(folder: Optional[str]) -> bytes:
    """The task: all of them as text. `folder` is ours to tidy up, if there is one."""
    here = os.environ.get(VARIABLE, "")
    if find_spec(LIBRARY) is None or not os.path.isdir(here):
        return b""
    if here == folder:
        tidy_up(folder)
    try:
        return merged(here)
    except (struct.error, ValueError, RuntimeError, FileNotFoundError):
        # A process was about to begin a file or to enlarge it, or has removed one.
        return merged(here)


def merged(folder: str) -> bytes:
    """What the library makes of the files that have begun."""
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess

    library: Any = multiprocess  # Its types are not given.

    class All(library.MultiProcessCollector):  # type: ignore[misc]
        def collect(self) -> Any:
            files = (join(folder, name) for name in sorted(os.listdir(folder)) if _of(name))
            return self.merge([file for file in files if getsize(file)])

    registry = CollectorRegistry()
    All(registry, folder)
    return generate_latest(registry)


def tidy_up(folder: str) -> None:
    """Leave of processes that have ended what counts on, in a few files."""
    _finish(folder)  # One that was killed may have begun this.
    dead: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        kind, pid = _of(name) or ("", 0)
        if not kind or (pid != TOGETHER and process_table.exists(pid)):
            continue
        if kind.startswith("gauge_live") or not getsize(join(folder, name)):
            os.unlink(join(folder, name))
        elif kind != "gauge_all":  # Each process has a series of its own there.
            dead.setdefault(kind, []).append(name)
    if sum(map(len, dead.values())) > MOST_OF_THE_DEAD:
        _compact(folder, dead)


def _of(name: str) -> Optional[tuple[str, int]]:
    """The kind of a file, and whose it is; None for one of another name."""
    stem, ending = os.path.splitext(name)
    kind, _, pid = stem.rpartition("_")
    return (kind, int(pid)) if kind and ending == ".db" and pid.isdecimal() else None


def _compact(folder: str, dead: Mapping[str, Sequence[str]]) -> None:
    """Whoever is killed meanwhile: each value is counted once."""
    from prometheus_client.mmap_dict import MmapedDict

    library: Any = MmapedDict
    renamed = {}
    for kind, names in dead.items():
        cells: dict[str, Cell] = {}
        for name in names:
            for key, value, at, _ in library.read_all_values_from_file(join(folder, name)):
                cell = (value, at)
                cells[key] = _combined(kind, cells[key], cell) if key in cells else cell
        new = f"{kind}.new"
        with suppress(FileNotFoundError):
            os.unlink(join(folder, new))
        together = library(join(folder, new))
        for key, (value, at) in cells.items():
            together.write_value(key, value, at)
        together.close()
        renamed[new] = f"{kind}_{TOGETHER}.db"
    removed = [name for names in dead.values() for name in names if name not in renamed.values()]
    with open(join(folder, f"{JOURNAL}.new"), "w") as journal:
        json.dump([renamed, removed], journal)
    os.replace(journal.name, join(folder, JOURNAL))
    _finish(folder)


def _finish(folder: str) -> None:
    """Do what the journal says, as far as that was not done."""
    try:
        with open(join(folder, JOURNAL)) as journal:
            renamed, removed = json.load(journal)
    except FileNotFoundError:
        return
    for new, name in renamed.items():
        with suppress(FileNotFoundError):
            os.replace(join(folder, new), join(folder, name))
    for name in removed:
        with suppress(FileNotFoundError):
            os.unlink(join(folder, name))
    os.unlink(journal.name)


def _combined(kind: str, one: Cell, other: Cell) -> Cell:
    if kind in _CHOSEN:
        return _CHOSEN[kind](one, other)
    return one[0] + other[0], 0.0


# Of gauges of these kinds one value is chosen. All else is summed up.
_CHOSEN: Mapping[str, Callable[[Cell, Cell], Cell]] = {
    "gauge_min": min,
    "gauge_max": max,
    "gauge_mostrecent": lambda one, other: max(one, other, key=lambda cell: cell[1]),
}
