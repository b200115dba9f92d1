"""The queries and requests of `top`. An error is a sentence in the result, not an exception."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Optional

from django_prodserver.posix.control.client import (
    Answer,
    Client,
    Failure,
    checking_version,
    refusal,
)
from django_prodserver.prodctl import lines, table
from django_prodserver.prodctl.usage import CpuShares
from django_prodserver.prodctl.verbs import Find, outcome, requested, status_of
from django_prodserver.supervisor.text import printable

# In seconds: how long an answer may take.
TIMEOUT = 3.0
# In characters: longer lines are cut, because a screen is not that wide.
LONGEST_LINE = 2000


@dataclass(frozen=True)
class Row:
    """The cells of an instance, and how many instances of its process are to run."""

    cells: list[str]
    process: str
    replicas: int


@dataclass(frozen=True)
class Overview:
    """The current status: a row for each instance, or why there is no answer."""

    failure: str = ""
    summary: str = ""
    rows: dict[str, Row] = field(default_factory=dict)
    # Identifies the supervisor: each has a run of its own.
    run: str = ""
    # Number of a change that is no longer running -> its result.
    outcomes: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A `verb` for an instance; or `scale` for a process, by `more` instances."""

    verb: str
    name: str
    more: int = 0

    def body(self, status: Mapping[str, Any]) -> dict[str, Any]:
        if self.verb != "scale":
            return {"names": [self.name]}
        replicas = {process["name"]: process["replicas"] for process in status["processes"]}
        return {"counts": {self.name: max(0, replicas.get(self.name, 0) + self.more)}}


@dataclass(frozen=True)
class RequestResult:
    """A request as typed for `prodctl`, and the number of its change or why there is none."""

    words: str
    change: Optional[int] = None
    failure: str = ""


def query(find: Find, changes: Collection[int], cpu: CpuShares) -> Overview:
    try:
        with checking_version():
            return _query(find(TIMEOUT), changes, cpu)
    except (Failure, OSError) as failure:
        return Overview(str(failure))


def _query(client: Client, changes: Collection[int], cpu: CpuShares) -> Overview:
    # Query the status last, so that it shows the result of the changes.
    answers = [(number, client.get(f"/v1/changes/{number}")) for number in changes]
    status = status_of(client)
    shares = cpu.since_last(status, time.monotonic())
    return Overview(
        summary=table.summary(status),
        rows=_rows(status, table.rows(status, datetime.now(timezone.utc), shares)),
        run=status["run"],
        outcomes={
            number: became
            for number, answer in answers
            if (became := _outcome(answer, status)) is not None
        },
    )


def _rows(status: Mapping[str, Any], cells: Sequence[list[str]]) -> dict[str, Row]:
    processes = [process for process in status["processes"] for _ in process["instances"]]
    return {
        one["name"]: Row(row, process["name"], process["replicas"])
        for process, one, row in zip(processes, table.instances(status), cells)
    }


def _outcome(answer: Answer, status: Mapping[str, Any]) -> Optional[str]:
    """Return the result of a change; None while it is running."""
    if answer.status != 200:
        return f"failed: {refusal(answer)}"
    change = answer.document
    if change["state"] == "running":
        return None
    if change["state"] != "done":
        return f"failed: {change['message']}"
    return ", ".join(outcome(change, status)) or "done"


def send(find: Find, request: Request) -> RequestResult:
    words = f"{request.verb} {request.name}"
    try:
        with checking_version():
            client = find(TIMEOUT)
            body = request.body(status_of(client))
            if "counts" in body:
                words += f"={body['counts'][request.name]}"
            return RequestResult(words, requested(client, request.verb, body)["change"])
    except (Failure, OSError) as failure:
        return RequestResult(words, failure=str(failure))


def line(entry: Mapping[str, Any]) -> str:
    """Format a log line without the instance's name, which is in the title, and without colours."""
    if "lost" in entry:
        return lines.missing(entry)
    message = lines.without_colors(str(entry["message"])[: 2 * LONGEST_LINE])
    return printable(f"{lines.clock(entry)} {message}"[:LONGEST_LINE])
