"""The configuration (`--list`, `--check --verbosity 2`) and findings (`--check --json`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.origins import origins


def processes_table(configuration: Configuration, names: Iterable[str]) -> list[str]:
    columns = ("NAME", "TYPE", "BACKEND", "REPLICAS")
    processes, disabled = configuration.processes, configuration.disabled
    rows = [
        (name, one.type, one.backend, "0 (disabled)" if name in disabled else one.replicas)
        for name, one in ((name, processes[name]) for name in names)
    ]
    return _lines(columns, rows)


def processes_json(configuration: Configuration, names: Iterable[str]) -> str:
    """Return the processes as JSON; `enabled` only if it is false, `after` only if not empty.

    In `after`, "@oneshots" is replaced with names, and disabled processes are left out.
    """
    rows: list[dict[str, Any]] = []
    for name in names:
        one = configuration.processes[name]
        row = {"name": name, "type": one.type, "backend": one.backend, "replicas": one.replicas}
        if name in configuration.disabled:
            row["enabled"] = False
        after = [o for o in configuration.after[name] if o not in configuration.disabled]
        if after:
            row["after"] = after
        rows.append(row)
    return msgspec.json.format(msgspec.json.encode(rows)).decode()


def findings_json(findings: Iterable[Finding]) -> str:
    """Return the findings of `--check`, those that block a start first."""
    objects = [
        {
            "level": finding.level,
            "id": finding.check_id,
            "place": finding.place,
            "message": finding.text,
            "hint": finding.hint,
        }
        for finding in sorted(findings, key=lambda finding: not finding.blocks)
    ]
    return msgspec.json.format(msgspec.json.encode(objects)).decode()


def variables_table(
    configuration: Configuration, names: Iterable[str], options: Collection[str]
) -> list[str]:
    """List each variable with its effective value and where that comes from.

    `options` are the keys that the command line sets.
    """
    rows = [
        (variable, _as_variable(value), origin)
        for variable, value, origin in origins(configuration, names, options)
    ]
    return _lines(("VARIABLE", "VALUE", "FROM"), rows)


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
