"""Phrases that several messages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Optional

from .names import PROCESSES

EXAMPLE_BACKEND = "gunicorn"


def nearest(word: object, known: Iterable[str], alike: float = 0.6) -> Optional[str]:
    """The most similar known word, if its similarity is at least `alike`, from 0 to 1."""
    spelled = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(word).casefold(), list(spelled), n=1, cutoff=alike)
    return spelled[near[0]] if near else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`Did you mean 'web'? ` with the nearest known word, or "" if none is similar."""
    near = nearest(word, known)
    return f"Did you mean {near!r}? " if near else ""


def with_article(value: object) -> str:
    """The type of a value: `a list`, `an int`, or `None`."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def no_such_process(name: str, configured: Iterable[str]) -> str:
    return (
        f"No process named {name!r} in {PROCESSES}. "
        f"{did_you_mean(name, configured)}Configured: {', '.join(configured)}."
    )


def shown(value: object, longest: int = 50) -> str:
    """The `repr` of a value, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest - 4]}...{text[-1]}"
