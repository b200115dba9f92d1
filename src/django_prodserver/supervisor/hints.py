"""Names for annotations that are never evaluated, without importing `typing`.

A supervisor takes 7 MiB, and `typing` would be 0.7 MiB of it; in Python 3.9 it also imports `re`.
Type checkers see the real names. At run time, an alias such as `Union[A, B]` only knows its parts,
which `typing.get_args` returns.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import (
        Any,
        Callable,
        ClassVar,
        Generic,
        NoReturn,
        Optional,
        Protocol,
        TypeVar,
        Union,
    )
else:
    from types import GenericAlias

    class _Form:
        __class_getitem__ = classmethod(GenericAlias)

    class Callable(_Form): ...

    class Generic(_Form): ...

    class Optional(_Form): ...

    class Union(_Form):
        def __class_getitem__(cls, parts):
            nested = (one.__args__ if _is_union(one) else (one,) for one in parts)
            return GenericAlias(cls, sum(nested, ()))

    def _is_union(part):
        return getattr(part, "__origin__", None) is Union

    class Protocol: ...

    Any = ClassVar = NoReturn = object

    def TypeVar(name, *constraints, **options):
        return name


__all__ = [
    "TYPE_CHECKING",
    "Any",
    "Callable",
    "ClassVar",
    "Generic",
    "NoReturn",
    "Optional",
    "Protocol",
    "TypeVar",
    "Union",
]
