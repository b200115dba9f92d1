"""The settings schema: keys, types, defaults and descriptions.

This is the only definition of a key. `convert` validates values against it, `json_schema` builds
the JSON Schema from it, and tools/settings_reference.py generates `typing` and the tables in the
docs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Callable, Literal, Optional, Union

import msgspec
from msgspec import Meta

from django_prodserver.logs.lines import MAX_LINE

from . import texts
from .names import PROCESS_NAME

# ---- types: msgspec evaluates annotations, and Python 3.9 cannot evaluate `X | Y` ----


def _form(words: str, write: str = "", **constraints: Any) -> Meta:
    """Describe the form of a value, as the reference shows it.

    `write` is the hint for a value of the wrong type or out of range.
    """
    extra = {"form": words, "hint": write} if write else {"form": words}
    return Meta(extra=extra, **constraints)


def _read_by(
    reader: Callable[[Any], object], hint: Union[str, Callable[[Any], str]], pattern: str = ""
) -> Meta:
    """Parse a string with `reader`; `hint` is shown if that raises ValueError.

    A callable hint gets the value, and is also used if the value is not a string.

    The pattern is for the JSON Schema; it must accept everything that the reader accepts.
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
Handlers = Annotated[
    list[str],
    _form(
        "list of dotted paths", "Write a list of functions, such as ['myproject.alerts.on_event']."
    ),
]
# In AFTER: every oneshot that does not itself come after this process.
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
CronExpression = Annotated[
    str,
    _form("cron expression"),
    _read_by(
        texts.cron_expression,
        "Write minute, hour, day of the month, month and day of the week, such as '30 3 * * *'.",
        texts.CRON,
    ),
]
DurationText = Annotated[
    str,
    _read_by(
        texts.duration,
        "Write a number with s, m, h or d, such as '15m'.",
        texts.DURATION,
    ),
]
Duration = Annotated[
    Union[Annotated[float, Meta(ge=1, le=366 * 24 * 3600)], DurationText],
    _form("seconds, or a duration", "Write seconds, or a duration such as '15m' or '1d'."),
]
MetricName = Annotated[
    str,
    _form('"cpu", "memory", "queue", "queue-age", "busy", or dotted path'),
    _read_by(
        texts.metric,
        f"Write {', '.join(map(repr, texts.METRICS))}, or the path of a function, such as "
        "'shop.load.waiting'.",
        texts.METRIC,
    ),
]
Target = Annotated[
    Union[Annotated[float, Meta(gt=0)], Annotated[str, Meta(min_length=1)]],
    _form("number, size or duration", "Write a positive number."),
]
# The value of LOCK that means a lock in the default database.
DATABASE = "database"
Lock = Annotated[
    str,
    _form('"database", or path'),
    _read_by(
        texts.lock,
        "Write 'database', or the path of a file such as '/srv/mysite/migrate.lock'.",
        texts.LOCK,
    ),
]
ControlPath = Annotated[
    str,
    _form("path"),
    _read_by(
        texts.control,
        "Write True, False, or a path such as '/run/mysite/control.sock'.",
        r"/.*[^/]",
    ),
]
MonitorAddress = Annotated[
    str,
    _form("host:port"),
    _read_by(
        texts.host_and_port,
        "Write host:port, such as '127.0.0.1:9180'.",
        texts.HOST_AND_PORT,
    ),
]
BasePath = Annotated[
    str,
    _form("path"),
    _read_by(texts.base_path, "Write a path such as '/prod', or ''.", texts.BASE_PATH),
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
Type = Literal["service", "oneshot"]
Sockets = Literal["held", "own"]
UpdateOrder = Literal["auto", "start-first", "stop-first"]
LogFormat = Literal["text", "json", "raw"]
# The longest time: poll(2) takes milliseconds as an int, which overflows after 24 days.
WEEK = 7 * 24 * 3600
Seconds = Annotated[
    float, _form("seconds", "Write a positive number of seconds, at most a week.", gt=0, le=WEEK)
]
SecondsOrZero = Annotated[
    float, _form("seconds, or 0", "Write a number of seconds, or 0, at most a week.", ge=0, le=WEEK)
]
Count = Annotated[int, _form("positive integer", "Write a positive integer.", ge=1)]
Bytes = Annotated[int, _form("positive number of bytes", "Write a positive number of bytes.", ge=1)]
CountOrZero = Annotated[int, _form("integer, 0 or more", "Write 0 or a positive integer.", ge=0)]
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
    """How many starts are allowed within INTERVAL seconds before the supervisor gives up."""

    burst: Annotated[
        Count,
        means("Starts of an instance allowed within INTERVAL before the supervisor gives up."),
    ] = 5
    interval: Annotated[
        Seconds, means("The period, in seconds, over which starts are counted.")
    ] = 60.0


class Backoff(Keys, frozen=True, kw_only=True):
    """The pause before a restart, in seconds: it doubles from INITIAL up to MAX."""

    initial: Annotated[
        SecondsOrZero,
        means(
            "The first pause. A run that was ready for the INTERVAL of START_LIMIT resets the "
            "pause to it."
        ),
    ] = 0.5
    max: Annotated[SecondsOrZero, means("The longest pause; at least INITIAL.")] = 30.0


PROBES = ("HTTP", "TCP", "COMMAND")
# The keys of READY, which tell when an instance is ready.
READY_KEYS = (*PROBES, "LOG")


class ProbeSettings(Keys, frozen=True, kw_only=True):
    """How an instance is probed: what READY and HEALTHCHECK have in common."""

    http: Annotated[
        Optional[HTTP],
        means(
            'Succeeds if the response has a status from 200 to 399. A path such as "/health" is '
            "requested from the first address that the process listens on: from 127.0.0.1 if it "
            "listens on all, from its Unix socket if it has one, and over TLS if the process "
            'speaks TLS there. A URL such as "http://127.0.0.1:8000/health" or '
            '"https://127.0.0.1:8443/health" is requested from its own address, and '
            '"unix:/run/app.sock:/health" from that socket.'
        ),
    ] = None
    tcp: Annotated[
        Optional[TCP],
        means(
            'Succeeds if a connection can be made: to "127.0.0.1:8000", "[::1]:8000", ":8000" (on '
            '127.0.0.1) or "unix:/run/app.sock".'
        ),
    ] = None
    command: Annotated[
        Optional[ProgramAndArguments],
        means("A program and its arguments. Succeeds if the program exits with 0."),
    ] = None
    verify: Annotated[
        Verify,
        means(
            "Whether to verify the certificate of a server that speaks TLS: for the host of the "
            "URL, or for the first name in ALLOWED_HOSTS if HTTP is a path. A file path names the "
            "CA certificates to trust. By default nothing is verified, as in Kubernetes."
        ),
    ] = False
    timeout: Annotated[
        Seconds, means("How long a probe may take, in seconds, before it counts as failed.")
    ] = 3.0


class ReadySettings(ProbeSettings, frozen=True, kw_only=True):
    """What tells that an instance is ready: exactly one of HTTP, TCP, COMMAND and LOG."""

    log: Annotated[
        Optional[RegularExpression],
        means(
            "Ready once this regular expression matches in a line of its output (stdout or "
            "stderr). Only the first 4096 bytes of a line are searched."
        ),
    ] = None


class HealthCheckSettings(ProbeSettings, frozen=True, kw_only=True):
    """How and when a running instance is probed: by exactly one of HTTP, TCP and COMMAND."""

    interval: Annotated[Seconds, means("Seconds between two probes.")] = 10.0
    retries: Annotated[Count, means("Consecutive failures before the instance is unhealthy.")] = 3
    start_period: Annotated[
        SecondsOrZero,
        means(
            "Failures in the first seconds after the start do not count, unless a probe has "
            "already succeeded."
        ),
    ] = 0.0


class AutoscaleSettings(Keys, frozen=True, kw_only=True):
    """How many instances of a process are up: as many as its load asks for, from MIN to MAX."""

    metric: Annotated[
        MetricName,
        means(
            "The load to measure. cpu: processor cores in use. memory: bytes, as for MAX_MEMORY. "
            "queue: tasks that are waiting or running. queue-age: how long the oldest waiting task "
            "has waited. busy: requests being answered. Or the dotted path of a function that "
            "returns the total load of all instances, as a number."
        ),
    ]
    target: Annotated[
        Target,
        means(
            "How much of it each instance should have: cores such as 0.7, a size such as "
            '"400MB", or a number of tasks or requests; for queue-age a duration such as "30s".'
        ),
    ]
    min: Annotated[
        CountOrZero,
        means(
            "The fewest instances. 0 is allowed for loads that can be measured while no instance "
            "is running. If MIN equals MAX, the load is measured but changes nothing."
        ),
    ] = 1
    max: Annotated[Count, means("The most instances.")]
    interval: Annotated[Seconds, means("Seconds between two measurements.")] = 15.0
    stabilization: Annotated[
        SecondsOrZero,
        means(
            "Seconds for which fewer instances must have been enough before any is stopped. New "
            "instances are started without this delay."
        ),
    ] = 300.0


# Defaults of some backends that differ from those below. They are here because settings are read
# before any backend is imported.
_OF_BACKENDS: Mapping[str, Mapping[str, Any]] = {
    "wait_for.WaitFor": {"type": "oneshot"},
    "migrate.Migrate": {"type": "oneshot", "lock": DATABASE},
}
# The same by short name and class path.
OF_BACKENDS = {
    name: fields
    for path, fields in _OF_BACKENDS.items()
    for name in (path.partition(".")[0].replace("_", "-"), f"django_prodserver.backends.{path}")
}
# Keys that a oneshot cannot have, because it is done once it exits with 0.
FOR_SERVICES = ("READY", "READY_TIMEOUT", "HEALTHCHECK", "WATCHDOG", "AUTOSCALE")


class ProcessSettings(Keys, frozen=True, kw_only=True):
    """One entry of PRODUCTION_PROCESSES; None where PRODUCTION_SUPERVISOR has the default."""

    backend: Annotated[
        BackendName,
        means(
            "The backend that runs it: one of the built-in backends, one from a package, or a "
            "backend of your own."
        ),
    ]
    args: Annotated[Arguments, means("The software's own command-line options.")] = {}
    app: Annotated[
        Optional[DottedPath],
        means('The Celery app, as in "celery -A"; other backends ignore it.'),
    ] = None
    env: Annotated[Environment, means("Added to the process's environment.")] = {}
    cwd: Annotated[
        Optional[Folder],
        means(
            "The working directory, entered as its USER. A relative path starts from the "
            "directory in which the command was run."
        ),
    ] = None
    user: Annotated[
        Optional[NameOrId],
        means("The user it runs as. Only root can change users."),
    ] = None
    group: Annotated[
        Optional[NameOrId],
        means("The group it runs as, instead of the primary group of its USER."),
    ] = None
    umask: Annotated[
        Optional[OctalMask],
        means('The permissions to remove from new files, in octal, such as "0027".'),
    ] = None
    replicas: Annotated[Count, means("How many instances a supervisor runs.")] = 1
    autoscale: Annotated[
        Optional[AutoscaleSettings],
        means("Lets the load decide how many instances run; REPLICAS is the number at the start."),
    ] = None
    type: Annotated[
        Type,
        means(
            "A service is meant to run until it is stopped. A oneshot is meant to finish with exit "
            'status 0. The backends "migrate" and "wait-for" are oneshots by default; all '
            "others are services."
        ),
    ] = "service"
    enabled: Annotated[
        bool,
        means('False leaves it out of "prodserver --all". It still starts if you name it.'),
    ] = True
    refresh: Annotated[
        bool,
        means(
            "For a oneshot that creates something the settings or imports read, such as a secret "
            "key. The processes after it are loaded by a fresh interpreter, which reads the "
            "settings again."
        ),
    ] = False
    after: Annotated[
        ProcessNames,
        means(
            "Start once these are ready (services) or have finished with 0 (oneshots), and stop "
            'before them. "@oneshots" means every oneshot that does not come after this process.'
        ),
    ] = []
    lock: Annotated[
        Optional[Lock],
        means(
            "For a oneshot that should run only once, however many supervisors start it: one of "
            "them gets the lock and runs it; the others wait until it has finished, and continue "
            'without running it. "database" is a lock in the default database; a path is a file '
            'that all of them can access. The backend "migrate" uses "database" by default.'
        ),
    ] = None
    schedule: Annotated[
        Optional[CronExpression],
        means(
            "For a oneshot that runs again and again: minute, hour, day of the month, month and "
            'day of the week, as in cron, in the TIME_ZONE of the project. "30 3 * * *" is every '
            "night at half past three. Two runs never overlap, and a failure stops nothing else."
        ),
    ] = None
    every: Annotated[
        Optional[Duration],
        means(
            'Like SCHEDULE, with a fixed time between two starts, such as "15m". The first run '
            "starts after that time."
        ),
    ] = None
    singleton: Annotated[
        bool,
        means(
            "Whether at most one of the supervisors that share the default database runs it. The "
            "others stand by, and one of them takes over when that supervisor stops or dies."
        ),
    ] = False
    restart: Annotated[Optional[RestartPolicy], means("What to do when it exits on its own.")] = (
        None
    )
    start_limit: Annotated[Optional[StartLimit], means("Starts allowed before giving up.")] = None
    backoff: Annotated[Optional[Backoff], means("The pause before a restart.")] = None
    stop_signal: Annotated[
        Optional[Signal],
        means("The signal that asks the process to stop; by default the backend's own."),
    ] = None
    stop_timeout: Annotated[
        Optional[Seconds], means("Seconds to wait for it to stop before SIGKILL.")
    ] = None
    ready: Annotated[
        Optional[ReadySettings],
        means(
            "How to tell that it is ready, if its software does not report that. Without it, such "
            "a process counts as ready once it is started."
        ),
    ] = None
    ready_timeout: Annotated[
        Optional[Seconds],
        means("Seconds within which a service must be ready; otherwise its start has failed."),
    ] = None
    healthcheck: Annotated[
        Optional[HealthCheckSettings], means("How to check that it is healthy while it runs.")
    ] = None
    watchdog: Annotated[
        Optional[Seconds],
        means(
            'For software that sends "WATCHDOG=1": after this many seconds without one, it is '
            "unhealthy."
        ),
    ] = None
    max_memory: Annotated[
        Optional[Size],
        means(
            "The memory above which an instance is stopped gracefully and restarted. It is the "
            "sum over all processes of the instance; on Linux the sum of their PSS, in which a "
            "shared page is divided among those that share it."
        ),
    ] = None
    start_method: Annotated[
        Optional[StartMethod],
        means(
            'Whether to "fork" from a process that has imported the project, or to "spawn" a fresh '
            'interpreter. "auto" forks, unless the preload left something that does not survive a '
            "fork, or ENV sets a variable that has already been read."
        ),
    ] = None

    sockets: Annotated[
        Optional[Sockets],
        means(
            'Who binds the addresses that a server listens on. "held": the supervisor, so that '
            "all instances share them, and connections wait instead of being refused while one is "
            'replaced. "own": the server itself. By default "held", if the backend can take '
            "sockets."
        ),
    ] = None
    update_order: Annotated[
        UpdateOrder,
        means(
            'How an instance is replaced. "start-first": the new one is ready before the old one '
            'is asked to stop. "stop-first": the old one stops before the new one starts. "auto" '
            'is "start-first" with held sockets, and "stop-first" otherwise.'
        ),
    ] = "auto"

    @property
    def scheduled(self) -> bool:
        """Whether it runs repeatedly. Nothing waits for such a process."""
        return self.schedule is not None or self.every is not None

    @property
    def runs_first(self) -> bool:
        """Whether it is a oneshot that the processes after it wait for."""
        return self.type == "oneshot" and not self.scheduled

    @property
    def needs_supervisor(self) -> bool:
        """Whether it needs a supervisor even alone: for its lock, or for autoscaling."""
        return self.singleton or self.lock is not None or self.autoscale is not None

    def with_replicas(self, count: int) -> ProcessSettings:
        """A copy with exactly `count` instances, whatever the load."""
        scaled = self.autoscale
        if scaled is not None and count:
            scaled = msgspec.structs.replace(scaled, min=count, max=count)
        return msgspec.structs.replace(self, replicas=count, autoscale=scaled)

    @property
    def max_instances(self) -> int:
        """The maximum number of instances."""
        return self.replicas if self.autoscale is None else self.autoscale.max

    @property
    def disabled_by(self) -> str:
        """Which of its keys leaves it out of `--all`; "" if none does."""
        return "" if self.enabled and self.replicas else "ENABLED" if self.replicas else "REPLICAS"


class EffectiveSettings(ProcessSettings, frozen=True, kw_only=True):
    """One entry with the defaults of PRODUCTION_SUPERVISOR filled in, in bytes and seconds."""

    restart: RestartPolicy
    start_limit: StartLimit
    backoff: Backoff
    stop_timeout: Seconds
    ready_timeout: Seconds
    max_memory: Optional[Count]
    start_method: StartMethod
    every: Optional[float] = None

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
            "Kubernetes' 30 seconds, so that the supervisor can still report which process hung."
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
            "The USER of processes that do not set their own. The supervisor does not change its "
            "own user."
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
        means("How lines are written: with a prefix, as JSON objects, or unchanged."),
    ] = "text"
    timestamps: Annotated[bool, means("Whether each line begins with the time.")] = True
    color: Annotated[
        Literal["auto", "always", "never"],
        means(
            'Whether prefixes are coloured. "auto": on a terminal, unless NO_COLOR or FORCE_COLOR '
            "says otherwise."
        ),
    ] = "auto"
    stderr: Annotated[
        Literal["merge", "separate"],
        means(
            'Where the stderr of a process goes. "merge" writes it to the supervisor\'s stdout, in '
            'exact order with its stdout; "separate" writes it to the supervisor\'s stderr.'
        ),
    ] = "merge"
    max_line: Annotated[
        Bytes,
        means("The longest line, in bytes. A longer one is split into lines of this size."),
    ] = MAX_LINE
    control: Annotated[
        Union[bool, ControlPath],
        means(
            "Whether `prodctl` can talk to the supervisor, by a control socket; or the absolute "
            "path of that socket. True uses a folder that only this user can enter."
        ),
    ] = True
    control_group: Annotated[
        Optional[NameOrId],
        means("Members of this group may read the status and the log, but not change anything."),
    ] = None
    monitor: Annotated[
        Optional[MonitorAddress],
        means(
            "Where the supervisor answers `/healthz`, `/readyz` and `/metrics`, for example to "
            "Prometheus and Kubernetes. It is read-only."
        ),
    ] = None
    on_event: Annotated[
        Handlers,
        means(
            "Functions to call with each event, a dict, in a process of their own. The module "
            "django_prodserver.handlers provides some."
        ),
    ] = []
    preload: Annotated[
        Modules,
        means(
            "Modules to import before processes are forked, besides those that the backends import."
        ),
    ] = []

    @property
    def control_path(self) -> Optional[str]:
        """The path of the control socket, if CONTROL names one."""
        return self.control if isinstance(self.control, str) else None


class ServerlessSettings(Keys, frozen=True, kw_only=True):
    """PRODUCTION_SERVERLESS: for `django_prodserver.serverless`."""

    interface: Annotated[
        Optional[Literal["wsgi", "asgi"]],
        means(
            "Which application answers requests: that of WSGI_APPLICATION or of ASGI_APPLICATION. "
            "By default the interface of the first web server in PRODUCTION_PROCESSES, and "
            '"wsgi" without one.'
        ),
    ] = None
    base_path: Annotated[
        BasePath,
        means(
            "The prefix of each request's path that is not part of the site's own URLs, such as "
            '"/prod" for a stage of API Gateway. The URLs that Django builds begin with it.'
        ),
    ] = ""
