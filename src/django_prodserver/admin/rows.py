"""The rows of the page: what they show, and which buttons they have. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django_prodserver.prodctl import table
from django_prodserver.supervisor.text import printable

# Cell of a row -> heading of its column.
COLUMNS = {
    "state": "State",
    "pid": "PID",
    "uptime": "Uptime",
    "restarts": "Restarts",
    "cpu": "CPU",
    "memory": "Memory",
    "info": "Info",
}
# State of an instance -> verbs that apply. In all other states it is already being stopped.
VERBS: Mapping[str, Collection[str]] = {
    "STOPPED": {"start"},
    "EXITED": {"start"},
    "FATAL": {"start"},
    "BACKOFF": {"start", "stop"},
    "WAITING": {"stop"},
    "STANDBY": {"stop"},
    "STARTING": {"restart", "stop"},
    "RUNNING": {"restart", "stop"},
}
# States that are shown as "bad" if the instance is not as wanted.
BAD_STATES = frozenset({"FATAL", "EXITED", "BACKOFF"})

Document = Mapping[str, Any]
Row = dict[str, Any]


def rows(status: Document, now: datetime, serving: str = "") -> list[Row]:
    """Return a row for each instance, and a summary row above several instances of a process.

    `serving` is the instance that serves this page, if any.
    """
    cells = {one[0]: dict(zip(COLUMNS, one[1:])) for one in table.rows(status, now)}
    return [row for process in status["processes"] for row in _of_process(process, cells, serving)]


def _of_process(
    process: Document, cells: Mapping[str, dict[str, str]], serving: str
) -> Iterator[Row]:
    instances = process["instances"]
    if len(instances) > 1:
        yield _summary(process)
    for one in instances:
        name = printable(one["name"])
        shown = cells[name]
        if one["name"] == serving:
            shown["info"] = "; ".join(filter(None, (shown["info"], "serves this page")))
        yield {
            "name": name,
            "cells": shown,
            "mood": _mood(one),
            "verbs": sorted(VERBS.get(one["state"], ())),
            "inner": len(instances) > 1,
        }


def _summary(process: Document) -> Row:
    instances = process["instances"]
    wanted = [one for one in instances if one["goal"] == "up"]
    ready = sum(one["as_wanted"] for one in wanted)
    moods = {_mood(one) for one in instances}
    cells = {
        **dict.fromkeys(COLUMNS, ""),
        "state": f"{ready} of {len(wanted)} ready",
        "restarts": str(sum(one["restarts"] for one in instances)),
        "memory": _memory(instances),
    }
    return {
        "name": printable(process["name"]),
        "cells": cells,
        "mood": next(mood for mood in ("bad", "changing", "good", "off") if mood in moods),
        "verbs": sorted({verb for one in instances for verb in VERBS.get(one["state"], ())}),
        "inner": False,
    }


def _memory(instances: Sequence[Document]) -> str:
    known = [one["memory_bytes"] for one in instances if one["memory_bytes"] is not None]
    return table.size(sum(known)) if known else table.NOTHING


def _mood(instance: Document) -> str:
    """Return what its colour depends on: good, off, changing or bad."""
    if instance["as_wanted"]:
        return "good" if instance["goal"] == "up" else "off"
    return "bad" if instance["state"] in BAD_STATES else "changing"
