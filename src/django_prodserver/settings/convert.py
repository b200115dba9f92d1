"""From plain values to typed ones: every mistake at once, each with its place and what to do."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Callable, Literal, Optional, get_args, get_origin

import msgspec
from django.utils.functional import Promise

from .findings import Finding
from .schema import PROBES, Backoff, HealthCheck

EXAMPLE_BACKEND = "gunicorn"


def nearest(word: object, known: Iterable[str], alike: float = 0.6) -> Optional[str]:
    """The known word that is most like this one, if any is `alike`, from 0 to 1 for the same."""
    spelt = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(word).casefold(), list(spelt), n=1, cutoff=alike)
    return spelt[near[0]] if near else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`Did you mean 'web'? ` with the nearest of the known words, or nothing."""
    near = nearest(word, known)
    return f"Did you mean {near!r}? " if near else ""


def read_mapping(
    where: str, value: Any, kind: type[msgspec.Struct], findings: list[Finding]
) -> dict[str, Any]:
    """Convert a mapping key by key, so that one mistake does not hide the next."""
    fields = fields_of(kind)
    if not isinstance(value, Mapping):
        hint = f"Its keys can be {', '.join(fields)}."
        findings.append(Finding(where, f"is {a(value)}, not a mapping.", hint, "E004"))
        return {}
    converted: dict[str, Any] = {}
    for key, given in value.items():
        if key not in fields:
            hint = f"{did_you_mean(key, fields)}Known: {', '.join(fields)}."
            findings.append(Finding(f"{where}[{key!r}]", "is not a known key.", hint, "E003"))
            continue
        mistakes: list[Finding] = []
        found = _read(f"{where}[{key!r}]", given, fields[key].type, mistakes)
        findings += mistakes
        if not mistakes:
            converted[fields[key].name] = found
    for key, field in fields.items():
        if field.required and key not in value:
            hint = "Name what runs it, such as " + repr(EXAMPLE_BACKEND) + "."
            findings.append(Finding(where, f"has no {key!r}.", hint, "E005"))
    if kind is HealthCheck:
        findings += _not_one_probe(where, value)
    if kind is Backoff:
        findings += _shrinking(where, value, converted)
    return converted


@cache  # msgspec puts them together anew each time, which takes 0.4 ms.
def fields_of(kind: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """The fields of a struct by the keys of the settings."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def read_text(where: str, given: str, kind: Any, findings: list[Finding]) -> Any:
    """Convert a text to a type: `4` to a number, `false` to a bool."""
    return _read(where, given, kind, findings, strict=False)


def _read(
    where: str, given: Any, kind: Any, findings: list[Finding], *, strict: bool = True
) -> Any:
    struct = _struct(kind)
    if struct is not None and given is not None:
        before = len(findings)
        values = read_mapping(where, given, struct, findings)
        return struct(**values) if len(findings) == before else None
    try:
        converted = msgspec.convert(plain(given), kind, strict=strict)
    except msgspec.ValidationError as error:
        findings += _wrong_values(where, given, kind, error)
        return None
    for form, reader, hint in _readers(kind):
        if isinstance(converted, form):
            try:
                reader(converted)
            except ValueError as error:
                findings.append(Finding(where, f": {error}.", hint, "E004"))
    return converted


def _struct(kind: Any) -> Optional[type[msgspec.Struct]]:
    """The struct that a mapping becomes, also where it may be None."""
    if isinstance(kind, type(msgspec.Struct)):
        return kind
    return next(filter(None, map(_struct, get_args(kind))), None)


def _readers(kind: Any) -> Iterator[tuple[type, Callable[[Any], object], str]]:
    """What reads the texts of a type: of which form they are, the reader, and a hint."""
    for part in get_args(kind):
        if isinstance(part, msgspec.Meta):
            if part.extra and "reader" in part.extra:
                form = get_args(kind)[0]
                yield get_origin(form) or form, part.extra["reader"], part.extra["hint"]
        else:
            yield from _readers(part)


def a(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def plain(value: Any) -> Any:
    """What Django settings hold beside plain values: paths, lazy strings, mappings and tuples."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _wrong_values(
    where: str, value: Any, kind: Any, error: msgspec.ValidationError
) -> Iterator[Finding]:
    if isinstance(value, Mapping) and len(value) > 1:
        # msgspec stops at the first item that is wrong, and cannot tell which one it is.
        for key, item in value.items():
            try:
                msgspec.convert(plain({key: item}), kind)
            except msgspec.ValidationError as item_error:
                yield from _wrong_values(where, {key: item}, kind, item_error)
        return
    choices = _choices(kind)
    if choices and isinstance(value, str):
        hint = f"{did_you_mean(value, choices)}It can be {', '.join(choices)}."
        yield Finding(where, f"is {value!r}, which it cannot be.", hint, "E004")
        return
    # msgspec says: Expected `int`, got `str` - at `$[1]`
    text = str(error).replace("`", "").replace("object", "mapping").replace("array", "list")
    text = text.replace("float", "number").replace("Expected", "expected")
    text = text.replace("null", "None")
    text = text.replace(" - at key in $", " as a key").replace(" - at $", " at ")
    shown = ""
    if isinstance(value, Mapping):
        # Its values may be secrets: name the key alone.
        text = text.replace("[...]", "".join(f"[{key!r}]" for key in value))
    elif not isinstance(value, (list, tuple)) and not _may_be_secret(value, text):
        shown = f"is {value!r}"
    if text == "expected bool, got str":
        text = "expected true or false"
    yield Finding(where, f"{shown}: {text}.", id="E004")


def _may_be_secret(value: Any, complaint: str) -> bool:
    """Whether it could be variables, written as something else than a mapping of them."""
    wanted = complaint.startswith("expected mapping")
    return wanted and not isinstance(value, (int, float, type(None)))


def _not_one_probe(where: str, value: Mapping[Any, Any]) -> Iterator[Finding]:
    given = [probe for probe in PROBES if value.get(probe) is not None]
    hint = f"Give it exactly one of {', '.join(PROBES)}."
    if not given:
        yield Finding(where, "does not say what to probe.", hint, "E004")
    elif len(given) > 1:
        yield Finding(where, f"has {' and '.join(given)} at once.", hint, "E004")


def _shrinking(
    where: str, given: Mapping[Any, Any], values: Mapping[str, Any]
) -> Iterator[Finding]:
    if any(key.upper() in given and key not in values for key in ("initial", "max")):
        return
    backoff = Backoff(**values)
    if backoff.initial > backoff.max:
        message = f"has an INITIAL of {backoff.initial:g} s above its MAX of {backoff.max:g} s."
        hint = "Raise MAX: the pause grows from INITIAL up to it."
        yield Finding(where, message, hint, "E012")


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    return [choice for part in get_args(kind) for choice in _choices(part)]
