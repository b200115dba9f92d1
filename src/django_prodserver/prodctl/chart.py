"""The start-up as a bar chart: a small SVG that is readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from django_prodserver.supervisor.hints import Any
from django_prodserver.supervisor.text import printable

from .startup import BY_THEMSELVES, PROGRAM, Analysis, slowest, total

# In pixels.
WIDTH, MARGIN, LABEL, ROW, BAR = 960, 16, 230, 22, 14
PLOT = WIDTH - LABEL - 2 * MARGIN - 64
# The longest name that is shown in full, in characters.
LONGEST = 32
STYLE = """\
svg{background:#fff;color:#1f2328;font:12px system-ui,sans-serif}
text{fill:currentColor}.label{text-anchor:end}.critical{font-weight:700}
.title{font-size:14px;font-weight:700}.dim{fill:#59636e}
line{stroke:#d1d9e0}
.program{fill:#8c959f}.preload{fill:#8250df}.waiting{fill:#d1d9e0}.loading{fill:#d8b9ff}
.start{fill:#1a7f37}.own{fill:#0969da}.total{fill:#b6d7ff}
@media(prefers-color-scheme:dark){
svg{background:#0d1117;color:#e6edf3}.dim{fill:#9198a1}line{stroke:#3d444d}
.program{fill:#768390}.preload{fill:#a371f7}.waiting{fill:#3d444d}.loading{fill:#4c3575}
.start{fill:#3fb950}.own{fill:#4493f8}.total{fill:#1f3a5f}}"""
# What the colours mean.
OF_TIMES = (
    *(("program", PROGRAM), ("preload", "preload"), ("waiting", "waits for others")),
    *(("loading", "waits for the preload"), ("start", "starts")),
)
OF_MODULES = (("own", "by itself"), ("total", "with all that it imports"))

# A CSS class, and the beginning and end in seconds.
Bar = tuple[str, float, float]
Row = tuple[str, bool, list[Bar]]


def svg(analysis: Analysis) -> str:
    """Return the chart as a document of its own."""
    y = MARGIN + 14
    parts = [_text(MARGIN, y, total(analysis), "title")]
    for rows, meaning in ((_times(analysis), OF_TIMES), (_imports(analysis), OF_MODULES)):
        if rows:
            y += ROW
            parts += _legend(y, meaning)
            y += ROW
            parts += _plot(y, rows)
            y += (len(rows) + 1) * ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + MARGIN}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"])


def _times(analysis: Analysis) -> list[Row]:
    """A row for each preload and instance, in the order in which they began."""
    critical = {link["name"] for link in analysis["chain"]}
    rows: list[Row] = []
    for number, preload in enumerate(analysis["preloads"]):
        if not number:
            rows.append((PROGRAM, True, [("program", 0.0, preload["began"])]))
        name = preload["name"]
        bars: list[Bar] = [("preload", preload["began"], preload["done"])]
        rows.append((name, name in critical, bars))
    for instance in analysis["instances"]:
        start, name = instance["first"], instance["name"]
        if start is not None and start["ready"] is not None:
            rows.append((name, name in critical, [*_bars(start)]))
    return sorted(rows, key=lambda row: row[2][-1][1])


def _bars(start: Mapping[str, Any]) -> Iterator[Bar]:
    if start["waiting"] is not None:
        yield "waiting", start["waiting"], start["asked"]
    yield "loading", start["asked"], start["started"]
    yield "start", start["started"], start["ready"]


def _imports(analysis: Analysis) -> list[Row]:
    return [
        (one["module"], False, [("total", 0.0, one["seconds"]), ("own", 0.0, one["own"])])
        for one in slowest(analysis, "own", BY_THEMSELVES)
    ]


def _plot(y: int, rows: list[Row]) -> Iterator[str]:
    end = max(until for _, _, bars in rows for _, _, until in bars) or 1.0
    left, bottom = MARGIN + LABEL, y + len(rows) * ROW
    for at in _ticks(end):
        x = left + at / end * PLOT
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{bottom}"/>'
        yield _text(round(x), bottom + 14, f"{at:g} s", "dim")
    for number, (name, is_critical, bars) in enumerate(rows):
        top = y + number * ROW
        of_label = "label critical" if is_critical else "label"
        short = name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"
        yield _text(left - 8, top + 15, short, of_label)
        for kind, begin, until in bars:
            x, wide = left + begin / end * PLOT, max(0.5, (until - begin) / end * PLOT)
            shape = f'x="{x:.1f}" y="{top + 4}" width="{wide:.1f}" height="{BAR}"'
            hint = escape(printable(f"{name}: {until - begin:.3f} s"))
            yield f'<rect class="{kind}" {shape}><title>{hint}</title></rect>'
        _, begin, until = bars[-1]
        last = left + max(until for _, _, until in bars) / end * PLOT
        yield _text(round(last) + 6, top + 15, f"{until - begin:.3f} s", "dim")


def _ticks(end: float) -> Iterator[float]:
    """Yield round numbers up to the end, at most nine."""
    steps = (digit * 10.0**power for power in range(-4, 9) for digit in (1, 2, 5))
    step = next(one for one in steps if end <= 8 * one)
    for number in range(int(end / step) + 1):
        yield number * step


def _legend(y: int, meaning: tuple[tuple[str, str], ...]) -> Iterator[str]:
    x = MARGIN + LABEL
    for kind, what in meaning:
        yield f'<rect class="{kind}" x="{x}" y="{y - 10}" width="10" height="10"/>'
        yield _text(x + 15, y, what, "dim")
        x += 15 + 7 * len(what) + 16


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(printable(text))}</text>'
