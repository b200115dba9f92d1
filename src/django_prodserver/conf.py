"""Settings to typed values: every mistake at once, each with its path and what to do about it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Literal,
    Optional,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import msgspec
from django.conf import settings
from django.utils.functional import Promise

from .supervisor.lines import MAX_LINE

PROCESSES = "PRODUCTION_PROCESSES"
SUPERVISOR = "PRODUCTION_SUPERVISOR"

# A Procfile's names (honcho's and foreman's parsers agree on these).
NAME = re.compile(r"[A-Za-z0-9_-]+")

EXAMPLE_BACKEND = "django_prodserver.backends.gunicorn.GunicornServer"

# msgspec reads these at run time, on Python 3.9 too: hence no `X | Y` here.
Scalar = Union[str, int, float, bool, None]
Arguments = Union[str, list[str], dict[str, Union[Scalar, list[Union[str, int, float]]]]]
Signal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
# At most a week: poll(2) takes milliseconds as an int, which are 24 days.
WEEK = 7 * 24 * 3600
Seconds = Annotated[float, msgspec.Meta(gt=0, le=WEEK)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """One entry of PRODUCTION_PROCESSES; its keys are the names of the fields in capitals."""

    backend: str
    args: Arguments = msgspec.field(default_factory=dict)
    app: Optional[str] = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    replicas: Count = 1
    type: Literal["service"] = "service"
    stop_signal: Optional[Signal] = None
    stop_timeout: Optional[Seconds] = None


class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """PRODUCTION_SUPERVISOR: for all processes, and for the supervisor itself."""

    # Below Kubernetes' 30 s, so that the supervisor is still there to say who hung.
    stop_timeout: Seconds = 25.0
    timestamps: bool = True
    color: Literal["auto", "always", "never"] = "auto"
    max_line: Count = MAX_LINE
    preload: list[str] = msgspec.field(default_factory=list)


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


_S = TypeVar("_S", ProcessSettings, SupervisorSettings)


def load() -> Configuration:
    """Read both settings. Raises ConfigurationError with every mistake in them."""
    findings: list[Finding] = []
    processes = _processes(findings)
    supervisor = _struct(
        SUPERVISOR, getattr(settings, SUPERVISOR, {}), SupervisorSettings, findings
    )
    if findings:
        raise ConfigurationError(findings)
    assert supervisor is not None
    return Configuration(processes, supervisor)


def path(name: str, key: str = "") -> str:
    """Where a setting stands, as Python writes it: `PRODUCTION_PROCESSES['web']['ARGS']`."""
    return f"{PROCESSES}[{name!r}]" + (f"[{key!r}]" if key else "")


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`Did you mean 'web'? ` with the nearest of the known words, or nothing."""
    spelt = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(str(word).casefold(), list(spelt), n=1)
    return f"Did you mean {spelt[near[0]]!r}? " if near else ""


def _processes(findings: list[Finding]) -> dict[str, ProcessSettings]:
    entries = getattr(settings, PROCESSES, None)
    example = f"Add {PROCESSES} = {{'web': {{'BACKEND': {EXAMPLE_BACKEND!r}}}}} to your settings."
    if entries is None:
        findings.append(Finding("W001", f"{PROCESSES} is not set.", example, warning=True))
    elif not isinstance(entries, Mapping):
        found = type(entries).__name__
        message = f"{PROCESSES} is a {found}, not a mapping of names to processes."
        findings.append(Finding("E001", message, example))
    elif not entries:
        findings.append(Finding("E001", f"{PROCESSES} is empty.", example))
    else:
        return _entries(entries, findings)
    return {}


def _entries(entries: Mapping[Any, Any], findings: list[Finding]) -> dict[str, ProcessSettings]:
    processes = {}
    for name, entry in entries.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            message = f"{PROCESSES} has a process named {name!r}."
            hint = "Use letters, digits, - and _ only: the name becomes one in a Procfile."
            findings.append(Finding("E002", message, hint))
            continue
        process = _struct(path(name), entry, ProcessSettings, findings)
        if process is not None:
            processes[name] = process
            findings += _impossible_variables(path(name, "ENV"), process.env)
    return processes


def _struct(where: str, value: Any, kind: type[_S], findings: list[Finding]) -> Optional[_S]:
    """Convert a mapping key by key, so that one mistake does not hide the next."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if not isinstance(value, Mapping):
        message = f"{where} is a {type(value).__name__}, not a mapping."
        findings.append(Finding("E004", message, f"Its keys can be {', '.join(fields)}."))
        return None
    mistakes: list[Finding] = []
    converted = {}
    for key, given in value.items():
        if key not in fields:
            message = f"{where}[{key!r}] is not a known key."
            hint = f"{did_you_mean(key, fields)}Known: {', '.join(fields)}."
            mistakes.append(Finding("E003", message, hint))
            continue
        try:
            converted[fields[key].name] = msgspec.convert(_plain(given), fields[key].type)
        except msgspec.ValidationError as error:
            mistakes += _wrong_values(f"{where}[{key!r}]", given, fields[key].type, error)
    for key, field in fields.items():
        if field.required and key not in value:
            hint = "Name the class that runs it, such as " + repr(EXAMPLE_BACKEND) + "."
            mistakes.append(Finding("E005", f"{where} has no {key!r}.", hint))
    findings += mistakes
    return None if mistakes else kind(**converted)


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


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    return [choice for part in get_args(kind) for choice in _choices(part)]
