"""What the page asks of the supervisor. Where it cannot be asked, a sentence says why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional
from urllib.parse import quote

from django_prodserver.posix.control.client import Client, Failure, refusal, understood
from django_prodserver.posix.control.finding import current_folder, find
from django_prodserver.posix.control.place import VARIABLE
from django_prodserver.prodctl import lines, table
from django_prodserver.prodctl.verbs import all_names, only, requested, status_of, unknown
from django_prodserver.settings.load import read
from django_prodserver.settings.names import SUPERVISOR
from django_prodserver.supervisor.text import printable

from .rows import Document, rows

# In seconds: the longest wait for an answer, and for the end of a change; the latter also where
# the process has to end that waits.
PATIENCE = 2.0
WAIT = 1.0
WAIT_FOR_OWN = 0.2
# Of the log, as many lines are shown.
LINES = 100
# By verb, what is being done, and what has been.
VERBS = {
    "restart": ("Restarting", "Restarted"),
    "start": ("Starting", "Started"),
    "stop": ("Stopping", "Stopped"),
}


class NoSuchName(Failure):
    """Nothing has this name."""


@dataclass(frozen=True)
class Outcome:
    """What has become of a request: one of `success`, `info` and `error`, and a sentence."""

    level: str
    message: str
    accepted: bool = True


def look(name: Optional[str] = None) -> dict[str, Any]:
    """What there is to show, of JSON's types: of everything, or of one name with its last lines.

    `problem` says why there is nothing, and `read_only` why nothing can be changed. Where nothing
    has this name, it is not `known`.
    """
    seen: dict[str, Any] = {"problem": None, "read_only": None, "summary": "", "rows": []}
    seen["known"] = True
    try:
        with understood():
            client = _client()
            status = status_of(client)
            seen["read_only"] = _why_read_only(client)
            shown = status if name is None else _of_one(status, name)
            seen["rows"] = rows(shown, datetime.now(timezone.utc), serving())
            seen["summary"] = table.summary(status)
            if name is not None:
                seen["lines"] = "\n".join(_lines(client, name))
    except Failure as failure:
        seen["problem"] = printable(str(failure))
        seen["known"] = not isinstance(failure, NoSuchName)
    return seen


def ask(verb: str, name: str) -> Outcome:
    """Restart, start or stop an instance, or all of a process."""
    try:
        with understood():
            client = _client()
            _of_one(status_of(client), name)
            change = _at_its_end(client, requested(client, verb, {"names": [name]}), name)
            return _outcome(verb, name, change)
    except Failure as failure:
        return Outcome("error", printable(str(failure)), accepted=False)


def serving() -> str:
    """The instance that this process belongs to, or ""."""
    return os.environ.get("PRODSERVER_INSTANCE", "") if os.environ.get(VARIABLE) else ""


def serves_itself(name: str) -> bool:
    """Whether what has this name serves the page."""
    own = serving()
    return bool(own) and name in (own, own.rpartition(".")[0])


def _client() -> Client:
    """Asks the supervisor of this project. Raises Failure."""
    # The variable is in it, too.
    settings = read().supervisor
    if settings.control is False:
        raise Failure(f"the control socket is switched off: {SUPERVISOR}['CONTROL'] is False", 4)
    return Client(
        find(settings.control_path, os.environ, current_folder(), foreign=False), PATIENCE
    )


def _why_read_only(client: Client) -> Optional[str]:
    uid = os.geteuid()
    if client.uid is None or uid in (0, client.uid):
        return None
    return (
        f"the user with the id {uid}, as which this page runs, may read, and change nothing: "
        f"the supervisor runs as {client.uid}"
    )


def _of_one(status: Document, name: str) -> Document:
    """The same of one process or instance. Raises NoSuchName."""
    found = only([name], status)
    if not found["processes"]:
        raise NoSuchName(unknown(name, all_names(status)), 4)
    return found


def _at_its_end(client: Client, change: Document, name: str) -> Document:
    """The change as it is after a moment: it may be over."""
    wait = WAIT_FOR_OWN if serves_itself(name) else WAIT
    try:
        answer = client.get(f"/v1/changes/{change['change']}?wait={wait}")
        return answer.document if answer.status == 200 else change
    except Failure:
        return change  # It goes on, whether anyone tells or not.


def _outcome(verb: str, name: str, change: Document) -> Outcome:
    doing, done = VERBS[verb]
    if change["state"] == "running":
        return Outcome("info", f"{doing} {name}.")
    if change["state"] == "done":
        message = f"{verb} {name}: {change['message']}" if change["message"] else f"{done} {name}."
        return Outcome("success", printable(message))
    return Outcome("error", printable(f"{verb} failed: {change['message']}"))


def _lines(client: Client, name: str) -> Iterator[str]:
    """Its last lines, without anything that could do harm to who reads them."""
    answer = client.get(f"/v1/logs?lines={LINES}&names={quote(name, safe='')}")
    if answer.status != 200:
        raise refusal(answer)
    for line in answer.body.splitlines():
        entry = json.loads(line)
        if "message" in entry:
            message = printable(lines.without_colors(entry["message"]))
            yield f"{lines.clock(entry)} {printable(entry['process'])} | {message}"
