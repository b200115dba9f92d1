"""Words from outside, made fit for one line of a log."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """Only what can be printed, without line ends and escapes, and at most so many characters."""
    # Four times as much, because what cannot be printed is left out before it is measured.
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    line = " ".join(printable.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
