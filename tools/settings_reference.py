"""Generated descriptions of the settings: types for editors, tables for the docs.

    PYTHONPATH=src python tools/settings_reference.py --write

No key is named here: everything comes from the structs in `schema`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from generated import DOCS, ROOT, Generated, main, table

from django_prodserver.settings.json_schema import STRUCTS, document
from django_prodserver.settings.schema import (
    AutoscaleSettings,
    Backoff,
    HealthCheckSettings,
    ProcessSettings,
    ReadySettings,
    ServerlessSettings,
    StartLimit,
    SupervisorSettings,
)

PAGE = DOCS / "reference" / "settings.md"
MODULE = ROOT / "src" / "django_prodserver" / "typing.py"

NAMES: dict[type[msgspec.Struct], str] = {
    ProcessSettings: "Process",
    StartLimit: "StartLimit",
    AutoscaleSettings: "Autoscale",
    Backoff: "Backoff",
    ReadySettings: "Ready",
    HealthCheckSettings: "HealthCheck",
    SupervisorSettings: "ProductionSupervisor",
    ServerlessSettings: "ProductionServerless",
}

# Heading on the page -> the struct of the table below it.
TABLES: dict[str, type[msgspec.Struct]] = {
    "PRODUCTION_PROCESSES": ProcessSettings,
    "START_LIMIT": StartLimit,
    "AUTOSCALE": AutoscaleSettings,
    "BACKOFF": Backoff,
    "READY": ReadySettings,
    "HEALTHCHECK": HealthCheckSettings,
    "PRODUCTION_SUPERVISOR": SupervisorSettings,
    "PRODUCTION_SERVERLESS": ServerlessSettings,
}

# Phrases of the specs -> link targets in the docs. A key links to the section of its name.
LINKS = {
    "built-in backends": "backends.md",
    "backend of your own": "../extend/own-backend.md",
    "a size": "#sizes",
    "a control socket": "control.md",
    "How lines are written": "output.md",
    "before processes are forked": "../explanation/why-fork.md",
}

HEAD = '''"""Types for the settings: editors explain the keys, type checkers check the values.

    from django_prodserver.typing import ProductionProcesses, ProductionSupervisor

    PRODUCTION_PROCESSES: ProductionProcesses = {...}
    PRODUCTION_SUPERVISOR: ProductionSupervisor = {...}

It imports neither Django nor anything else of this package, so settings may. Written by
tools/settings_reference.py from the specs in `schema`; a change here is lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Literal, Optional, Protocol, TypedDict, TypeVar, Union

__all__ = [
{exported}
]

_T_co = TypeVar("_T_co", covariant=True)

Text = Union[str, os.PathLike[str]]


class ListOrTuple(Protocol[_T_co]):
    """What a list and a tuple have in common, and a str, which is a Sequence, has not."""

    def __iter__(self) -> Iterator[_T_co]: ...
    # Neither a mapping nor a set can be multiplied.
    def __mul__(self, times: int, /) -> object: ...
    # A str can only be asked for another str.
    def __contains__(self, item: object, /) -> bool: ...
'''


def meanings(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the keys of a struct mean."""
    keys = document()["$defs"][struct.__name__]["properties"]
    return {key: schema["description"] for key, schema in keys.items()}


# ---- types ----


def module() -> str:
    exported = "\n".join(
        f'    "{name}",' for name in sorted([*NAMES.values(), "ProductionProcesses"])
    )
    parts = [HEAD.replace("{exported}", exported)]
    # Structs that others use come first; the mapping of processes comes last.
    settings = (ProcessSettings, SupervisorSettings, ServerlessSettings)
    for struct in sorted(STRUCTS, key=lambda struct: struct in settings):
        parts += _typed_dicts(struct)
    parts.append(
        "# A dict and not a Mapping, because settings often add to it further down.\n"
        "ProductionProcesses = dict[str, Process]\n"
    )
    return "\n\n".join(parts)


def _typed_dicts(struct: type[msgspec.Struct]) -> Iterator[str]:
    """Yield a TypedDict of the optional keys; before it, if there are any, of the required keys."""
    fields = msgspec.structs.fields(struct)
    name, base = NAMES[struct], "TypedDict"
    required = [field for field in fields if field.required]
    if required:
        # Required[] would need Python 3.11, or a package.
        yield "\n".join([f"class _{name}({base}):", *_items(struct, required)])
        base = f"_{name}"
    optional = [field for field in fields if not field.required]
    assert struct.__doc__
    yield "\n".join(
        [
            f"class {name}({base}, total=False):",
            *_text(struct.__doc__),
            "",
            *_items(struct, optional),
        ]
    )


def _items(struct: type[msgspec.Struct], fields: list[Any]) -> Iterator[str]:
    meaning = meanings(struct)
    for field in fields:
        yield from _fitting(f"{field.encode_name}: ", _annotation(field.type))
        yield from _text(meaning[field.encode_name])
        yield ""


def _text(text: str) -> Iterator[str]:
    wide = textwrap.TextWrapper(100, initial_indent="    ", subsequent_indent="    ")
    wide.break_on_hyphens = False
    yield from wide.wrap(f'"""{text}"""')


def _fitting(before: str, annotation: str) -> Iterator[str]:
    """Wrap an annotation as ruff would."""
    if len(line := f"    {before}{annotation}") <= 100:
        yield line
        return
    outer, inner = annotation[:-1].split("[", 1)
    parts = _split(inner)
    yield f"    {before}{outer}["
    for part in parts:
        yield f"        {part}" + ("," if len(parts) > 1 else "")
    yield "    ]"


def _split(arguments: str) -> list[str]:
    """Split at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _annotation(kind: Any) -> str:
    """Return the type that the loader accepts: also paths for strings, and tuples for lists."""
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        return _annotation(arguments[0])
    if origin is Literal:
        return "Literal[{}]".format(", ".join(f'"{choice}"' for choice in arguments))
    if origin is Union and len(arguments) == 2 and arguments[1] is type(None):
        return f"Optional[{_annotation(arguments[0])}]"
    if origin is Union:
        none_last = sorted(arguments, key=lambda one: one is type(None))
        return "Union[{}]".format(", ".join(map(_annotation, none_last)))
    if origin is list:
        return f"ListOrTuple[{_annotation(arguments[0])}]"
    if origin is dict:
        return f"Mapping[str, {_annotation(arguments[1])}]"
    if kind in NAMES:
        return NAMES[kind]
    return str({str: "Text", type(None): "None"}.get(kind, kind.__name__))


# ---- tables ----


def keys(struct: type[msgspec.Struct], page: str) -> str:
    sections = re.findall(r"^##+ (\w+)$", page, re.MULTILINE)
    meaning = meanings(struct)
    rows = []
    for field in msgspec.structs.fields(struct):
        key = field.encode_name
        linked = f"[`{key}`](#{key.lower()})" if key in sections else f"`{key}`"
        rows.append([linked, _linked(_words(field.type)), _default(field), _prose(meaning[key])])
    return table(["key", "type", "default", "meaning"], rows)


def _words(kind: Any) -> str:
    """Return the type in words, without None: the default shows whether it may be None."""
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        forms = [meta.extra["form"] for meta in arguments[1:] if "form" in (meta.extra or {})]
        return str(forms[0]) if forms else _words(arguments[0])
    if get_origin(kind) is Literal:
        return ", ".join(f'`"{choice}"`' for choice in arguments)
    if get_origin(kind) is Union:
        return " or ".join(_words(one) for one in arguments if one is not type(None))
    return "mapping" if kind in NAMES else str(kind.__name__)


def _default(field: Any) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{field.default_factory()!r}`"
    return "none" if field.default is None else f"`{_literal(field.default)}`"


def _literal(value: Any) -> str:
    """Return a value as people write it in settings."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return "{{{}}}".format(
            ", ".join(f'"{one.encode_name}": {_literal(one.default)}' for one in fields)
        )
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _prose(text: str) -> str:
    """Mark up a meaning: strings and keys as code, links to other pages."""
    keys = {field.encode_name for struct in STRUCTS for field in msgspec.structs.fields(struct)}
    pattern = r'"([^"]+)"|\b([A-Z]+(?:_[A-Z]+)*)\b'

    def marked(found: re.Match[str]) -> str:
        literal, word = found.groups()
        if literal is None and word not in keys and "_" not in word:
            return found[0]
        return f"`{literal or word}`"

    return _linked(re.sub(pattern, marked, text))


def _linked(text: str) -> str:
    for words, target in LINKS.items():
        text = text.replace(words, f"[{words}]({target})")
    return text


def everything() -> Iterator[Generated]:
    page = PAGE.read_text(encoding="utf-8")
    for heading, struct in TABLES.items():
        yield Generated(PAGE, keys(struct, page), heading)
    yield Generated(MODULE, module())


if __name__ == "__main__":
    main(everything())
