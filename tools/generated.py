"""Texts that are generated from the code: parts of pages, between two markers, and whole files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
END = "<!-- end -->"


class Generated(NamedTuple):
    """A text and where it belongs: between the markers of that name, or else the whole file."""

    file: Path
    text: str
    marker: str = ""


def main(all_of_it: Iterable[Generated]) -> None:
    """Print the files that are stale; with the argument `--write`, update them."""
    for one in all_of_it:
        now = one.file.read_text(encoding="utf-8")
        new = _replaced(now, one) if one.marker else one.text
        if new != now:
            sys.stdout.write(f"{one.file.relative_to(ROOT)} {one.marker}\n")
            if sys.argv[1:] == ["--write"]:
                one.file.write_text(new, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(_lines(header, rows))


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in [header, ["---"] * len(header), *rows]:
        yield "| {} |".format(" | ".join(cells))


def _replaced(page: str, one: Generated) -> str:
    begin = f"<!-- generated: {one.marker} -->"
    before, found, rest = page.partition(begin)
    _, end, after = rest.partition(END)
    assert found, f"{one.file} has no marker {begin}"
    assert end, f"{one.file} has no {END} behind {begin}"
    return f"{before}{begin}\n\n{one.text.strip()}\n\n{end}{after}"
