"""Tables of what each input does in each state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pytest


class Illegal(NamedTuple):
    """A bug of the caller; an assertion fails."""


class Never(NamedTuple):
    """Cannot happen: nothing does it, or no event reports it in this state."""


ILLEGAL, NEVER = Illegal(), Never()


def possible(
    states: Iterable[Callable[[], Any]], expected: Mapping[str, Mapping[str, Any]]
) -> list[Any]:
    """Parameters: each state with the name of each input that can happen in it."""
    return [
        pytest.param(state, name, id=f"{state.__name__}-{name}")
        for state in states
        for name, result in expected[state.__name__].items()
        if not isinstance(result, Never)
    ]
