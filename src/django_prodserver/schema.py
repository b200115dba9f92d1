"""What the settings can say: their keys, types and defaults, and the texts that stand for values.

Reading them, and telling everything that is wrong with them, is `conf`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from ipaddress import IPv6Address
from typing import Annotated, Literal, NamedTuple, Optional, Union

import msgspec

from .supervisor.lines import MAX_LINE

# ---- texts that stand for values: each reader raises ValueError with what is wrong ----

_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS.update({"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "b": 1, "": 1})
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([a-z]*)", re.IGNORECASE)
_HOST = r"\[[^\[\]]*\]|[A-Za-z0-9._-]+"
_HOST_AND_PORT = re.compile(rf"({_HOST}|):([0-9]+)")
_HTTP_URL = re.compile(rf"http://({_HOST})(?::([0-9]+))?((?:[/?].*)?)", re.IGNORECASE)


def memory_size(given: Union[int, str]) -> int:
    """Bytes: from a number of them, or from text such as `512MB`.

    kB, MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB powers of 1024, in capitals or
    not. Docker's and systemd's `512M`, which mean 1024 there, are not taken for either.
    """
    if isinstance(given, int):
        return given
    found = _SIZE.fullmatch(given)
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
    found = _HTTP_URL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither a path nor an http:// URL")
    path = found[3] if found[3].startswith("/") else f"/{found[3]}"
    return HTTPTarget(_host(found[1]), _port(found[2] or "80"), path)


def host_and_port(text: str) -> tuple[str, int]:
    """Read `host:port`, `[::1]:port` (which loses its brackets), or `:port` at 127.0.0.1."""
    found = _HOST_AND_PORT.fullmatch(text)
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

Scalar = Union[str, int, float, bool, None]
Arguments = Union[str, list[str], dict[str, Union[Scalar, list[Union[str, int, float]]]]]
Signal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
Restart = Literal["never", "on-failure", "always"]
StartMethod = Literal["auto", "fork", "spawn"]
LogFormat = Literal["text", "json", "raw"]
# At most a week: poll(2) takes milliseconds as an int, which are 24 days.
WEEK = 7 * 24 * 3600
Seconds = Annotated[float, msgspec.Meta(gt=0, le=WEEK)]
SecondsOrZero = Annotated[float, msgspec.Meta(ge=0, le=WEEK)]
Count = Annotated[int, msgspec.Meta(ge=1)]

# The description is the hint where the reader, which msgspec does not know, raises ValueError.
HTTP = Annotated[
    str,
    msgspec.Meta(
        description="Write a path such as '/health', or a URL such as "
        "'http://127.0.0.1:8000/health'.",
        extra={"reader": http_target},
    ),
]
TCP = Annotated[
    str,
    msgspec.Meta(
        description="Write host:port, such as '127.0.0.1:8000' or '[::1]:8000'.",
        extra={"reader": host_and_port},
    ),
]
CommandLine = Annotated[
    list[str],
    msgspec.Meta(
        min_length=1,
        description="Write the program and its arguments, such as ['pg_isready', '-q'].",
        extra={"reader": command_line},
    ),
]
Size = Union[
    Count,
    Annotated[
        str,
        msgspec.Meta(
            description="Write a number of bytes, or a size such as '512MB' or '1.5GiB'.",
            extra={"reader": memory_size},
        ),
    ],
]


# ---- the settings: keys are the names of the fields in capitals ----


class StartLimit(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """More starts than BURST within INTERVAL seconds are too many."""

    burst: Count = 5
    interval: Seconds = 60.0


class Backoff(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """The pause before a restart, in seconds: it doubles from INITIAL up to MAX."""

    initial: SecondsOrZero = 0.5
    max: SecondsOrZero = 30.0


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """How and when a running instance is probed; exactly one of the first three is given."""

    http: Optional[HTTP] = None
    tcp: Optional[TCP] = None
    command: Optional[CommandLine] = None
    interval: Seconds = 10.0
    timeout: Seconds = 3.0
    retries: Count = 3
    start_period: SecondsOrZero = 0.0


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """One entry of PRODUCTION_PROCESSES; None where PRODUCTION_SUPERVISOR has the default."""

    backend: str
    args: Arguments = msgspec.field(default_factory=dict)
    app: Optional[str] = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    replicas: Count = 1
    type: Literal["service", "oneshot"] = "service"
    after: list[str] = msgspec.field(default_factory=list)
    restart: Optional[Restart] = None
    start_limit: Optional[StartLimit] = None
    backoff: Optional[Backoff] = None
    stop_signal: Optional[Signal] = None
    stop_timeout: Optional[Seconds] = None
    ready_timeout: Optional[Seconds] = None
    healthcheck: Optional[HealthCheck] = None
    watchdog: Optional[Seconds] = None
    max_memory: Optional[Size] = None
    start_method: Optional[StartMethod] = None


class EffectiveSettings(ProcessSettings, frozen=True, kw_only=True, rename="upper"):
    """One entry together with the defaults of PRODUCTION_SUPERVISOR, and sizes in bytes."""

    restart: Restart
    start_limit: StartLimit
    backoff: Backoff
    stop_timeout: Seconds
    ready_timeout: Seconds
    max_memory: Optional[Count]
    start_method: StartMethod


class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True, rename="upper"):
    """PRODUCTION_SUPERVISOR: for all processes, and for the supervisor itself."""

    restart: Restart = "never"
    start_limit: StartLimit = StartLimit()
    backoff: Backoff = Backoff()
    # Below Kubernetes' 30 s, so that the supervisor is still there to say who hung.
    stop_timeout: Seconds = 25.0
    ready_timeout: Seconds = 60.0
    max_memory: Optional[Size] = None
    start_method: StartMethod = "auto"
    log_format: LogFormat = "text"
    timestamps: bool = True
    color: Literal["auto", "always", "never"] = "auto"
    stderr: Literal["merge", "separate"] = "merge"
    max_line: Count = MAX_LINE
    preload: list[str] = msgspec.field(default_factory=list)
