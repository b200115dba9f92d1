"""The states of an instance and the moves between them, as docs/reference/states.md shows them.

    PYTHONPATH=src python tools/state_diagram.py           prints the Markdown
    PYTHONPATH=src python tools/state_diagram.py --write   puts it into the page

Nothing here knows a state: all of it comes from `State` and `MOVES`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from django_prodserver.supervisor.instance import MOVES
from django_prodserver.supervisor.model import State

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "states.md"
BEGIN = "<!-- written by tools/state_diagram.py: begin -->"
END = "<!-- end -->"


def diagram() -> str:
    """A Mermaid diagram: https://mermaid.js.org/syntax/stateDiagram.html"""
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in _diagram())]) + "\n"


def markdown() -> str:
    """The part of the page that is generated."""
    meanings = [(state.name, state.value) for state in State]
    moves = [(state.name, ", ".join(s.name for s in _moves(state)) or "-") for state in State]
    return "\n\n".join(
        [
            "\n".join(_table(("state", "meaning"), meanings)),
            "These moves are possible, and no others:",
            "\n".join(_table(("from", "to"), moves)),
            "The same as a diagram, for whatever draws [Mermaid](https://mermaid.js.org):",
            # The lexer of Sphinx does not know Mermaid.
            f"```text\n{diagram()}```",
        ]
    )


def replaced(page: str) -> str:
    """The page with its generated part as it should be."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{PAGE} has no markers"
    return f"{before}{begin}\n\n{markdown()}\n\n{end}{after}"


def _moves(state: State) -> list[State]:
    return [new for new in State if new in MOVES[state]]


def _diagram() -> Iterator[str]:
    for state in State:
        yield f"{state.name}: {state.name}"
        # A semicolon would end the line.
        yield f"{state.name}: {state.value.replace(';', ',')}"
    yield f"[*] --> {next(iter(State)).name}"
    for state in State:
        for new in _moves(state):
            yield f"{state.name} --> {new.name}"


def _table(header: tuple[str, str], rows: list[tuple[str, str]]) -> Iterator[str]:
    for cells in [header, ("---", "---"), *rows]:
        yield "| {} |".format(" | ".join(cells))


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(f"{markdown()}\n")


if __name__ == "__main__":
    main()
