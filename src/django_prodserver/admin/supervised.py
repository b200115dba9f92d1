"""The page's requests to the supervisor. If one fails, a sentence says why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Optional
from urllib.parse import quote

from django_prodserver.posix.control.client import Client, Failure, checking_version, refusal
from django_prodserver.posix.control.finding import current_folder, find
from django_prodserver.posix.control.place import VARIABLE
from django_prodserver.prodctl import lines, table
from django_prodserver.prodctl.verbs import all_names, only, requested, status_of, unknown
from django_prodserver.settings.load import read
from django_prodserver.settings.names import SUPERVISOR
from django_prodserver.supervisor.text import printable

from .rows import Document, rows

# In seconds: the longest wait for an answer, for a change to finish, and for a change to finish
# that stops the waiting process itself.
TIMEOUT = 2.0
WAIT = 1.0
WAIT_FOR_OWN = 0.2
# How many log lines are shown.
LINES = 100
# Verb -> words for a change that is running, and for one that is done.
VERBS = {
    "restart": ("Restarting", "Restarted"),
    "start": ("Starting", "Started"),
    "stop": ("Stopping", "Stopped"),
}


class NoSuchName(Failure):
    """No process or instance has this name."""


@dataclass(frozen=True)
class Outcome:
    """The result of a request: one of `success`, `info` and `error`, and a sentence."""

    level: str
    message: str
    accepted: bool = True


def look(name: Optional[str] = None) -> dict[str, Any]:
    """Return what to show, as JSON types: all processes, or one name with its last log lines.

    `problem` says why there is nothing to show, and `read_only` why nothing can be changed.
    `known` is False if no process or instance has this name.
    """
    seen: dict[str, Any] = {"problem": None, "read_only": None, "summary": "", "rows": []}
    seen["known"] = True
    try:
        with checking_version():
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
    """Restart, start or stop an instance, or all instances of a process."""
    try:
        with checking_version():
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
    """Whether the process or instance of this name serves the page."""
    own = serving()
    return bool(own) and name in (own, own.rpartition(".")[0])


def _client() -> Client:
    """Return a client of this project's supervisor. Raises Failure."""
    # The settings include the environment variable.
    settings = read().supervisor
    if settings.control is False:
        raise Failure(f"the control socket is switched off: {SUPERVISOR}['CONTROL'] is False", 4)
    return Client(find(settings.control_path, os.environ, current_folder(), foreign=False), TIMEOUT)


def _why_read_only(client: Client) -> Optional[str]:
    uid = os.geteuid()
    if client.uid is None or uid in (0, client.uid):
        return None
    return (
        f"this page runs as the user with id {uid}, who may only read: "
        f"the supervisor runs as {client.uid}"
    )


def _of_one(status: Document, name: str) -> Document:
    """Reduce the status to one process or instance. Raises NoSuchName."""
    found = only([name], status)
    if not found["processes"]:
        raise NoSuchName(unknown(name, all_names(status)), 4)
    return found


def _at_its_end(client: Client, change: Document, name: str) -> Document:
    """Wait a moment for the change to finish, and return its latest state."""
    wait = WAIT_FOR_OWN if serves_itself(name) else WAIT
    try:
        answer = client.get(f"/v1/changes/{change['change']}?wait={wait}")
        return answer.document if answer.status == 200 else change
    except Failure:
        return change  # The change goes on even if there is no answer.


def _outcome(verb: str, name: str, change: Document) -> Outcome:
    doing, done = VERBS[verb]
    if change["state"] == "running":
        return Outcome("info", f"{doing} {name}.")
    if change["state"] == "done":
        message = f"{verb} {name}: {change['message']}" if change["message"] else f"{done} {name}."
        return Outcome("success", printable(message))
    return Outcome("error", printable(f"{verb} failed: {change['message']}"))


def _lines(client: Client, name: str) -> Iterator[str]:
    """Yield its last log lines, without colours or control characters."""
    answer = client.get(f"/v1/logs?lines={LINES}&names={quote(name, safe='')}")
    if answer.status != 200:
        raise refusal(answer)
    for line in answer.body.splitlines():
        entry = json.loads(line)
        if "message" in entry:
            message = printable(lines.without_colors(entry["message"]))
            yield f"{lines.clock(entry)} {printable(entry['process'])} | {message}"
