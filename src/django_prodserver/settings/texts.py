"""Parse values that are written as strings: sizes, addresses, URLs and commands.

Each form has a reader, which returns the value or raises ValueError. The message of the error is
a part of a sentence; the caller adds the place and a hint.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import NamedTuple, Optional, Union

# Patterns without a leading underscore are also in the JSON Schema, so they use only syntax that
# every regular expression engine has. They are compiled on first use: most starts need none.
SIZE = r"([0-9]{1,15})(?:\.([0-9]{1,15}))? ?((?:[kKmMgGtT][iI]?)?[bB])?"
_HOST = r"\[[^\[\]]*\]|[A-Za-z0-9._-]+"
HOST_AND_PORT = rf"({_HOST}|):([0-9]+)"
_UNIX = "unix:"
TCP_ADDRESS = rf"({HOST_AND_PORT}|{_UNIX}.+)"
PATH_OR_URL = rf"((/|[hH][tT][tT][pP][sS]?://)[!-~]*|{_UNIX}.+)"
# A path such as /prod, or nothing.
BASE_PATH = r"(/[^/?#%\s]+)*"
CRON = r"\S+( +\S+){4}"
DURATION = r"([0-9]{1,9}) ?([smhd])"
METRICS = ("cpu", "memory", "queue", "queue-age", "busy")
METRIC = rf"({'|'.join(METRICS)}|[^\s.]+(\.[^\s.]+)+)"
LOCK = r"(database|/[^\x00]*[^/\x00])"
OCTAL = r"(?:0[oO]?)?([0-7]{1,3})"
ACCOUNT = r"[^:\s\x00-\x1f\x7f]+"
_URL = rf"((?i:https?))://({_HOST})(?::([0-9]+))?((?:[/?].*)?)"
# Regular expression syntaxes differ, so the JSON Schema accepts any text that is not empty.
REGULAR_EXPRESSION = r"[\s\S]+"

# A host and a port, or the path of a Unix socket.
Place = Union[tuple[str, int], str]

# The longest path of a Unix socket, in bytes: sun_path of unix(7) without its last NUL.
_LONGEST_PATH = 107

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_YEAR = 366 * 24 * 3600
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS.update({"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "b": 1, "": 1})


def memory_size(given: Union[int, str]) -> int:
    """Read a number of bytes, or a text such as `512MB`; returns bytes.

    kB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB are powers of 1024; case does not
    matter. `512M` is refused, because Docker and systemd mean powers of 1024 by it.
    """
    if isinstance(given, int):
        return given
    found = re.fullmatch(SIZE, given)
    if found is None:
        raise ValueError(f"{given!r} is not a size")
    decimals = found[2] or ""
    scale: int = 10 ** len(decimals)
    size = int(found[1] + decimals) * _UNITS[(found[3] or "").lower()] // scale
    if size < 1:
        raise ValueError(f"{given!r} is less than one byte")
    return size


def cron_expression(text: str) -> str:
    """Check a cron expression of five fields, such as `0 3 * * *`."""
    from cronsim import CronSim, CronSimError

    if len(text.split()) != 5:
        raise ValueError(f"{text!r} does not have five fields")
    from datetime import datetime

    try:
        CronSim(text, datetime(2026, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{text!r} is not a cron expression: {str(error).lower()}") from None
    return text


def duration(given: Union[float, str]) -> float:
    """Read a number of seconds, or a text such as `90s`, `15m`, `6h` or `1d`; returns seconds."""
    if not isinstance(given, str):
        return float(given)
    found = re.fullmatch(DURATION, given)
    if found is None:
        raise ValueError(f"{given!r} is not a duration")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if not 1 <= seconds <= _YEAR:
        raise ValueError(f"{given!r} is not between a second and a year")
    return float(seconds)


def metric(text: str) -> str:
    """Read the METRIC of AUTOSCALE: one of METRICS, or the dotted path of a function."""
    if re.fullmatch(METRIC, text) is None:
        raise ValueError(f"{text!r} is neither a known metric nor a dotted path")
    return text


def target(metric: str, given: Union[float, str]) -> float:
    """Read the TARGET of AUTOSCALE: how much of the metric per instance, a positive number."""
    if metric == "memory":
        if isinstance(given, float) and not given.is_integer():
            raise ValueError(f"{given!r} is not a number of bytes")
        return float(memory_size(given if isinstance(given, str) else int(given)))
    if metric == "queue-age":
        return duration(given)
    if isinstance(given, str):
        raise ValueError(f"{given!r} is not a number")
    return float(given)


def lock(text: str) -> str:
    """Read "database", or the absolute path of a file."""
    if not re.fullmatch(LOCK, text):
        raise ValueError(f"{text!r} is neither 'database' nor an absolute path")
    return text


def base_path(text: str) -> str:
    """Read a path prefix, such as `/prod`; may be empty."""
    if re.fullmatch(BASE_PATH, text) is None:
        raise ValueError(f"{text!r} is not a path that begins with / and does not end with one")
    return text


def octal_mask(text: str) -> int:
    """Read file permissions in octal digits, such as `0027`."""
    found = re.fullmatch(OCTAL, text)
    if found is None:
        raise ValueError(f"{text!r} is not an octal mask from '0000' to '0777'")
    return int(found[1], 8)


def octal_hint(given: object) -> str:
    """How to write the mask. An int is ambiguous: 22 may be meant as "0022", but equals 0o26."""
    meant = {}
    if type(given) is int and 0 <= given <= 777:
        if re.fullmatch("[0-7]+", str(given)):
            meant[f"{given:04d}"] = str(given)
        if given <= 0o777:
            meant[f"{given:04o}"] = f"0o{given:o}"
    if not meant:
        return "Write octal digits as text, such as '0022' or '0027'."
    choices = " or ".join(f"'{text}' for {number}" for text, number in meant.items())
    return f"Write octal digits as text: {choices}."


# The highest id of a user or group: the next one, -1, means "unchanged" in setresuid(2) and
# chown(2).
LAST_ID = 2**32 - 2


def control(path: str) -> str:
    """Check the path of the control socket: absolute, so that prodctl finds it from any folder."""
    if not path.startswith("/") or "\0" in path or path.endswith("/"):
        raise ValueError(f"{path!r} is not the absolute path of a file")
    return path


def account_name(text: str) -> Union[str, int]:
    """Read the name of a user or group. Digits are an id, and are returned as an int."""
    if not re.fullmatch(ACCOUNT, text):
        raise ValueError(f"{text!r} is not one name or id")
    if not text.isdecimal():
        return text
    if len(text) > 10 or int(text) > LAST_ID:
        raise ValueError(f"{text} is not an id from 0 to {LAST_ID}")
    return int(text)


def folder(text: str) -> str:
    """Return the path unchanged; the system accepts neither an empty path nor a NUL."""
    if not text:
        raise ValueError("the path is empty")
    if "\0" in text:
        raise ValueError("it contains a null character")
    return text


class HealthURL(NamedTuple):
    """What a probe requests, and where; `at` is None if only a path was given."""

    at: Optional[Place]
    path: str
    tls: bool = False


def path_or_url(text: str) -> HealthURL:
    """Read a path (`/health`), a URL, or a Unix socket and a path (`unix:/run/app.sock:/health`).

    An IPv6 address loses its brackets.
    """
    socket: Optional[str] = None
    if text.startswith(_UNIX):
        socket, colon, rest = text[len(_UNIX) :].partition(":/")
        text = f"/{rest}" if colon else "/"
    if not re.fullmatch("[!-~]*", text):
        raise ValueError("it has a character that has to be percent-encoded, such as a space")
    if "#" in text:
        raise ValueError(f"{text!r} has a fragment (#), which is never sent")
    if socket is not None:
        return HealthURL(_unix_path(socket), text)
    if text.startswith("/"):
        return HealthURL(None, text)
    if re.match("(?i:https?)://[^/?]*@", text):
        # The message does not show the text, which may contain a password.
        raise ValueError("it has a user name or a password, which would not be sent")
    found = re.fullmatch(_URL, text)
    if found is None:
        raise ValueError(f"{text!r} is neither a path nor an http:// URL")
    path = found[4] if found[4].startswith("/") else f"/{found[4]}"
    tls = found[1].lower() == "https"
    return HealthURL((_host(found[2]), _port(found[3] or ("443" if tls else "80"))), path, tls)


def tcp_address(text: str) -> Place:
    """Read what `host_and_port` reads, or `unix:/run/app.sock`."""
    if text.startswith(_UNIX):
        return _unix_path(text[len(_UNIX) :])
    return host_and_port(text)


def host_and_port(text: str) -> tuple[str, int]:
    """Read `host:port`, `[::1]:port` (without its brackets), or `:port`, which is at 127.0.0.1."""
    found = re.fullmatch(HOST_AND_PORT, text)
    if found is None:
        raise ValueError(f"{text!r} is not host:port")
    return _host(found[1]) or "127.0.0.1", _port(found[2])


def regular_expression(text: str) -> str:
    """Return the text unchanged, if Python can compile it."""
    if not text:
        raise ValueError("it is empty, and would match the first line")
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def program_and_arguments(words: Sequence[str]) -> Sequence[str]:
    """Return the words unchanged; execve(2) accepts neither an empty program nor a NUL."""
    if not words[0]:
        raise ValueError("the name of the program is empty")
    if any("\0" in word for word in words):
        raise ValueError("it contains a null character")
    return words


def _unix_path(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("it does not name the path of a Unix socket")
    size = len(os.fsencode(path))
    if size > _LONGEST_PATH:
        raise ValueError(f"its path has {size} bytes; that of a Unix socket has up to 107")
    return path


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
    # Check the length before int(), which raises its own error for thousands of digits.
    if len(digits) > 5 or not 1 <= int(digits) <= 65535:
        raise ValueError(f"{digits} is not a port from 1 to 65535")
    return int(digits)
