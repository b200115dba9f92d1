"""Makes text from outside safe for one line of a log or a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text in one line that cannot control a terminal: line breaks and the like become spaces.

    Other unprintable characters are escaped as in a Python literal: control characters, marks that
    change the text direction, lone surrogates.
    """
    return text if text.isprintable() else "".join(map(_as_word, text))


def literal(text: str) -> str:
    """Text in one line that cannot control a terminal, and whose line breaks are visible."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def one_line(text: str, longest: int) -> str:
    """Only printable characters, in one line without escapes, and at most `longest` of them."""
    # Four times as many, because unprintable characters are removed before counting.
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    line = " ".join(shown.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _as_word(character: str) -> str:
    return " " if character.isspace() else _escaped(character)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    # The codec unicode_escape does the same, but a codec is a module that has to be imported.
    return ascii(character)[1:-1]
