"""Settings values that are Python expressions, printed without quotes."""

from __future__ import annotations

import re
from typing import Any

_VARIABLE = re.compile(
    r"\$\{(?P<braced>\w+)(?::?-(?P<default>[^}$]*))?\}|\$(?P<plain>[A-Za-z_]\w*)"
    r"|%\(ENV_(?P<supervisord>\w+)\)s"
)


class Code(str):
    """The source of a Python expression, not a string value."""

    __slots__ = ()


class LeftOut(Exception):
    """Raised for what cannot be converted; without a reason if it is not worth a note."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def expanded(value: Any) -> Any:
    """Turn shell variables in a value into a Python expression that reads them.

    Raises LeftOut if the value has any other expansion, such as `$(command)`.
    """
    if not isinstance(value, str):
        return value
    parts: list[str] = []
    rest = 0
    for found in _VARIABLE.finditer(value):
        parts += [_literal(value[rest : found.start()])]
        name = found["braced"] or found["plain"] or found["supervisord"]
        parts += [f"os.environ.get({_literal(name)}, {_literal(found['default'] or '')})"]
        rest = found.end()
    ending = value[rest:]
    if re.search(r"[$`]|%\(", "".join(parts[::2]) + ending):
        raise LeftOut(f"what {value!r} stands for is not known here")
    if not parts:
        return value
    return Code(" + ".join(part for part in [*parts, _literal(ending)] if part != '""'))


def _literal(text: str) -> str:
    # Double quotes, as in everything that is printed.
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
