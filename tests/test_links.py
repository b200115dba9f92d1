"""The targets of links exist, and the front page keeps its shape.

Sphinx checks the links between the pages of docs/, but not those of the README and the examples.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.running import ROOT

FOLDERS = ("docs", "examples", "benchmarks", ".github")
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md"))]
    if not {"_build", "node_modules", ".venv"} & set(page.parts)
)
CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?\s*\)")
ELSEWHERE = re.compile(r"[a-z]+:|#")


def links(page: Path) -> list[str]:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if not ELSEWHERE.match(target)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_target_of_a_page_exists(page: Path) -> None:
    absent = [
        target for target in links(page) if not (page.parent / target.partition("#")[0]).exists()
    ]

    assert absent == []


def test_the_link_search_finds_the_links_of_the_readme() -> None:
    assert "docs/start/install.md" in links(ROOT / "README.md")
    assert "docs/_static/output.svg" in links(ROOT / "README.md")


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "_static" / "output.svg").read_text(encoding="utf-8")

    addresses = set(re.findall(r"https?://[\w.]+", picture))

    assert "all&#160;5&#160;ready&#160;after" in picture
    assert addresses == {"http://www.w3.org", "http://127.0.0.1"}
