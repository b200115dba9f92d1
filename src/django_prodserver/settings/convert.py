"""Turn plain values into typed ones, and report every mistake at once.

Mistakes are added to a list of findings, each with its place; correct values are returned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import cache
from typing import Any, Callable, Literal, Optional, Union, get_args, get_origin

import msgspec
from django.utils.functional import Promise

from . import rules
from .findings import Finding
from .wording import EXAMPLE_BACKEND, did_you_mean, shown, with_article


def convert_mapping(
    place: str, given: Any, struct: type[msgspec.Struct], findings: list[Finding]
) -> dict[str, Any]:
    """Convert key by key, so that one mistake does not hide the next; return the valid fields."""
    known = fields_of(struct)
    if not isinstance(given, Mapping):
        hint = f"Its keys can be {', '.join(known)}."
        findings.append(Finding(place, f"is {with_article(given)}, not a mapping.", hint, "E004"))
        return {}
    fields: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            hint = f"{did_you_mean(key, known)}Known: {', '.join(known)}."
            findings.append(Finding(f"{place}[{key!r}]", "is not a known key.", hint, "E003"))
            continue
        mistakes: list[Finding] = []
        converted = _convert(f"{place}[{key!r}]", value, known[key].type, mistakes)
        findings += mistakes
        if not mistakes:
            fields[known[key].name] = converted
    for key, field in known.items():
        if field.required and key not in given:
            hint = _what_to_write(None, field.type, strict=True)
            if key == "BACKEND":
                hint = f"Name what runs it, such as {EXAMPLE_BACKEND!r}."
            findings.append(Finding(place, f"has no {key!r}.", hint, "E005"))
    findings += rules.of_mapping(struct, place, given, fields)
    return fields


# Booleans in variables, case-insensitive: the words that Docker, systemd and YAML accept.
BOOLS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
BOOL_HINT = f"Write one of {', '.join(BOOLS)}."


def convert_text(place: str, text: str, wanted: Any, findings: list[Finding]) -> Any:
    """Convert a text to the wanted type: `4` to a number, `false` to a bool."""
    kinds = {*_types_in(wanted)}
    if bool in kinds:
        if text.lower() in BOOLS:
            return BOOLS[text.lower()]
        if str in kinds:
            return _convert(place, text, wanted, findings)
        findings.append(Finding(place, f"is {text!r}: expected true or false.", BOOL_HINT, "E004"))
        return None
    return _convert(place, text, wanted, findings, strict=False)


@cache  # msgspec evaluates the annotations at each call, which takes 2 ms.
def fields_of(struct: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """The fields of a struct by the keys of the settings."""
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def plain(value: Any) -> Any:
    """Replace types in Django settings that msgspec does not know: paths, lazy strings, tuples."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _convert(
    place: str, value: Any, wanted: Any, findings: list[Finding], *, strict: bool = True
) -> Any:
    struct = _struct_in(wanted)
    if struct is not None and value is not None:
        before = len(findings)
        fields = convert_mapping(place, value, struct, findings)
        return struct(**fields) if len(findings) == before else None
    try:
        converted = msgspec.convert(plain(value), wanted, strict=strict)
    except msgspec.ValidationError as error:
        findings += _explain(place, value, wanted, error, strict)
        return None
    for form, reader, hint in _readers_in(wanted):
        if isinstance(converted, form):
            try:
                reader(converted)
            except ValueError as error:
                shown = hint(converted) if callable(hint) else hint
                findings.append(Finding(place, f": {error}.", shown, "E004"))
    return converted


# ---- what a type consists of ----

# What to do instead; a function gets the wrong value.
Hint = Union[str, Callable[[Any], str]]


def _struct_in(wanted: Any) -> Optional[type[msgspec.Struct]]:
    """The struct that a mapping is converted to, also for an Optional; None if there is none."""
    if isinstance(wanted, type(msgspec.Struct)):
        return wanted
    return next(filter(None, map(_struct_in, get_args(wanted))), None)


def _readers_in(wanted: Any) -> Iterator[tuple[type, Callable[[Any], object], Hint]]:
    """The readers (see `texts`), each with the type that it reads and a hint."""
    for part in get_args(wanted):
        if isinstance(part, msgspec.Meta):
            if part.extra and "reader" in part.extra:
                form = get_args(wanted)[0]
                yield get_origin(form) or form, part.extra["reader"], part.extra["hint"]
        else:
            yield from _readers_in(part)


def _types_in(wanted: Any) -> Iterator[type]:
    if isinstance(wanted, type):
        yield wanted
    for part in get_args(wanted):
        yield from _types_in(part)


def _hints_in(wanted: Any) -> Iterator[Hint]:
    """The hints on what to write, the outermost type's first."""
    for part in reversed(get_args(wanted)):
        if isinstance(part, msgspec.Meta):
            if part.extra and "hint" in part.extra:
                yield part.extra["hint"]
        else:
            yield from _hints_in(part)


def _choices_in(wanted: Any) -> list[str]:
    if get_origin(wanted) is Literal:
        return [str(choice) for choice in get_args(wanted)]
    return [choice for part in get_args(wanted) for choice in _choices_in(part)]


# ---- msgspec's errors in our words ----


def _explain(
    place: str, value: Any, wanted: Any, error: msgspec.ValidationError, strict: bool
) -> Iterator[Finding]:
    if isinstance(value, Mapping) and len(value) > 1:
        # msgspec stops at the first wrong item, and does not say which one it is.
        for key, item in value.items():
            try:
                msgspec.convert(plain({key: item}), wanted)
            except msgspec.ValidationError as item_error:
                yield from _explain(place, {key: item}, wanted, item_error, strict)
        return
    choices = _choices_in(wanted)
    if choices:
        word = value.name if isinstance(value, Enum) else value
        message = f"must be one of {', '.join(choices)}; got {shown(value)}."
        yield Finding(place, message, did_you_mean(word, choices).rstrip(), "E004")
        return
    # msgspec says: Expected `int | null`, got `str` - at `$[1]`
    complaint = str(error).replace("`", "").replace("object", "mapping").replace("array", "list")
    complaint = complaint.replace("float", "number").replace("Expected", "expected")
    complaint = complaint.replace(" | null", "").replace("null", "None")
    complaint = " or ".join(complaint.rsplit(" | ", 1)).replace(" | ", ", ")
    complaint = complaint.replace(" - at key in $", " as a key").replace(" - at $", " at ")
    said = ""
    if isinstance(value, Mapping):
        # Show only the key, because the values may be secrets.
        complaint = complaint.replace("[...]", "".join(f"[{key!r}]" for key in value))
    elif not isinstance(value, (list, tuple)) and not _may_be_secret(value, complaint):
        said = f"is {shown(value)}"
    if complaint == "expected bool, got str":
        complaint = "expected true or false"
    yield Finding(place, f"{said}: {complaint}.", _what_to_write(value, wanted, strict), "E004")


def _what_to_write(value: Any, wanted: Any, strict: bool) -> str:
    if strict and isinstance(value, str):
        with suppress(msgspec.ValidationError):
            converted = msgspec.convert(value, wanted, strict=False)
            text = str(converted) if isinstance(converted, bool) else value.strip()
            return f"Write {text}, without quotes."
    if set(_types_in(wanted)) <= {bool, type(None)}:
        return "Write True or False." if strict else ""
    hint = next(_hints_in(wanted), "")
    return hint(value) if callable(hint) else hint


def _may_be_secret(value: Any, complaint: str) -> bool:
    """Whether the value may be an ENV that is not written as a mapping."""
    wanted = complaint.startswith("expected mapping")
    return wanted and not isinstance(value, (int, float, type(None)))
