"""Messages between the supervisor and a template: plain data, and `Value`s made of it, as bytes.

`marshal` packs them: both ends run the same Python, and `marshal` is built into the interpreter, so
the supervisor imports nothing for it. https://docs.python.org/3/library/marshal.html
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from enum import Enum
from signal import Signals

from django_prodserver.control.documents import About
from django_prodserver.control.startup import Imported, Preload
from django_prodserver.posix.address import Binding, Listener
from django_prodserver.posix.context import Context
from django_prodserver.posix.control.place import ControlSettings
from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.posix.probes.targets import CommandTarget, HttpTarget, TcpTarget, Tls
from django_prodserver.posix.program import Program
from django_prodserver.supervisor.hints import Any
from django_prodserver.supervisor.record import Record, Severity
from django_prodserver.supervisor.spec import (
    Autoscale,
    CheckSchedule,
    Exclusion,
    ReadyProbe,
    RestartPolicy,
    Spec,
)
from django_prodserver.supervisor.values import Value, items

from .plan import Loaded, Plan

# The format of marshal: every Python has this one, and it keeps no references between objects.
VERSION = 2

# The classes that can be sent, by the name they are packed with.
_VALUES: Mapping[str, type[Value]] = {
    kind.__name__: kind
    for kind in (
        *(Plan, Loaded, LogSettings, Program, Context, Record, Spec),
        *(Autoscale, CheckSchedule, ReadyProbe),
        *(CommandTarget, HttpTarget, TcpTarget, Tls, ControlSettings, About),
        *(Listener, Binding, Preload, Imported),
    )
}
_ENUMS: Mapping[str, type[Enum]] = {
    kind.__name__: kind for kind in (Exclusion, RestartPolicy, Severity, Signals)
}


def pack(message: Any) -> bytes:
    """Raises ValueError for what is not plain data."""
    return marshal.dumps(_plain(message), VERSION)


def unpack(packed: bytes) -> Any:
    """What was packed, with sequences as tuples, and subclasses of str, int and float as those."""
    return _from_plain(marshal.loads(packed))


def _plain(value: Any) -> Any:
    """A `Value` or an enum member as a tuple with the name of its class; a sequence as a list."""
    kind = type(value)
    if kind in (str, int, float, bool, bytes, type(None)):
        return value
    if isinstance(value, Value):
        return (kind.__name__, *map(_plain, items(value)))
    if isinstance(value, Enum) and kind.__name__ in _ENUMS:
        return (kind.__name__, value.name)
    if isinstance(value, str):
        return "".join([value])  # A subclass, for example one of Django's.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return frozenset(map(_plain, value))
    if isinstance(value, (list, tuple)):
        return list(map(_plain, value))
    raise ValueError(f"{value!r} is not plain data")


def _from_plain(plain: Any) -> Any:
    if isinstance(plain, tuple):
        name, *parts = plain
        if name in _ENUMS:
            return _ENUMS[name][parts[0]]
        return _VALUES[name](*map(_from_plain, parts))
    if isinstance(plain, list):
        return tuple(map(_from_plain, plain))
    if isinstance(plain, dict):
        return {key: _from_plain(item) for key, item in plain.items()}
    if isinstance(plain, frozenset):
        return frozenset(map(_from_plain, plain))
    return plain
