"""What the settings can say: keys, types, defaults and meanings.

Everything about a key comes from here: what is wrong with its value (`convert`), the JSON Schema
(`json_schema`), and what tools/settings_reference.py writes: `typing` and the tables of the docs.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Callable, Literal, Optional, Union

import msgspec
from msgspec import Meta

from django_prodserver.logs.lines import MAX_LINE

from . import texts
from .names import PROCESS_NAME

# ---- types: msgspec evaluates annotations, and Python 3.9 cannot evaluate `X | Y` ----


def _form(words: str, write: str = "", **constraints: Any) -> Meta:
    """Say what a value looks like, in the words of the reference.

    `write` is what to write instead of a value of another type, or out of range.
    """
    extra = {"form": words, "hint": write} if write else {"form": words}
    return Meta(extra=extra, **constraints)


def _read_by(
    reader: Callable[[Any], object], hint: Union[str, Callable[[Any], str]], pattern: str = ""
) -> Meta:
    """Name the reader of a text; the hint says what to do where it raises ValueError.

    A hint that depends on the value is also given where that is not a text.

    The pattern is for the JSON Schema, and refuses nothing that the reader accepts.
    """
    schema = {"pattern": f"^{pattern}$"} if pattern else None
    return Meta(extra={"reader": reader, "hint": hint}, extra_json_schema=schema)


DottedPath = Annotated[
    str, _form("dotted path", "Write a dotted path, such as 'myproject.celery.app'.")
]
BackendName = Annotated[
    str,
    _form(
        "short name, or dotted path",
        "Write a name such as 'gunicorn', or the dotted path of a class.",
    ),
]
Modules = Annotated[
    list[str],
    _form("list of dotted modules", "Write a list of modules, such as ['myproject.models']."),
]
# In AFTER: every oneshot, except for those that come after the process itself.
ONESHOTS = "@oneshots"
ProcessNames = Annotated[
    list[
        Annotated[
            str, Meta(extra_json_schema={"pattern": f"^({ONESHOTS}|{PROCESS_NAME.pattern})$"})
        ]
    ],
    _form(
        'list of names of processes, or "@oneshots"', "Write a list of names, such as ['migrate']."
    ),
]
Folder = Annotated[
    str,
    _form("path"),
    _read_by(texts.folder, "Write the path of a folder, such as BASE_DIR / 'media'.", r"[^\x00]+"),
]
Id = Annotated[int, Meta(ge=0, le=texts.LAST_ID)]
AccountName = Annotated[
    str,
    _read_by(
        texts.account_name,
        "Write one name or id: the user as USER, the group as GROUP.",
        texts.ACCOUNT,
    ),
]
NameOrId = Annotated[Union[Id, AccountName], _form("name or id")]
OctalMask = Annotated[
    str, _form("octal digits"), _read_by(texts.octal_mask, texts.octal_hint, texts.OCTAL)
]
Scalar = Union[str, int, float, bool, None]
Arguments = Annotated[
    Union[str, list[str], dict[str, Union[Scalar, list[Union[str, int, float]]]]],
    _form(
        "mapping, list of strings, or string",
        "Write options as a mapping such as {'workers': 2}, or words as a list of strings.",
    ),
]
Environment = Annotated[
    dict[str, str],
    _form(
        "mapping of strings to strings",
        "Write strings only, such as {'PORT': '8000'}.",
        extra_json_schema={"propertyNames": {"pattern": "^[^=]+$"}},
    ),
]
Signal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
RestartPolicy = Literal["never", "on-failure", "always"]
StartMethod = Literal["auto", "fork", "spawn"]
LogFormat = Literal["text", "json", "raw"]
# The longest time: poll(2) takes an int of milliseconds, which ends after 24 days.
WEEK = 7 * 24 * 3600
Seconds = Annotated[
    float, _form("seconds", "Write a number of seconds above 0, at most a week.", gt=0, le=WEEK)
]
SecondsOrZero = Annotated[
    float, _form("seconds, or 0", "Write a number of seconds, or 0, at most a week.", ge=0, le=WEEK)
]
Count = Annotated[int, _form("whole number from 1 on", "Write a whole number, 1 or more.", ge=1)]
Bytes = Annotated[int, _form("bytes, from 1 on", "Write a whole number of bytes, 1 or more.", ge=1)]
CountOrZero = Annotated[int, _form("whole number", "Write a whole number, 0 or more.", ge=0)]
Verify = Annotated[
    Union[bool, Annotated[str, Meta(min_length=1)]],
    _form("bool, or path of a file", "Write True, False, or the path of a file."),
]
HTTP = Annotated[
    str,
    _form("path or URL"),
    _read_by(
        texts.path_or_url,
        "Write a path such as '/health', or a URL such as 'http://127.0.0.1:8000/health'.",
        texts.PATH_OR_URL,
    ),
]
TCP = Annotated[
    str,
    _form("host:port, or unix:path"),
    _read_by(
        texts.tcp_address,
        "Write host:port, such as '127.0.0.1:8000' or '[::1]:8000'.",
        texts.TCP_ADDRESS,
    ),
]
RegularExpression = Annotated[
    str,
    _form("regular expression"),
    _read_by(
        texts.regular_expression,
        "Write one of Python's, such as 'listening on port [0-9]+'.",
        texts.REGULAR_EXPRESSION,
    ),
]
ProgramAndArguments = Annotated[
    list[str],
    _form("list of strings", min_length=1),
    _read_by(
        texts.program_and_arguments,
        "Write the program and its arguments, such as ['pg_isready', '-q'].",
    ),
]
SIZE_HINT = "Write a number of bytes, or a size such as '512MB' or '1.5GiB'."
SizeText = Annotated[
    str,
    _read_by(
        texts.memory_size,
        SIZE_HINT,
        texts.SIZE,
    ),
]
Size = Annotated[Union[Count, SizeText], _form("bytes, or a size", SIZE_HINT)]


# ---- the settings: each key is the name of its field in capitals ----
#
# Docstrings and descriptions are shown to users: in the reference, in the types for editors and in
# the JSON Schema. They are sentences without mark-up.


def means(description: str) -> Meta:
    return Meta(description=description)


class Keys(msgspec.Struct, frozen=True, kw_only=True, rename="upper", forbid_unknown_fields=True):
    """A mapping in the settings."""


class StartLimit(Keys, frozen=True, kw_only=True):
    """More starts than BURST within INTERVAL seconds are too many."""

    burst: Annotated[Count, means("So many starts of an instance are allowed within INTERVAL.")] = 5
    interval: Annotated[Seconds, means("The time in which starts are counted.")] = 60.0


class Backoff(Keys, frozen=True, kw_only=True):
    """The pause before a restart, in seconds: it doubles from INITIAL up to MAX."""

    initial: Annotated[
        SecondsOrZero,
        means(
            "The first pause; also the one after a run that was ready for the INTERVAL of "
            "START_LIMIT."
        ),
    ] = 0.5
    max: Annotated[SecondsOrZero, means("No pause is longer. It is not below INITIAL.")] = 30.0


PROBES = ("HTTP", "TCP", "COMMAND")
# What tells that an instance is ready.
TELLS = (*PROBES, "LOG")


class ProbeSettings(Keys, frozen=True, kw_only=True):
    """How an instance is probed: what READY and HEALTHCHECK have in common."""

    http: Annotated[
        Optional[HTTP],
        means(
            'Succeeds if the answer has a status from 200 to 399. A path such as "/health" is '
            "asked for at the first host and port that the process serves, at 127.0.0.1 if it "
            "serves all, or at its Unix socket; over TLS if the process speaks that there. A URL "
            'such as "http://127.0.0.1:8000/health" or "https://127.0.0.1:8443/health" is asked '
            'for at its own address, and "unix:/run/app.sock:/health" at that socket.'
        ),
    ] = None
    tcp: Annotated[
        Optional[TCP],
        means(
            'Succeeds if a connection does: to "127.0.0.1:8000", "[::1]:8000", ":8000" at '
            '127.0.0.1, or "unix:/run/app.sock".'
        ),
    ] = None
    command: Annotated[
        Optional[ProgramAndArguments],
        means("A program and its arguments: succeeds if it exits with 0."),
    ] = None
    verify: Annotated[
        Verify,
        means(
            "Whether the certificate of a server that speaks TLS has to be valid: for the host of "
            "the URL, or else for the first name in ALLOWED_HOSTS. With a path, the file has the "
            "certificates of the authorities. As Kubernetes does, nothing is verified by default."
        ),
    ] = False
    timeout: Annotated[Seconds, means("A probe that takes longer has failed.")] = 3.0


class ReadySettings(ProbeSettings, frozen=True, kw_only=True):
    """What tells that an instance is ready: exactly one of HTTP, TCP, COMMAND and LOG."""

    log: Annotated[
        Optional[RegularExpression],
        means(
            "Ready once a line of its output, stdout or stderr, has this regular expression in "
            "it. The first 4096 bytes of a line are searched."
        ),
    ] = None


class HealthCheckSettings(ProbeSettings, frozen=True, kw_only=True):
    """How and when a running instance is probed: by exactly one of HTTP, TCP and COMMAND."""

    interval: Annotated[Seconds, means("The time between two probes.")] = 10.0
    retries: Annotated[Count, means("So many failures in a row make it unhealthy.")] = 3
    start_period: Annotated[
        SecondsOrZero,
        means(
            "Failures so soon after the start do not count, unless a probe has succeeded before."
        ),
    ] = 0.0


# A oneshot is done once it exits with 0, and has none of these.
FOR_SERVICES = ("READY", "READY_TIMEOUT", "HEALTHCHECK", "WATCHDOG")


class ProcessSettings(Keys, frozen=True, kw_only=True):
    """One entry of PRODUCTION_PROCESSES; None where PRODUCTION_SUPERVISOR has the default."""

    backend: Annotated[
        BackendName,
        means(
            "What runs it: one of the built-in backends, one that a package brings, or a backend "
            "of your own."
        ),
    ]
    args: Annotated[Arguments, means("The software's own command-line options.")] = {}
    app: Annotated[
        Optional[DottedPath],
        means('The Celery app, as behind "celery -A"; other backends ignore it.'),
    ] = None
    env: Annotated[Environment, means("Added to the process's environment.")] = {}
    cwd: Annotated[
        Optional[Folder],
        means(
            "The folder that it runs in, entered as its USER. A relative path begins at the "
            "folder in which the command was started."
        ),
    ] = None
    user: Annotated[
        Optional[NameOrId],
        means("The user that it runs as. Only root can change users."),
    ] = None
    group: Annotated[
        Optional[NameOrId],
        means("The group that it runs in, instead of the first one of its USER."),
    ] = None
    umask: Annotated[
        Optional[OctalMask],
        means('Permissions that the files it creates do not get, in octal, such as "0027".'),
    ] = None
    replicas: Annotated[Count, means("How many instances a supervisor runs.")] = 1
    type: Annotated[
        Literal["service", "oneshot"],
        means('A service is meant to run for ever; a oneshot to finish with 0, such as "migrate".'),
    ] = "service"
    enabled: Annotated[
        bool,
        means('False leaves it out of "prodserver --all"; named, it is started all the same.'),
    ] = True
    after: Annotated[
        ProcessNames,
        means(
            "Start once these are ready (services) or have finished with 0 (oneshots), and stop "
            'before them. "@oneshots" stands for every oneshot that does not come after this one.'
        ),
    ] = []
    restart: Annotated[Optional[RestartPolicy], means("What follows when it ends unasked.")] = None
    start_limit: Annotated[Optional[StartLimit], means("How many starts are too many.")] = None
    backoff: Annotated[Optional[Backoff], means("How long the pause before a restart is.")] = None
    stop_signal: Annotated[
        Optional[Signal],
        means("Asks the process to stop; without it, the backend's own signal does."),
    ] = None
    stop_timeout: Annotated[
        Optional[Seconds], means("How long it may take to stop before SIGKILL.")
    ] = None
    ready: Annotated[
        Optional[ReadySettings],
        means(
            "What tells that it is ready, where its software does not tell by itself. Without "
            "it, such a process counts as ready once it is started."
        ),
    ] = None
    ready_timeout: Annotated[
        Optional[Seconds],
        means("A service that is not ready by then has failed to start."),
    ] = None
    healthcheck: Annotated[Optional[HealthCheckSettings], means("Probes it while it runs.")] = None
    watchdog: Annotated[
        Optional[Seconds],
        means('For software that sends "WATCHDOG=1": silence for longer counts as unhealthy.'),
    ] = None
    max_memory: Annotated[
        Optional[Size],
        means(
            "Above it (all processes of an instance together; on Linux their PSS, to which a page "
            "that several share counts in part) the instance is stopped gracefully and started "
            "anew."
        ),
    ] = None
    start_method: Annotated[
        Optional[StartMethod],
        means(
            'Either "fork" from the preloaded supervisor, or "spawn" a fresh interpreter; "auto" '
            "forks, unless the preload left threads running."
        ),
    ] = None

    @property
    def disabled_by(self) -> str:
        """The key that leaves it out of `--all`, or "" where none does."""
        return "" if self.enabled and self.replicas else "ENABLED" if self.replicas else "REPLICAS"


class EffectiveSettings(ProcessSettings, frozen=True, kw_only=True):
    """One entry with the defaults of PRODUCTION_SUPERVISOR filled in; sizes are in bytes."""

    restart: RestartPolicy
    start_limit: StartLimit
    backoff: Backoff
    stop_timeout: Seconds
    ready_timeout: Seconds
    max_memory: Optional[Count]
    start_method: StartMethod

    @property
    def folder(self) -> Optional[str]:
        """Its CWD as an absolute path."""
        return None if self.cwd is None else os.path.abspath(self.cwd)


class SupervisorSettings(Keys, frozen=True, kw_only=True):
    """PRODUCTION_SUPERVISOR: for all processes, and for the supervisor itself."""

    restart: Annotated[
        RestartPolicy, means("The RESTART of processes that do not set their own.")
    ] = "never"
    start_limit: Annotated[
        StartLimit, means("The START_LIMIT of processes that do not set their own.")
    ] = StartLimit()
    backoff: Annotated[Backoff, means("The BACKOFF of processes that do not set their own.")] = (
        Backoff()
    )
    stop_timeout: Annotated[
        Seconds,
        means(
            "The STOP_TIMEOUT of processes that do not set their own. The default is below "
            "Kubernetes' 30 seconds, so that the supervisor is still there to say who hung."
        ),
    ] = 25.0
    ready_timeout: Annotated[
        Seconds, means("The READY_TIMEOUT of services that do not set their own.")
    ] = 60.0
    max_memory: Annotated[
        Optional[Size], means("The MAX_MEMORY of services that do not set their own.")
    ] = None
    start_method: Annotated[
        StartMethod, means("The START_METHOD of processes that do not set their own.")
    ] = "auto"
    cwd: Annotated[Optional[Folder], means("The CWD of processes that do not set their own.")] = (
        None
    )
    user: Annotated[
        Optional[NameOrId],
        means(
            "The USER of processes that do not set their own; the supervisor itself stays what it "
            "is."
        ),
    ] = None
    group: Annotated[
        Optional[NameOrId], means("The GROUP of processes that do not set their own.")
    ] = None
    umask: Annotated[
        Optional[OctalMask], means("The UMASK of processes that do not set their own.")
    ] = None
    log_format: Annotated[
        LogFormat,
        means("How lines are written: with a prefix, as JSON objects, or as they are."),
    ] = "text"
    timestamps: Annotated[bool, means("Each line has the time.")] = True
    color: Annotated[
        Literal["auto", "always", "never"],
        means(
            'Colours in front of the lines; "auto": on a terminal, or as NO_COLOR and FORCE_COLOR '
            "say."
        ),
    ] = "auto"
    stderr: Annotated[
        Literal["merge", "separate"],
        means(
            'With "merge", stderr of a process comes out of the supervisor\'s stdout, in exact '
            'order with its stdout; with "separate", out of the supervisor\'s stderr.'
        ),
    ] = "merge"
    max_line: Annotated[
        Bytes,
        means("A longer line is cut into pieces of this size, each a line of its own."),
    ] = MAX_LINE
    preload: Annotated[
        Modules,
        means("Imported in the supervisor before it forks, beside what the backends import."),
    ] = []
