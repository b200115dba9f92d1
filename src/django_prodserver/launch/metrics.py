"""The project's own metrics: an errand that turns the files of prometheus_client into one text.

Each process has one file per kind of metric, such as `counter_12.db` or `gauge_liveall_12.db`. The
files stay after it has exited, because its counts are still part of the totals. With many short
lives, reading them would take ever longer, so the files of processes that have exited are merged.
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

# If processes that have exited have more files than this, they are merged into one file per kind.
MOST_OF_THE_DEAD = 200
# Takes the place of the pid in the name of a merged file.
TOGETHER = 0
# Lists the files that are about to be renamed and removed.
JOURNAL = "journal"

# A value and the time when it was set, which only some kinds have.
Cell = tuple[float, float]


def collect(folder: Optional[str]) -> bytes:
    """The task: all metrics as text. `folder` is the one that is ours to tidy up, if any."""
    here = os.environ.get(VARIABLE, "")
    if find_spec(LIBRARY) is None or not os.path.isdir(here):
        return b""
    if here == folder:
        tidy_up(folder)
    try:
        return merged(here)
    except (struct.error, ValueError, RuntimeError, FileNotFoundError):
        # A process was creating or enlarging a file, or removed one, so try again.
        return merged(here)


def merged(folder: str) -> bytes:
    """The library's text for all files that are not empty."""
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess

    library: Any = multiprocess  # It has no type hints.

    class All(library.MultiProcessCollector):  # type: ignore[misc]
        def collect(self) -> Any:
            files = (join(folder, name) for name in sorted(os.listdir(folder)) if _of(name))
            return self.merge([file for file in files if getsize(file)])

    registry = CollectorRegistry()
    All(registry, folder)
    return generate_latest(registry)


def tidy_up(folder: str) -> None:
    """For processes that have exited: remove files that no longer count, merge the rest if many."""
    _finish(folder)  # An errand that was killed may have left its work unfinished.
    dead: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        kind, pid = _of(name) or ("", 0)
        if not kind or (pid != TOGETHER and process_table.exists(pid)):
            continue
        if kind.startswith("gauge_live") or not getsize(join(folder, name)):
            os.unlink(join(folder, name))
        elif kind != "gauge_all":  # There each process has its own time series.
            dead.setdefault(kind, []).append(name)
    if sum(map(len, dead.values())) > MOST_OF_THE_DEAD:
        _compact(folder, dead)


def _of(name: str) -> Optional[tuple[str, int]]:
    """The kind and the pid in a file name; None for any other name."""
    stem, ending = os.path.splitext(name)
    kind, _, pid = stem.rpartition("_")
    return (kind, int(pid)) if kind and ending == ".db" and pid.isdecimal() else None


def _compact(folder: str, dead: Mapping[str, Sequence[str]]) -> None:
    """Merge the files of each kind. Each value counts exactly once, even if this is killed."""
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
    """Do what the journal lists and was not done yet."""
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


# For gauges of these kinds one value is chosen. All other values are added up.
_CHOSEN: Mapping[str, Callable[[Cell, Cell], Cell]] = {
    "gauge_min": min,
    "gauge_max": max,
    "gauge_mostrecent": lambda one, other: max(one, other, key=lambda cell: cell[1]),
}
