"""Parts of the documentation that are made from the code: each between two markers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
END = "<!-- end -->"


def replaced(page: Path, part: str, text: str) -> str:
    """The page with its generated part of that name as it should be."""
    begin = f"<!-- generated: {part} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, end, after = rest.partition(END)
    assert found, f"{page} has no marker {begin}"
    assert end, f"{page} has no {END} after {begin}"
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


def main(parts: Iterable[tuple[Path, str, str]]) -> None:
    """Without arguments print the pages that are not as they should be; `--write` mends them."""
    for page, part, text in parts:
        new = replaced(page, part, text)
        if new == page.read_text(encoding="utf-8"):
            continue
        sys.stdout.write(f"{page.relative_to(DOCS)}: {part}\n")
        if sys.argv[1:] == ["--write"]:
            page.write_text(new, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| {} |".format(" | ".join(cells)) for cells in lines) + "\n"
