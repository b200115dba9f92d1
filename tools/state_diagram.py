"""The states of an instance and of its lives, for docs/reference/states.md.

    PYTHONPATH=src python tools/state_diagram.py --write

No state is named here: everything comes from `State`, `SEEN` and the `TABLE` of a life.
"""

from __future__ import annotations

from collections.abc import Iterator

from generated import DOCS, Generated, main, table

from django_prodserver.supervisor.facts import LifeState, State
from django_prodserver.supervisor.instance import SEEN
from django_prodserver.supervisor.life import TABLE, Cause

PAGE = DOCS / "reference" / "states.md"


def states() -> str:
    return table(("state", "meaning"), [(state.name, state.value) for state in State])


def lives() -> str:
    """Return the states of a life, and the state that each cause leads to from there."""
    meanings = [
        (state.name, state.value, SEEN[state].name if state in SEEN else "-") for state in LifeState
    ]
    causes = [(cause.name, cause.value) for cause in Cause]
    moves = [
        (old.name, cause.name, new.name) for old in LifeState for cause, new in TABLE[old].items()
    ]
    return "\n\n".join(
        [
            table(("state of a life", "meaning", "seen as"), meanings),
            table(("cause", "meaning"), causes),
            "Anything that is not in this table has no effect:",
            table(("from", "cause", "to"), moves),
            "The same as a diagram, for any tool that draws [Mermaid](https://mermaid.js.org):",
            # The lexer of Sphinx does not know Mermaid.
            f"```text\n{diagram()}```",
        ]
    )


def diagram() -> str:
    """Return a Mermaid diagram: https://mermaid.js.org/syntax/stateDiagram.html"""
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in _diagram())]) + "\n"


def _diagram() -> Iterator[str]:
    yield f"[*] --> {next(iter(LifeState)).name}"
    for old in LifeState:
        for cause, new in TABLE[old].items():
            yield f"{old.name} --> {new.name}: {cause.name}"
    yield f"{LifeState.GONE.name} --> [*]"


if __name__ == "__main__":
    main([Generated(PAGE, states(), "states"), Generated(PAGE, lives(), "lives")])
