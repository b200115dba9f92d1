"""Words from outside, made fit for one line of a log or of a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """A sentence in one line that does nothing to a terminal: line ends and the like are spaces.

    What else cannot be shown is written as in a Python literal: control characters, marks that turn
    the direction of writing, halves of characters.
    """
    return text if text.isprintable() else "".join(map(_as_word, text))


def literal(text: str) -> str:
    """A value in one line that does nothing to a terminal, and whose line ends can be seen."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def one_line(text: str, longest: int) -> str:
    """Only what can be printed, without line ends and escapes, and at most so many characters."""
    # Four times as much, because what cannot be printed is left out before it is measured.
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    line = " ".join(shown.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _as_word(character: str) -> str:
    return " " if character.isspace() else _escaped(character)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
