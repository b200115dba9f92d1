"""Settings to typed values: every mistake at once, each with its path and what to do about it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Callable, Literal, Optional, get_args, get_origin

import msgspec
from django.conf import settings
from django.utils.functional import Promise

from .schema import (
    Backoff,
    EffectiveSettings,
    HealthCheck,
    ProcessSettings,
    SupervisorSettings,
    memory_size,
)

__all__ = [
    "PROCESSES",
    "SUPERVISOR",
    "Configuration",
    "ConfigurationError",
    "EffectiveSettings",
    "Finding",
    "ProcessSettings",
    "SupervisorSettings",
    "did_you_mean",
    "load",
    "path",
]

PROCESSES = "PRODUCTION_PROCESSES"
SUPERVISOR = "PRODUCTION_SUPERVISOR"

# A Procfile's names (honcho's and foreman's parsers agree on these).
NAME = re.compile(r"[A-Za-z0-9_-]+")

EXAMPLE_BACKEND = "django_prodserver.backends.gunicorn.GunicornServer"


@dataclass(frozen=True)
class Finding:
    """A mistake: where it is, what is wrong, what to do. A warning is one only in production."""

    id: str
    message: str
    hint: str = ""
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigurationError(Exception):
    """Everything that is wrong with the configuration, as findings."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(frozen=True)
class Configuration:
    """What the settings say, in their order; nothing in it has been imported yet."""

    processes: Mapping[str, ProcessSettings]
    supervisor: SupervisorSettings

    def overridden(self, replicas: Mapping[str, int], **supervisor: Any) -> Configuration:
        """With the command line's values in place of its own; None there means not given."""
        given = {key: value for key, value in supervisor.items() if value is not None}
        processes = {
            name: msgspec.structs.replace(process, replicas=replicas.get(name, process.replicas))
            for name, process in self.processes.items()
        }
        return Configuration(processes, msgspec.structs.replace(self.supervisor, **given))

    def effective(self, name: str) -> EffectiveSettings:
        """What counts for a process: its own settings, and the defaults where it has none."""
        values = msgspec.structs.asdict(self.processes[name])
        defaults = msgspec.structs.asdict(self.supervisor)
        if values["type"] == "oneshot":
            # What has finished is not to be started anew, and what migrates a database is not to
            # be stopped half-way because of a limit that was meant for servers.
            if defaults["restart"] == "always":
                defaults["restart"] = "on-failure"
            defaults["max_memory"] = None
        values.update({key: defaults.get(key) for key in values if values[key] is None})
        if values["max_memory"] is not None:
            values["max_memory"] = memory_size(values["max_memory"])
        return EffectiveSettings(**values)

    def starting_order(self, names: Iterable[str]) -> list[str]:
        """Each name behind those that it comes AFTER, otherwise as they are given.

        Who is not among the names is waited for by nobody.
        """
        waiting = {name: set(self.processes[name].after) for name in names}
        order = []
        while waiting:
            name = next(name for name, after in waiting.items() if not after & waiting.keys())
            order.append(name)
            del waiting[name]
        return order


def load() -> Configuration:
    """Read both settings. Raises ConfigurationError with every mistake in them."""
    findings: list[Finding] = []
    processes = _processes(findings)
    supervisor = _fields(
        SUPERVISOR, getattr(settings, SUPERVISOR, {}), SupervisorSettings, findings
    )
    if findings:
        raise ConfigurationError(findings)
    return Configuration(
        {name: ProcessSettings(**values) for name, values in processes.items()},
        SupervisorSettings(**supervisor),
    )


def path(name: str, key: str = "") -> str:
    """Where a setting stands, as Python writes it: `PRODUCTION_PROCESSES['web']['ARGS']`."""
    return f"{PROCESSES}[{name!r}]" + (f"[{key!r}]" if key else "")


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`Did you mean 'web'? ` with the nearest of the known words, or nothing."""
    spelt = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(word).casefold(), list(spelt), n=1)
    return f"Did you mean {spelt[near[0]]!r}? " if near else ""


# Below, a setting is a mapping of the fields that are right, so that rules about several of them
# hold even where another one is wrong. It becomes a struct once there are no findings.


def _processes(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    entries = getattr(settings, PROCESSES, None)
    example = f"Add {PROCESSES} = {{'web': {{'BACKEND': {EXAMPLE_BACKEND!r}}}}} to your settings."
    if entries is None:
        findings.append(Finding("W001", f"{PROCESSES} is not set.", example, warning=True))
    elif not isinstance(entries, Mapping):
        message = f"{PROCESSES} is {_a(entries)}, not a mapping of names to processes."
        findings.append(Finding("E001", message, example))
    elif not entries:
        findings.append(Finding("E001", f"{PROCESSES} is empty.", example))
    else:
        return _entries(entries, findings)
    return {}


def _entries(entries: Mapping[Any, Any], findings: list[Finding]) -> dict[str, dict[str, Any]]:
    processes = {}
    for name, entry in entries.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            message = f"{PROCESSES} has a process named {name!r}."
            hint = "Use letters, digits, - and _ only: the name becomes one in a Procfile."
            findings.append(Finding("E002", message, hint))
            continue
        values = _fields(path(name), entry, ProcessSettings, findings)
        findings += _impossible_variables(path(name, "ENV"), values.get("env", {}))
        findings += _not_for_a_oneshot(name, values)
        findings += _not_to_be_after(name, values.get("after", ()), entries)
        processes[name] = values
    findings += _circles({name: values.get("after", ()) for name, values in processes.items()})
    return processes


def _fields(
    where: str, value: Any, kind: type[msgspec.Struct], findings: list[Finding]
) -> dict[str, Any]:
    """Convert a mapping key by key, so that one mistake does not hide the next."""
    fields = _fields_of(kind)
    if not isinstance(value, Mapping):
        message = f"{where} is {_a(value)}, not a mapping."
        findings.append(Finding("E004", message, f"Its keys can be {', '.join(fields)}."))
        return {}
    converted: dict[str, Any] = {}
    for key, given in value.items():
        if key not in fields:
            message = f"{where}[{key!r}] is not a known key."
            hint = f"{did_you_mean(key, fields)}Known: {', '.join(fields)}."
            findings.append(Finding("E003", message, hint))
            continue
        mistakes: list[Finding] = []
        found = _value(f"{where}[{key!r}]", given, fields[key].type, mistakes)
        findings += mistakes
        if not mistakes:
            converted[fields[key].name] = found
    for key, field in fields.items():
        if field.required and key not in value:
            hint = "Name the class that runs it, such as " + repr(EXAMPLE_BACKEND) + "."
            findings.append(Finding("E005", f"{where} has no {key!r}.", hint))
    if kind is HealthCheck:
        findings += _not_one_probe(where, value)
    if kind is Backoff:
        findings += _shrinking(where, value, converted)
    return converted


@cache  # msgspec puts them together anew each time, which takes 0.4 ms.
def _fields_of(kind: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """The fields of a struct by the keys of the settings."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _value(where: str, given: Any, kind: Any, findings: list[Finding]) -> Any:
    struct = _struct(kind)
    if struct is not None and given is not None:
        before = len(findings)
        values = _fields(where, given, struct, findings)
        return struct(**values) if len(findings) == before else None
    try:
        converted = msgspec.convert(_plain(given), kind)
    except msgspec.ValidationError as error:
        findings += _wrong_values(where, given, kind, error)
        return None
    for form, reader, hint in _readers(kind):
        if isinstance(converted, form):
            try:
                reader(converted)
            except ValueError as error:
                findings.append(Finding("E004", f"{where}: {error}.", hint))
    return converted


def _struct(kind: Any) -> Optional[type[msgspec.Struct]]:
    """The struct that a mapping becomes, also where it may be None."""
    for one in (kind, *get_args(kind)):
        if isinstance(one, type(msgspec.Struct)):
            return one
    return None


def _readers(kind: Any) -> Iterator[tuple[type, Callable[[Any], object], str]]:
    """What reads the texts of a type: of which form they are, the reader, and a hint."""
    if get_origin(kind) is Annotated:
        form, meta = get_args(kind)
        if meta.extra:
            yield get_origin(form) or form, meta.extra["reader"], meta.description
        return
    for part in get_args(kind):
        yield from _readers(part)


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _plain(value: Any) -> Any:
    """What Django settings hold beside plain values: paths, lazy strings, mappings and tuples."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _wrong_values(
    where: str, value: Any, kind: Any, error: msgspec.ValidationError
) -> Iterator[Finding]:
    if isinstance(value, Mapping) and len(value) > 1:
        # msgspec stops at the first item that is wrong, and cannot tell which one it is.
        for key, item in value.items():
            try:
                msgspec.convert(_plain({key: item}), kind)
            except msgspec.ValidationError as item_error:
                yield from _wrong_values(where, {key: item}, kind, item_error)
        return
    choices = _choices(kind)
    if choices and isinstance(value, str):
        hint = f"{did_you_mean(value, choices)}It can be {', '.join(choices)}."
        yield Finding("E004", f"{where} is {value!r}, which it cannot be.", hint)
        return
    # msgspec says: Expected `int`, got `str` - at `$[1]`
    text = str(error).replace("`", "").replace("object", "mapping").replace("array", "list")
    text = text.replace("float", "number").replace("Expected", "expected")
    text = text.replace(" - at key in $", " as a key").replace(" - at $", " at ")
    if isinstance(value, Mapping):
        # Its values may be secrets: name the key alone.
        text = text.replace("[...]", "".join(f"[{key!r}]" for key in value))
    elif not isinstance(value, (list, tuple)):
        where += f" is {value!r}"
    yield Finding("E004", f"{where}: {text}.")


def _impossible_variables(where: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """What environ(7) has no room for."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            hint = "A name is not empty, and has neither '=' nor a null character."
            yield Finding("E004", f"{where} has a variable named {name!r}.", hint)
        elif "\0" in value:
            yield Finding("E004", f"{where}[{name!r}] has a null character in it.")


def _not_one_probe(where: str, value: Mapping[Any, Any]) -> Iterator[Finding]:
    probes = ("HTTP", "TCP", "COMMAND")
    given = [probe for probe in probes if value.get(probe) is not None]
    hint = f"Give it exactly one of {', '.join(probes)}."
    if not given:
        yield Finding("E004", f"{where} does not say what to probe.", hint)
    elif len(given) > 1:
        yield Finding("E004", f"{where} has {' and '.join(given)} at once.", hint)


def _shrinking(
    where: str, given: Mapping[Any, Any], values: Mapping[str, Any]
) -> Iterator[Finding]:
    if any(key.upper() in given and key not in values for key in ("initial", "max")):
        return
    backoff = Backoff(**values)
    if backoff.initial > backoff.max:
        message = f"{where} has an INITIAL of {backoff.initial:g} s above its MAX of "
        message += f"{backoff.max:g} s."
        yield Finding("E012", message, "Raise MAX: the pause grows from INITIAL up to it.")


def _not_for_a_oneshot(name: str, values: Mapping[str, Any]) -> Iterator[Finding]:
    if values.get("type") != "oneshot":
        return
    if values.get("restart") == "always":
        message = f"{path(name, 'RESTART')} is 'always', but its TYPE is 'oneshot'."
        yield Finding("E012", message, "Use 'on-failure': a oneshot is done once it exits with 0.")
    for key in ("READY_TIMEOUT", "HEALTHCHECK", "WATCHDOG"):
        if values.get(key.lower()) is not None:
            message = f"{path(name, key)} is for a service, but its TYPE is 'oneshot'."
            yield Finding("E012", message, "Leave it out: a oneshot is done once it exits with 0.")


def _not_to_be_after(name: str, after: Sequence[str], known: Collection[Any]) -> Iterator[Finding]:
    for other in dict.fromkeys(after):
        if other == name:
            yield Finding("E013", f"{path(name, 'AFTER')} names {name!r} itself.", "Leave it out.")
        elif other not in known:
            message = f"{path(name, 'AFTER')} names {other!r}, which is no process."
            others = [str(one) for one in known if one != name]
            hint = f"{did_you_mean(other, others)}Known: {', '.join(others)}."
            yield Finding("E013", message, hint if others else "Leave it out.")


def _circles(after: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Ways over others back to where they began: without the last arrow of each there are none."""
    # Names that are unknown, or of the process itself, are findings already.
    after = {
        name: [other for other in dict.fromkeys(others) if other in after and other != name]
        for name, others in after.items()
    }
    followed: set[str] = set()
    for first in after:
        if first in followed:
            continue
        way = {first: iter(after[first])}
        while way:
            here = next(reversed(way))
            following = next(way[here], None)
            if following is None:
                followed.add(here)
                del way[here]
            elif following in way:
                names = list(way)
                circle = " -> ".join([*names[names.index(following) :], following])
                message = f"{path(following, 'AFTER')} leads back to it: {circle}."
                hint = "An arrow means 'comes after': take one of them away."
                yield Finding("E013", message, hint)
            elif following not in followed:
                way[following] = iter(after[following])


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    return [choice for part in get_args(kind) for choice in _choices(part)]
