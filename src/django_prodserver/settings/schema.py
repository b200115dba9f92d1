"""What the settings can say: keys, types, defaults, meanings, and the texts that stand for values.

All that is told about a key comes from here: what is wrong with its value (`conf`), its JSON Schema
(`json_schema`), and what tools/settings_reference.py writes, `typing` and the tables of the docs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from ipaddress import IPv6Address
from typing import Annotated, Any, Callable, Literal, NamedTuple, Optional, Union

import msgspec

from django_prodserver.logs.lines import MAX_LINE

# ---- texts that stand for values: each reader raises ValueError with what is wrong ----

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS.update({"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "b": 1, "": 1})
# Compiled where they are used for the first time, which most starts never do.
_SIZE = r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([a-z]*)"
_HOST = r"\[[^\[\]]*\]|[A-Za-z0-9._-]+"
_HOST_AND_PORT = rf"({_HOST}|):([0-9]+)"
_HTTP_URL = rf"http://({_HOST})(?::([0-9]+))?((?:[/?].*)?)"

# The same for a JSON Schema, as far as it can be said there: in words that every dialect of regular
# expressions knows, so without flags and lookaheads. `not` is what fits and yet is refused, such as
# a newline at the end, before which Python's $ is content.
_SIZE_SCHEMA = {
    "pattern": r"^[0-9]{1,15}(\.[0-9]{1,15})? ?([kKmMgGtT][iI]?[bB]|[bB])?$",
    "not": {"pattern": r"^(0+(\.[0-9]+)? ?[bB]?|[0.]+ ?[A-Za-z]*)$|\n"},
}
_HOST_SCHEMA = r"(\[[0-9A-Fa-f:.]+(%[^\[\]]+)?\]|[A-Za-z0-9._-]+)"
_NO_PORT = ":(0+|6553[6-9]|655[4-9][0-9]|65[6-9][0-9]{2}|6[6-9][0-9]{3}|[7-9][0-9]{4})"
_HOST_AND_PORT_SCHEMA = {
    "pattern": f"^{_HOST_SCHEMA}?:[0-9]{{1,5}}$",
    "not": {"pattern": f"{_NO_PORT}$|\\n"},
}
_REST = r'[!-"$-~]*'  # What is printed in ASCII, but the space and the #.
_HTTP_SCHEMA = {
    "pattern": f"^(/{_REST}|[hH][tT][tT][pP]://{_HOST_SCHEMA}(:[0-9]{{1,5}})?([/?]{_REST})?)$",
    "not": {"pattern": f"^[^/]*//{_HOST_SCHEMA}{_NO_PORT}([/?]|$)|\\n"},
}
_NO_NULL = {"pattern": r"^[^\x00]*$"}


def memory_size(given: Union[int, str]) -> int:
    """Bytes: from a number of them, or from text such as `512MB`.

    kB, MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB powers of 1024, in capitals or
    not. Docker's and systemd's `512M`, which mean 1024 there, are not taken for either.
    """
    if isinstance(given, int):
        return given
    found = re.fullmatch(_SIZE, given, re.IGNORECASE)
    if found is None or found[2].lower() not in _UNITS:
        raise ValueError(f"{given!r} is not a size")
    size = int(Fraction(found[1]) * _UNITS[found[2].lower()])
    if size < 1:
        raise ValueError(f"{given!r} is less than one byte")
    return size


class HTTPTarget(NamedTuple):
    """What a health check asks for; without host and port at the address that is served."""

    host: Optional[str]
    port: Optional[int]
    path: str


def http_target(text: str) -> HTTPTarget:
    """Read a path (`/health`), or an http:// URL. An IPv6 address loses its brackets."""
    if not re.fullmatch("[!-~]*", text):
        raise ValueError("it has a character that has to be percent-encoded, such as a space")
    if re.match("https:", text, re.IGNORECASE):
        raise ValueError("health checks speak plain http, not https")
    if "#" in text:
        raise ValueError(f"{text!r} has a fragment (#), which is never sent")
    if text.startswith("/"):
        return HTTPTarget(None, None, text)
    if re.match("http://[^/?]*@", text, re.IGNORECASE):
        # Not to be printed.
        raise ValueError("it has a user name or a password, which would not be sent")
    found = re.fullmatch(_HTTP_URL, text, re.IGNORECASE)
    if found is None:
        raise ValueError(f"{text!r} is neither a path nor an http:// URL")
    path = found[3] if found[3].startswith("/") else f"/{found[3]}"
    return HTTPTarget(_host(found[1]), _port(found[2] or "80"), path)


def host_and_port(text: str) -> tuple[str, int]:
    """Read `host:port`, `[::1]:port` (which loses its brackets), or `:port` at 127.0.0.1."""
    found = re.fullmatch(_HOST_AND_PORT, text)
    if found is None:
        raise ValueError(f"{text!r} is not host:port")
    return _host(found[1]) or "127.0.0.1", _port(found[2])


def command_line(words: Sequence[str]) -> Sequence[str]:
    """Take the words of a command as they are, if a program can be started with them."""
    if not words[0]:
        raise ValueError("the name of the program is empty")
    if any("\0" in word for word in words):
        raise ValueError("it has a null character in it")
    return words


def _host(text: str) -> str:
    if not text.startswith("["):
        return text
    host = text[1:-1]
    try:
        IPv6Address(host)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    return host


def _port(digits: str) -> int:
    # As many digits as somebody likes to type are too many for int().
    port = int(digits[:6])
    if not 1 <= port <= 65535 or len(digits) > 5:
        raise ValueError(f"{digits} is not a port from 1 to 65535")
    return port


# ---- types: msgspec reads them at run time, on Python 3.9 too, hence no `X | Y` ----


def _form(words: str, **constraints: Any) -> msgspec.Meta:
    """Say what a value looks like, in the words of the reference."""
    return msgspec.Meta(extra={"form": words}, **constraints)


def _read_by(reader: Callable[[Any], object], hint: str, **schema: Any) -> msgspec.Meta:
    """Name what else reads a value, and what to do where it raises ValueError."""
    return msgspec.Meta(extra={"reader": reader, "hint": hint}, extra_json_schema=schema)


Text = Annotated[str, msgspec.Meta(extra_json_schema=_NO_NULL)]
DottedPath = Annotated[str, _form("dotted path")]
BackendName = Annotated[str, _form("short name, or dotted path")]
Modules = Annotated[list[str], _form("list of dotted modules")]
ProcessNames = Annotated[list[str], _form("list of names of processes")]
Scalar = Union[str, int, float, bool, None]
Arguments = Annotated[
    Union[str, list[str], dict[str, Union[Scalar, list[Union[str, int, float]]]]],
    _form("mapping, list of strings, or string"),
]
Environment = Annotated[
    dict[str, Text],
    _form(
        "mapping of strings to strings",
        extra_json_schema={"propertyNames": {"pattern": r"^[^=\x00]+$"}},
    ),
]
Signal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
Restart = Literal["never", "on-failure", "always"]
StartMethod = Literal["auto", "fork", "spawn"]
LogFormat = Literal["text", "json", "raw"]
# At most a week: poll(2) takes milliseconds as an int, which are 24 days.
WEEK = 7 * 24 * 3600
Seconds = Annotated[float, _form("seconds", gt=0, le=WEEK)]
SecondsOrZero = Annotated[float, _form("seconds, or 0", ge=0, le=WEEK)]
Count = Annotated[int, _form("whole number from 1 on", ge=1)]
Bytes = Annotated[int, _form("bytes, from 1 on", ge=1)]
HTTP = Annotated[
    str,
    _form("path or URL"),
    _read_by(
        http_target,
        "Write a path such as '/health', or a URL such as 'http://127.0.0.1:8000/health'.",
        **_HTTP_SCHEMA,
    ),
]
TCP = Annotated[
    str,
    _form("host:port"),
    _read_by(
        host_and_port,
        "Write host:port, such as '127.0.0.1:8000' or '[::1]:8000'.",
        **_HOST_AND_PORT_SCHEMA,
    ),
]
CommandLine = Annotated[
    list[Text],
    _form("list of strings", min_length=1),
    _read_by(
        command_line,
        "Write the program and its arguments, such as ['pg_isready', '-q'].",
        prefixItems=[{"type": "string", "minLength": 1, **_NO_NULL}],
    ),
]
SizeInWords = Annotated[
    str,
    _read_by(
        memory_size,
        "Write a number of bytes, or a size such as '512MB' or '1.5GiB'.",
        **_SIZE_SCHEMA,
    ),
]
Size = Annotated[Union[Count, SizeInWords], _form("bytes, or a size")]


# ---- the settings: keys are the names of the fields in capitals ----
#
# Below each field is what it means: plain sentences, without mark-up and for people who have never
# seen this file. They cost nothing at the start, because nobody reads them then.


class StartLimit(
    msgspec.Struct, frozen=True, kw_only=True, rename="upper", forbid_unknown_fields=True
):
    """More starts than BURST within INTERVAL seconds are too many."""

    burst: Count = 5
    """So many starts of an instance are allowed within INTERVAL."""

    interval: Seconds = 60.0
    """The time in which starts are counted."""


class Backoff(
    msgspec.Struct, frozen=True, kw_only=True, rename="upper", forbid_unknown_fields=True
):
    """The pause before a restart, in seconds: it doubles from INITIAL up to MAX."""

    initial: SecondsOrZero = 0.5
    """The first pause; also the one after a run that was ready for the INTERVAL of START_LIMIT."""

    max: SecondsOrZero = 30.0
    """No pause is longer. It is not below INITIAL."""


PROBES = ("HTTP", "TCP", "COMMAND")


class HealthCheck(
    msgspec.Struct, frozen=True, kw_only=True, rename="upper", forbid_unknown_fields=True
):
    """How and when a running instance is probed: by exactly one of HTTP, TCP and COMMAND."""

    http: Optional[HTTP] = None
    """Healthy if the answer has a status from 200 to 399. A path such as "/health" is asked for at
    the first host and port that the process serves, at 127.0.0.1 if it serves all; a URL such as
    "http://127.0.0.1:8000/health" at its own. No https."""

    tcp: Optional[TCP] = None
    """Healthy if a connection to it succeeds: "127.0.0.1:8000", "[::1]:8000", or ":8000" at
    127.0.0.1."""

    command: Optional[CommandLine] = None
    """A program and its arguments: healthy if it exits with 0."""

    interval: Seconds = 10.0
    """The time between two probes."""

    timeout: Seconds = 3.0
    """A probe that takes longer has failed."""

    retries: Count = 3
    """So many failures in a row make it unhealthy."""

    start_period: SecondsOrZero = 0.0
    """Failures so soon after the start do not count, unless a probe has succeeded before."""


# A oneshot is done once it exits with 0, and has none of these.
FOR_SERVICES = ("READY_TIMEOUT", "HEALTHCHECK", "WATCHDOG")


class ProcessSettings(
    msgspec.Struct, frozen=True, kw_only=True, rename="upper", forbid_unknown_fields=True
):
    """One entry of PRODUCTION_PROCESSES; None where PRODUCTION_SUPERVISOR has the default."""

    backend: BackendName
    """What runs it: one of the built-in backends, one that a package brings, or a backend of your
    own."""

    args: Arguments = msgspec.field(default_factory=dict)
    """The software's own command-line options."""

    app: Optional[DottedPath] = None
    """The Celery app, as behind "celery -A"; other backends ignore it."""

    env: Environment = msgspec.field(default_factory=dict)
    """Added to the process's environment."""

    replicas: Count = 1
    """How many instances a supervisor runs."""

    type: Literal["service", "oneshot"] = "service"
    """A service is meant to run for ever; a oneshot to finish with 0, such as "migrate"."""

    after: ProcessNames = msgspec.field(default_factory=list)
    """Start once these are ready (services) or have finished with 0 (oneshots), and stop before
    them."""

    restart: Optional[Restart] = None
    """What follows when it ends unasked."""

    start_limit: Optional[StartLimit] = None
    """How many starts are too many."""

    backoff: Optional[Backoff] = None
    """How long the pause before a restart is."""

    stop_signal: Optional[Signal] = None
    """Asks the process to stop; without it, the backend's own signal does."""

    stop_timeout: Optional[Seconds] = None
    """How long it may take to stop before SIGKILL."""

    ready_timeout: Optional[Seconds] = None
    """A service that is not ready by then has failed to start."""

    healthcheck: Optional[HealthCheck] = None
    """Probes it while it runs."""

    watchdog: Optional[Seconds] = None
    """For software that sends "WATCHDOG=1": silence for longer counts as unhealthy."""

    max_memory: Optional[Size] = None
    """Above it (all processes of an instance together) the instance is stopped gracefully and
    started anew."""

    start_method: Optional[StartMethod] = None
    """Either "fork" from the preloaded supervisor, or "spawn" a fresh interpreter; "auto" forks,
    unless the preload left threads running."""


class EffectiveSettings(ProcessSettings, frozen=True, kw_only=True, rename="upper"):
    """One entry together with the defaults of PRODUCTION_SUPERVISOR, and sizes in bytes."""

    restart: Restart
    start_limit: StartLimit
    backoff: Backoff
    stop_timeout: Seconds
    ready_timeout: Seconds
    max_memory: Optional[Count]
    start_method: StartMethod


class SupervisorSettings(
    msgspec.Struct, frozen=True, kw_only=True, rename="upper", forbid_unknown_fields=True
):
    """PRODUCTION_SUPERVISOR: for all processes, and for the supervisor itself."""

    restart: Restart = "never"
    """The RESTART of processes that do not set their own."""

    start_limit: StartLimit = StartLimit()
    """The START_LIMIT of processes that do not set their own."""

    backoff: Backoff = Backoff()
    """The BACKOFF of processes that do not set their own."""

    stop_timeout: Seconds = 25.0
    """The STOP_TIMEOUT of processes that do not set their own. The default is below Kubernetes' 30
    seconds, so that the supervisor is still there to say who hung."""

    ready_timeout: Seconds = 60.0
    """The READY_TIMEOUT of services that do not set their own."""

    max_memory: Optional[Size] = None
    """The MAX_MEMORY of services that do not set their own."""

    start_method: StartMethod = "auto"
    """The START_METHOD of processes that do not set their own."""

    log_format: LogFormat = "text"
    """How lines are written: with a prefix, as JSON objects, or as they are."""

    timestamps: bool = True
    """Each line has the time."""

    color: Literal["auto", "always", "never"] = "auto"
    """Colours in front of the lines; "auto": on a terminal, or as NO_COLOR and FORCE_COLOR say."""

    stderr: Literal["merge", "separate"] = "merge"
    """With "merge", stderr of a process comes out of the supervisor's stdout, in exact order with
    its stdout; with "separate", out of the supervisor's stderr."""

    max_line: Bytes = MAX_LINE
    """A longer line is cut into pieces of this size, each a line of its own."""

    preload: Modules = msgspec.field(default_factory=list)
    """Imported in the supervisor before it forks, beside what the backends import."""
