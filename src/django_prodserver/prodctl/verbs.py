"""The verbs of prodctl; each returns the exit status."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone

from django_prodserver.posix.control.client import (
    Client,
    Failure,
    NoAnswer,
    OtherVersion,
    TimedOut,
    refusal,
)
from django_prodserver.supervisor.hints import Any, Callable, Optional
from django_prodserver.supervisor.text import printable

from . import lines, table
from .usage import CpuShares, add_usage

API = 1
DONE, FAILED, USAGE, NOT_AS_WANTED, UNKNOWN, TIMED_OUT = 0, 1, 2, 3, 4, 124
ALL = "all"
SYSTEM = "system"
# In seconds: how long one request waits for a change, and the pause between two statuses.
WAIT = 20.0
REFRESH = 1.0


def status_of(client: Client, *, usage: bool = True) -> dict[str, Any]:
    """Return the status; with `usage`, including CPU time and memory. Raises Failure."""
    answer = client.get("/v1/status")
    if answer.status != 200:
        raise refusal(answer)
    found = answer.document
    status: dict[str, Any] = found if isinstance(found, dict) else {}
    if status.get("api") != API:
        raise OtherVersion()
    # PIDs of another PID namespace would be those of other processes here.
    if usage and client.pid == status["pid"]:
        add_usage(status)
    return status


def selected(status: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Reduce the status to some processes and instances. Raises Failure for unknown names."""
    if not names or ALL in names:
        return status
    return only(expanded(names, status), status)


def only(names: Collection[str], status: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce the status to the processes and instances of these names, without patterns."""
    processes = []
    for process in status["processes"]:
        ours = [
            one for one in process["instances"] if process["name"] in names or one["name"] in names
        ]
        if ours:
            processes.append({**process, "instances": ours})
    return {**status, "processes": processes}


def all_names(status: Mapping[str, Any]) -> list[str]:
    """Return the names of the processes, then those of the instances."""
    return [*table.processes(status), *(one["name"] for one in table.instances(status))]


def expanded(names: Sequence[str], status: Mapping[str, Any], *others: str) -> list[str]:
    """Expand patterns; return each name once. Raises Failure for a name without a match."""
    processes, known = table.processes(status), [*all_names(status), *others]
    found: list[str] = []
    for name in names:
        if name == ALL:
            found += processes
        elif name in known:
            found.append(name)
        else:
            from fnmatch import fnmatchcase

            # If a pattern matches a process, do not list the instances that it matches as well.
            fitting = [one for one in known if fnmatchcase(one, name)]
            found += [one for one in fitting if one in processes] or fitting
            if not fitting:
                raise Failure(unknown(name, known), UNKNOWN)
    return list(dict.fromkeys(found))


def _check_processes(names: Iterable[str], status: Mapping[str, Any]) -> None:
    """Raise Failure for a name that no process has."""
    known = table.processes(status)
    for name in names:
        if name not in known:
            raise Failure(unknown(name, known, "process"), UNKNOWN)


def unknown(name: str, known: Sequence[str], kind: str = "process or instance") -> str:
    """Return the message about an unknown name."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"no {kind} is named {name!r}; {hint}"


# ---- the verbs ----


def show_status(client: Client, options: Namespace) -> int:
    if options.watch:
        return _watch(client, options)
    status = selected(status_of(client), options.names)
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        _print_table(status)
    as_wanted = all(one["as_wanted"] for one in table.instances(status))
    return DONE if as_wanted else NOT_AS_WANTED


def _print_table(status: Mapping[str, Any], cpu: Optional[Mapping[str, float]] = None) -> None:
    terminal = sys.stdout.isatty()
    # 0 if the terminal does not report it.
    width = (os.get_terminal_size().columns or None) if terminal else None
    cells = table.rows(status, datetime.now(timezone.utc), cpu)
    print(table.rendered(cells, width, color=terminal and not os.environ.get("NO_COLOR")))
    scaling = table.scaling(status)
    if scaling:
        print("", *scaling, sep="\n")


def _watch(client: Client, options: Namespace) -> int:
    """Show the status every second, with the CPU that was used in that second."""
    shares = CpuShares()
    while True:
        status = selected(status_of(client), options.names)
        cpu = shares.since_last(status, time.monotonic())
        if sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        print(f"{table.summary(status)}\n")
        _print_table(status, cpu)
        sys.stdout.flush()
        time.sleep(REFRESH)


def ask(client: Client, options: Namespace) -> int:
    """start, stop, restart, signal, scale, reload and shutdown."""
    body: dict[str, Any] = {}
    if options.verb == "scale":
        body["counts"] = dict(options.counts)
        _check_processes(body["counts"], status_of(client))
    elif options.verb not in ("reload", "shutdown"):
        body["names"] = expanded(options.names, status_of(client))
    if options.verb == "signal":
        body["signal"] = options.signal
    change = requested(client, options.verb, body)
    if getattr(options, "no_wait", False):
        return DONE
    return _wait(client, change, getattr(options, "timeout", None))


def requested(client: Client, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Request a change; return its first state. Raises Failure if it is refused."""
    answer = client.post(f"/v1/{verb}", body)
    if answer.status != 202:
        raise refusal(answer)
    change: dict[str, Any] = answer.document
    return change


def _wait(client: Client, change: Mapping[str, Any], timeout: Optional[float]) -> int:
    """Wait until a change is no longer running."""
    end = None if timeout is None else time.monotonic() + timeout
    ends_all = change["verb"] == "shutdown"
    while change["state"] == "running":
        left = WAIT if end is None else end - time.monotonic()
        if left <= 0:
            raise TimedOut(f"{change['verb']} is not done after {timeout:g} s; it goes on")
        wait = min(left, WAIT)
        try:
            answer = client.get(f"/v1/changes/{change['change']}?wait={wait:.3f}", longer=wait)
        except NoAnswer:
            if ends_all:
                return DONE
            raise
        if answer.status != 200:
            raise refusal(answer)
        change = answer.document
    if change["state"] != "done":
        raise Failure(f"{change['verb']} failed: {change['message']}", FAILED)
    if not ends_all:
        # If the supervisor has exited since, there is nothing to print.
        with suppress(NoAnswer):
            print(*outcome(change, status_of(client)), sep="\n")
    return DONE


def outcome(change: Mapping[str, Any], status: Mapping[str, Any]) -> list[str]:
    """Return the result of a change that is done: its message, and the instances it concerned."""
    names = [name.partition("=")[0] for name in change["names"]]
    said = [change["message"]] if change["message"] else []
    for process in status["processes"]:
        for one in process["instances"]:
            if process["name"] in names or one["name"] in names:
                pid = f" (pid {one['pid']})" if one["pid"] is not None else ""
                said.append(f"{one['name']} {one['state']}{pid}")
    return list(map(printable, said))


def show_logs(client: Client, options: Namespace) -> int:
    return _show(client, options, "/v1/logs", [f"lines={options.lines}"], _line)


def show_events(client: Client, options: Namespace) -> int:
    return _show(client, options, "/v1/events", [], _event)


def _show(
    client: Client,
    options: Namespace,
    path: str,
    query: list[str],
    shown: Callable[[Mapping[str, Any]], str],
) -> int:
    """Print the entries that the supervisor has kept and, if asked to, those that follow."""
    if options.names and ALL not in options.names:
        names = expanded(options.names, status_of(client), SYSTEM)
        query.append(f"names={','.join(names)}")
    if options.follow:
        query.append("follow=1")
    for line in client.lines(f"{path}?{'&'.join(query)}"):
        entry = json.loads(line)
        if options.json:
            text = line.decode()
        elif "lost" in entry:
            text = lines.missing(entry, options.verb)
        else:
            text = shown(entry)
        print(text, flush=options.follow)
    return DONE


def _line(entry: Mapping[str, Any]) -> str:
    """Format an entry like the log itself, with the local time."""
    return f"{lines.clock(entry)} {entry['process']:<9} | {entry['message']}"


def _event(event: Mapping[str, Any]) -> str:
    return f"{lines.clock(event)} {event['event']:<20} {printable(event['message'])}"


# HTTP status -> exit status.
HEALTH: Mapping[int, int] = {200: DONE, 503: NOT_AS_WANTED}


def show_health(client: Client, options: Namespace) -> int:
    from urllib.parse import quote

    query = "" if options.name is None else f"?process={quote(options.name, safe='')}"
    answer = client.get(f"/readyz{query}")
    if answer.status == 404 and options.name is not None:
        expanded([options.name], status_of(client))
    text = answer.body.decode(errors="replace").strip()
    print("\n".join(map(printable, text.split("\n"))))
    return HEALTH.get(answer.status, FAILED)


def show_analysis(client: Client, options: Namespace) -> int:
    answer = client.get("/v1/analyze")
    if answer.status != 200:
        raise refusal(answer)
    analysis: dict[str, Any] = answer.document
    if analysis.get("api") != API:
        raise OtherVersion()
    if options.json:
        print(json.dumps(analysis, indent=2))
    elif options.svg:
        from .chart import svg

        print(svg(analysis))
    else:
        from .startup import rendered

        print(rendered(analysis))
    return NOT_AS_WANTED if analysis["missing"] else DONE


VERBS: Mapping[str, Callable[[Client, Namespace], int]] = {
    "status": show_status,
    **dict.fromkeys(("start", "stop", "restart", "signal", "scale", "reload", "shutdown"), ask),
    "logs": show_logs,
    "events": show_events,
    "health": show_health,
    "analyze": show_analysis,
}


# ---- verbs that need several clients, or none ----

#: Makes a client of the supervisor that runs now; the argument is its timeout, in seconds.
Find = Callable[[Optional[float]], Client]


def show_top(find: Find, options: Namespace) -> int:
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise Failure("top needs the package textual; run: pip install textual", FAILED)
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise Failure("top needs a terminal; elsewhere use `status` or `status --watch`", FAILED)
    from .top.app import Top
    from .top.queries import TIMEOUT

    # If there is no supervisor, fail here instead of showing a table without rows.
    status_of(find(TIMEOUT))
    top = Top(find)
    top.run()
    return DONE if top.return_code is None else top.return_code


def show_script(find: Find, options: Namespace) -> int:
    from django_prodserver.completion import script

    print(script(options.shell), end="")
    return DONE


WITHOUT_ONE_CLIENT: Mapping[str, Callable[[Find, Namespace], int]] = {
    "top": show_top,
    "completion": show_script,
}
