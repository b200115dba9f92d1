"""Makes text from outside safe for one line of a log or a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """A sentence in one line that cannot control a terminal: line ends and the like become spaces.

    Everything else that cannot be shown is written as in a Python literal: control characters,
    marks that change the direction of writing, halves of characters.
    """
    return text if text.isprintable() else "".join(map(_as_word, text))


def literal(text: str) -> str:
    """A value in one line that cannot control a terminal, and whose line ends are visible."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def one_line(text: str, longest: int) -> str:
    """Only the printable characters, without line ends and escapes, and at most this many."""
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
