"""The table of `prodctl status`: a row for each instance, and why it is not running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone

from django_prodserver.supervisor.amounts import load
from django_prodserver.supervisor.hints import Any, Optional
from django_prodserver.supervisor.text import printable

COLUMNS = ("NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "INFO")
# Columns of numbers.
RIGHT = frozenset({"PID", "UPTIME", "RESTARTS", "CPU", "MEMORY"})
# ANSI colours of states; others have none.
COLORS = {
    **dict.fromkeys(("RUNNING",), "32"),
    **dict.fromkeys(("WAITING", "STANDBY", "STARTING", "BACKOFF", "STOPPING", "KILLING"), "33"),
    "FATAL": "31",
}
NOTHING = "-"

Instance = Mapping[str, Any]


def rows(
    status: Mapping[str, Any], now: datetime, before: Optional[Mapping[str, float]] = None
) -> list[list[str]]:
    """Return the cells of each instance, with control characters escaped.

    CPU is a share of one processor: the share that `before` has for the instance's name, else the
    average since the instance started.
    """
    return [
        [printable(cell) for cell in _row(instance, now, before or {})]
        for instance in instances(status)
    ]


def instances(status: Mapping[str, Any]) -> list[Instance]:
    return [one for process in status["processes"] for one in process["instances"]]


def processes(status: Mapping[str, Any]) -> list[str]:
    """The names of the processes."""
    return [process["name"] for process in status["processes"]]


def rendered(
    cells: Sequence[Sequence[str]], width: Optional[int] = None, *, color: bool = False
) -> str:
    """Return the table as text; with a width, longer lines are cut."""
    table = [COLUMNS, *cells]
    widths = [max(len(row[at]) for row in table) for at in range(len(COLUMNS))]
    lines = []
    for number, row in enumerate(table):
        parts = [
            cell.rjust(wide) if column in RIGHT else cell.ljust(wide)
            for column, cell, wide in zip(COLUMNS, row, widths)
        ]
        line = "  ".join(parts).rstrip()
        if width is not None and len(line) > width:
            line = f"{line[: max(1, width - 1)]}…"
        code = COLORS.get(row[1]) if color and number else None
        lines.append(line if code is None else _colored(line, parts, code))
    return "\n".join(lines)


def scaling(status: Mapping[str, Any]) -> list[str]:
    """Return a line for each process with AUTOSCALE."""
    return [
        printable(f"{process['name']}: {_scaling(process['autoscale'], process['replicas'])}")
        for process in status["processes"]
        if process.get("autoscale")  # Older supervisors do not have it.
    ]


def _scaling(one: Mapping[str, Any], replicas: int) -> str:
    metric, value = one["metric"], one["value"]
    found = f"is {load(metric, value)}" if value is not None else "has not been measured yet"
    if one["reason"]:
        found = f"cannot be measured: {one['reason']}"
    target = f"TARGET is {load(metric, one['target'])}"
    return f"{replicas} of {one['min']} to {one['max']} instances; {metric} {found}; {target}"


def summary(status: Mapping[str, Any]) -> str:
    """Return the line above a watched table; if it is long, its end may be cut."""
    everyone = instances(status)
    ready = sum(one["as_wanted"] for one in everyone)
    what = f"{ready} of {len(everyone)} as wanted"
    return printable(f"{status['phase']}, {what}: {status['project']} (pid {status['pid']})")


def _row(instance: Instance, now: datetime, before: Mapping[str, float]) -> Iterator[str]:
    yield str(instance["name"])
    yield str(instance["state"])
    yield NOTHING if instance["pid"] is None else str(instance["pid"])
    started = instance["started_at"]
    uptime = None if started is None else max(0.0, (now - moment(started)).total_seconds())
    yield NOTHING if uptime is None else duration(uptime)
    yield str(instance["restarts"])
    yield _cpu(instance, uptime, before.get(instance["name"]))
    memory = instance["memory_bytes"]
    yield NOTHING if memory is None else size(memory)
    yield info(instance, now)


def info(instance: Instance, now: datetime) -> str:
    """Return why it is not running, what it reports, what is next, and what an operator changed."""
    parts = []
    if instance["reason"]:
        parts.append(str(instance["reason"]))
    if instance.get("message"):  # Older supervisors do not have it.
        parts.append(str(instance["message"]))
    if instance["next_start_at"] is not None:
        left = (moment(instance["next_start_at"]) - now).total_seconds()
        soon = f"{max(0.0, left):.0f} s"
        parts.append(f"starts in {soon if left < 3600 else duration(left)}")
    if instance["updating"]:
        parts.append("being replaced")
    if instance["changed"] == "added":
        parts.append("added by scaling")
    elif instance["changed"] == "stopped" and instance["state"] != "STOPPED":
        parts.append("to be stopped")
    return "; ".join(parts)


def _cpu(instance: Instance, uptime: Optional[float], share: Optional[float]) -> str:
    if share is None and instance["cpu_seconds"] is not None and uptime:
        share = instance["cpu_seconds"] / uptime
    return NOTHING if share is None else f"{100 * share:.1f}%"


def moment(text: str) -> datetime:
    """Parse a time of a document. (`fromisoformat` accepts the Z only since Python 3.11.)"""
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)


def duration(seconds: float) -> str:
    """`5s`, `3m 07s`, `2h 05m`, `3d 04h`."""
    whole = int(seconds)
    for unit, below, size_, part in (
        (86400, 3600, "d", "h"),
        (3600, 60, "h", "m"),
        (60, 1, "m", "s"),
    ):
        if whole >= unit:
            return f"{whole // unit}{size_} {whole % unit // below:02d}{part}"
    return f"{whole}s"


def size(count: int) -> str:
    """Write a number of bytes in the units of `docker stats`: `43.2MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1000:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.2f}GiB"


def _colored(line: str, parts: Sequence[str], code: str) -> str:
    """Return a line of the table with the state in colour."""
    before = len(parts[0]) + 2
    state = line[before : before + len(parts[1])]
    return f"{line[:before]}\x1b[{code}m{state}\x1b[0m{line[before + len(parts[1]) :]}"
