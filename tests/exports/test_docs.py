"""The page about exports has every format and every key."""

from __future__ import annotations

import re

from django_prodserver.exports.formats import FORMATS
from django_prodserver.exports.options import OPTIONS
from tests.running import ROOT

PAGE = (ROOT / "docs" / "deploy" / "export.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table with this heading, by the names in their first column."""
    (table,) = re.findall(rf"^\| {heading} \|.*\n\| ---.*\n((?:\|.*\n)+)", PAGE, re.M)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return {name: row[1:] for row in cells for name in re.findall("`([^`]+)`", row[0])}


def test_the_page_lists_every_format() -> None:
    assert set(rows("format")) == set(FORMATS)


def test_the_page_lists_every_key_with_the_formats_that_take_it() -> None:
    found = rows("key")

    assert set(found) == set(OPTIONS)
    for key, row in found.items():
        takes = {name.partition("-")[0] for name, one in FORMATS.items() if key in one.options}
        named = set(re.findall("`([^`]+)`", row[-1]))
        if row[-1].startswith("all except"):
            named = {name.partition("-")[0] for name in FORMATS} - named
        assert {name.partition("-")[0] for name in named} == takes, key
