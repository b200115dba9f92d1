"""What `prodctl analyze` prints: how long the start took and why, in systemd-analyze's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from django_prodserver.supervisor.hints import Any, Optional
from django_prodserver.supervisor.text import printable

# How many of the slowest modules are shown: by themselves, and with all that they import.
BY_THEMSELVES, WHOLE = 20, 10
# What runs before any of our code is called.
PROGRAM = "Python, Django and the settings"

Analysis = Mapping[str, Any]


def rendered(analysis: Analysis) -> str:
    """Return the analysis as text, with control characters escaped."""
    parts = [[total(analysis), *analysis["missing"]], [*_chain(analysis)], [*_instances(analysis)]]
    parts += _modules(analysis)
    return "\n\n".join("\n".join(map(printable, lines)) for lines in parts if lines)


def total(analysis: Analysis) -> str:
    """How long everything took, and its parts."""
    parts, at = [], 0.0
    if analysis["preloads"]:
        first = analysis["preloads"][0]
        parts += [f"{_s(first['began'])} {PROGRAM}"]
        parts += [f"{_s(first['done'] - first['began'])} {first['name']}"]
        at = first["done"]
    reloaded, end = analysis["generation"] > 0, analysis["ready"]
    if end is None:
        return f"not everything is ready yet: {' + '.join(parts)} so far"
    until = "until everything ran it" if reloaded else "until all were ready"
    what = f"reloaded (generation {analysis['generation']})" if reloaded else "started"
    return f"{what} in {_s(end)}: {' + '.join([*parts, f'{_s(end - at)} {until}'])}"


def label(link: Mapping[str, Any]) -> str:
    """Return the name of a link in the critical chain."""
    return PROGRAM if link["kind"] == "program" else str(link["name"])


def slowest(analysis: Analysis, key: str, most: int) -> list[Mapping[str, Any]]:
    """Return the slowest modules of all preloads, by `key`: "own" or "seconds"."""
    found = [module for preload in analysis["preloads"] for module in preload["slowest"]]
    return sorted(found, key=lambda one: -float(one[key]))[:most]


def _chain(analysis: Analysis) -> Iterator[str]:
    links = analysis["chain"]
    if not links:
        return
    yield "critical chain (@ when it was done, + how long it took):"
    if analysis["ready"] is not None:
        yield f"all ready @{analysis['ready']:.3f}s"
    for depth, link in enumerate(links):
        yield f"{'  ' * depth}└─{label(link)} @{link['done']:.3f}s +{link['seconds']:.3f}s"


def _instances(analysis: Analysis) -> Iterator[str]:
    rows = [("INSTANCE", "WAITED", "START", "READY", "WAITED FOR")]
    for one in analysis["instances"]:
        first, last = one["first"], one["last"]
        if first is None:
            continue
        rows.append((one["name"], *_times(first), _why(one)))
        if last is not None and last != first:
            rows.append(("  last start", *_times(last), ""))
    if len(rows) > 1:
        yield from _table(rows, left=(0, 4))


def _times(start: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return how long it waited, how long it then took to be ready, and when it was ready."""
    began, ready = start["started"], start["ready"]
    if ready is None:
        return "-", "-", "-"
    since = start["asked"] if start["waiting"] is None else start["waiting"]
    return _s(began - since), _s(ready - began), f"@{ready:.3f}s"


def _why(instance: Mapping[str, Any]) -> str:
    first = instance["first"]
    if first["ready"] is None:
        return ", ".join(instance["after"]) if first["asked"] is None else ""
    lives = [f"{first['lives']} lives until one was ready"] if first["lives"] > 1 else []
    return ", ".join([*instance["waited_for"], *lives])


def _modules(analysis: Analysis) -> Iterator[list[str]]:
    count = sum(preload["modules"] for preload in analysis["preloads"])
    seconds = sum(preload["importing"] for preload in analysis["preloads"])
    if count:
        all_of_them = f"slowest of {count} modules, which took {_s(seconds)}"
        yield [f"{all_of_them}:", *_table_of(slowest(analysis, "own", BY_THEMSELVES))]
        whole = slowest(analysis, "seconds", WHOLE)
        yield ["slowest with all that they import:", *_table_of(whole)]


def _table_of(modules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [(_s(one["own"]), _s(one["seconds"]), one["module"]) for one in modules]
    return _table([("OWN", "TOTAL", "MODULE"), *rows], left=(2,))


def _table(rows: Sequence[Sequence[str]], left: Sequence[int]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.ljust(wide) if at in left else cell.rjust(wide)
            for at, (cell, wide) in enumerate(zip(row, widths))
        ]
        yield "  ".join(cells).rstrip()


def _s(seconds: Optional[float]) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
