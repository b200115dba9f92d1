"""What `make lint` finds in texts: the words of tools/words.txt, except in quotations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT


def found(file: Path, text: str) -> list[str]:
    """The output for a file with this text, without the file's name."""
    file.write_text(text, encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, ROOT / "tools" / "check_words.py", file],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert checked.returncode == (1 if checked.stdout else 0)
    return [line[len(str(file)) + 1 :] for line in checked.stdout.splitlines()]


def test_a_discouraged_word_is_reported_with_its_line_and_a_better_word(tmp_path: Path) -> None:
    text = "# A page\n\nIt is started anew. The exit\ncode is 3.\n"

    assert found(tmp_path / "page.md", text) == [
        "3: 'anew'; write: again",
        "3: 'exit code'; write: exit status",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "It starts again.\n",
        "A renewed exit codec.\n",
        "gunicorn calls it `exit code`.\n",
        "```console\n$ docker wait\nexit code 3\n```\n",
        "https://example.com/exit-code/anew\n",
    ],
)
def test_other_words_and_quotations_are_not_found(tmp_path: Path, text: str) -> None:
    assert found(tmp_path / "page.md", text) == []


def test_only_comments_and_docstrings_are_checked_in_python(tmp_path: Path) -> None:
    source = 'def anew():  # anew\n    """Start\n    anew."""\n    return code\n'

    assert found(tmp_path / "module.py", source) == [
        "1: 'anew'; write: again",
        "3: 'anew'; write: again",
    ]
