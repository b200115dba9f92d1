"""The states of an instance and the moves between them, as docs/reference/states.md shows them.

    PYTHONPATH=src python tools/state_diagram.py --write

Nothing here knows a state: all of it comes from `State` and `MOVES`.
"""

from __future__ import annotations

from collections.abc import Iterator

from generated import DOCS, Generated, main, table

from django_prodserver.supervisor.instance import MOVES
from django_prodserver.supervisor.model import State

PAGE = DOCS / "reference" / "states.md"


def diagram() -> str:
    """A Mermaid diagram: https://mermaid.js.org/syntax/stateDiagram.html"""
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in _diagram())]) + "\n"


def markdown() -> str:
    """The part of the page that is generated."""
    meanings = [(state.name, state.value) for state in State]
    moves = [(state.name, ", ".join(s.name for s in _moves(state)) or "-") for state in State]
    return "\n\n".join(
        [
            table(("state", "meaning"), meanings),
            "These moves are possible, and no others:",
            table(("from", "to"), moves),
            "The same as a diagram, for whatever draws [Mermaid](https://mermaid.js.org):",
            # The lexer of Sphinx does not know Mermaid.
            f"```text\n{diagram()}```",
        ]
    )


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


if __name__ == "__main__":
    main([Generated(PAGE, markdown(), "states")])
