"""Tables of what is configured: `--list`, and the variables of `--check --verbosity 2`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.origins import origins
from django_prodserver.settings.schema import ProcessSettings


def processes_table(processes: Mapping[str, ProcessSettings]) -> list[str]:
    columns = ("NAME", "TYPE", "BACKEND", "REPLICAS")
    return _lines(columns, [row.values() for row in _processes(processes)])


def processes_json(processes: Mapping[str, ProcessSettings]) -> str:
    return msgspec.json.format(msgspec.json.encode(_processes(processes))).decode()


def variables_table(
    configuration: Configuration, names: Iterable[str], options: Collection[str]
) -> list[str]:
    """Each variable with the value that counts, and where that comes from.

    `options` are the keys that the command line sets.
    """
    rows = [
        (variable, _as_variable(value), origin)
        for variable, value, origin in origins(configuration, names, options)
    ]
    return _lines(("VARIABLE", "VALUE", "FROM"), rows)


def _processes(processes: Mapping[str, ProcessSettings]) -> list[dict[str, Any]]:
    return [
        {"name": name, "type": p.type, "backend": p.backend, "replicas": p.replicas}
        for name, p in processes.items()
    ]


def _as_variable(value: Any) -> str:
    """A value as it would be written in an environment variable."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lines(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    cells = [list(columns), *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells
    ]
