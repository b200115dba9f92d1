"""Values of the settings that are printed as they are."""

from __future__ import annotations


class Code(str):
    """A value that is an expression in the settings, not a string."""

    __slots__ = ()
