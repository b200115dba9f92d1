"""Text from outside in our lines: it is readable, and has no other effect."""

from __future__ import annotations

from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.supervisor.text import literal, printable

HOSTILE = [
    ("one\n12:00:00 system   | two", "one 12:00:00 system   | two"),
    ("over\rwritten", "over written"),
    ("\x1b[2Jcleared\x07", "\\x1b[2Jcleared\\x07"),
    ("\x9b31mred", "\\x9b31mred"),
    ("turned \u202egninrut", "turned \\u202egninrut"),
    ("a line\u2028more", "a line more"),
    ("file \udcff", "file \\udcff"),
    ("null \0", "null \\x00"),
    ("naïve 日本語 🦄", "naïve 日本語 🦄"),
]


@pytest.mark.parametrize(("text", "said"), HOSTILE)
def test_unprintable_characters_are_replaced_or_escaped(text: str, said: str) -> None:
    assert printable(text) == said


def test_line_breaks_in_a_literal_are_shown_as_escapes() -> None:
    assert literal("echo 1\n\techo 2\x1b") == "echo 1\\n\\techo 2\\x1b"


@pytest.mark.parametrize("shown", [printable, literal])
@given(st.text(st.characters(codec=None)) | st.text(st.characters(categories=["C", "Z"])))
def test_any_text_becomes_a_single_printable_line_that_can_be_encoded(
    shown: Callable[[str], str], text: str
) -> None:
    line = shown(text)

    assert line.isprintable()
    assert line.encode().decode() == line
    assert len(line.splitlines()) <= 1
    assert shown(line) == line
