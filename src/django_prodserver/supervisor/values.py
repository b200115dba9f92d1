"""Values: immutable, with slots, equal if both their type and their fields are equal.

    class Point(Value):
        x: int
        y: int = 0

They are not dataclasses, because defining one takes 0.49 ms and imports `inspect`, `ast` and `re`
(CPython 3.13), and not named tuples, because those equal any tuple with the same items.
"""

from __future__ import annotations

from .hints import TYPE_CHECKING, Any, Callable, ClassVar, NoReturn, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options: Any) -> Callable[[type], type]:
        return lambda kind: kind


@dataclass_transform(frozen_default=True)
class _Fields(type):
    """Makes a field of each annotation in the body of a class, in order, after inherited ones."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any
    ) -> _Fields:
        own = tuple(
            field
            for field, kind in body.get("__annotations__", {}).items()
            if not str(kind).startswith("ClassVar")
        )
        defaults = {field: body.pop(field) for field in own if field in body}
        made = super().__new__(mcs, name, bases, {"__slots__": own, **body}, **options)
        made._fields = (*getattr(made, "_fields", ()), *own)
        made._defaults = {**getattr(made, "_defaults", {}), **defaults}
        made._setters = tuple([getattr(made, field).__set__ for field in made._fields])
        return made

    _fields: tuple[str, ...]
    _defaults: dict[str, Any]
    _setters: tuple[Callable[[Any, Any], None], ...]


class Value(metaclass=_Fields):
    """Base class of all values of the supervisor and of its operating-system edge."""

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _setters: ClassVar[tuple[Callable[[Any, Any], None], ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs or len(args) != len(self._fields):
            args = (*args, *_others(type(self), len(args), kwargs))
        for put, value in zip(self._setters, args):
            put(self, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return items(self) == items(other)

    def __hash__(self) -> int:
        return hash((type(self), *items(self)))

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in zip(self._fields, items(self)))
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), items(self)


def _others(kind: type[Value], given: int, named: dict[str, Any]) -> list[Any]:
    """The values of the fields that were not given by position. Raises TypeError."""
    left = kind._fields[given:]
    if given > len(kind._fields) or not named.keys() <= set(left):
        raise TypeError(f"{kind.__name__} takes {', '.join(kind._fields)}, each once")
    values = {**kind._defaults, **named}
    try:
        return [values[field] for field in left]
    except KeyError as missing:
        raise TypeError(f"{kind.__name__} needs {missing.args[0]}") from None


_V = TypeVar("_V", bound=Value)


def items(value: Value) -> tuple[Any, ...]:
    """The fields of a value, in order.

    Built through a list: `tuple()` of a generator asks for ten items before it knows how many there
    are, and CPython keeps these tuples when they are freed, up to 2,000 of each length (3.9 to
    3.13).
    """
    return tuple([getattr(value, field) for field in value._fields])


def replace(value: _V, **changes: Any) -> _V:
    """A copy with other values in some fields."""
    return type(value)(**{**dict(zip(value._fields, items(value))), **changes})


def assert_never(value: NoReturn) -> NoReturn:
    """Cannot be reached: mypy proves that all kinds of `value` were handled before."""
    raise AssertionError(f"unexpected: {value!r}")
