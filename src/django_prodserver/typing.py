"""Types for the settings: editors explain the keys, type checkers check the values.

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
    "Autoscale",
    "Backoff",
    "HealthCheck",
    "Process",
    "ProductionProcesses",
    "ProductionServerless",
    "ProductionSupervisor",
    "Ready",
    "StartLimit",
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


class StartLimit(TypedDict, total=False):
    """How many starts are allowed within INTERVAL seconds before the supervisor gives up."""

    BURST: int
    """Starts of an instance allowed within INTERVAL before the supervisor gives up."""

    INTERVAL: float
    """The period, in seconds, over which starts are counted."""


class _Autoscale(TypedDict):
    METRIC: Text
    """The load to measure. cpu: processor cores in use. memory: bytes, as for MAX_MEMORY. queue:
    tasks that are waiting or running. queue-age: how long the oldest waiting task has waited. busy:
    requests being answered. Or the dotted path of a function that returns the total load of all
    instances, as a number."""

    TARGET: Union[float, Text]
    """How much of it each instance should have: cores such as 0.7, a size such as "400MB", or a
    number of tasks or requests; for queue-age a duration such as "30s"."""

    MAX: int
    """The most instances."""


class Autoscale(_Autoscale, total=False):
    """How many instances of a process are up: as many as its load asks for, from MIN to MAX."""

    MIN: int
    """The fewest instances. 0 is allowed for loads that can be measured while no instance is
    running. If MIN equals MAX, the load is measured but changes nothing."""

    INTERVAL: float
    """Seconds between two measurements."""

    STABILIZATION: float
    """Seconds for which fewer instances must have been enough before any is stopped. New instances
    are started without this delay."""


class Backoff(TypedDict, total=False):
    """The pause before a restart, in seconds: it doubles from INITIAL up to MAX."""

    INITIAL: float
    """The first pause. A run that was ready for the INTERVAL of START_LIMIT resets the pause to
    it."""

    MAX: float
    """The longest pause; at least INITIAL."""


class Ready(TypedDict, total=False):
    """What tells that an instance is ready: exactly one of HTTP, TCP, COMMAND and LOG."""

    HTTP: Optional[Text]
    """Succeeds if the response has a status from 200 to 399. A path such as "/health" is requested
    from the first address that the process listens on: from 127.0.0.1 if it listens on all, from
    its Unix socket if it has one, and over TLS if the process speaks TLS there. A URL such as
    "http://127.0.0.1:8000/health" or "https://127.0.0.1:8443/health" is requested from its own
    address, and "unix:/run/app.sock:/health" from that socket."""

    TCP: Optional[Text]
    """Succeeds if a connection can be made: to "127.0.0.1:8000", "[::1]:8000", ":8000" (on
    127.0.0.1) or "unix:/run/app.sock"."""

    COMMAND: Optional[ListOrTuple[Text]]
    """A program and its arguments. Succeeds if the program exits with 0."""

    VERIFY: Union[bool, Text]
    """Whether to verify the certificate of a server that speaks TLS: for the host of the URL, or
    for the first name in ALLOWED_HOSTS if HTTP is a path. A file path names the CA certificates to
    trust. By default nothing is verified, as in Kubernetes."""

    TIMEOUT: float
    """How long a probe may take, in seconds, before it counts as failed."""

    LOG: Optional[Text]
    """Ready once this regular expression matches in a line of its output (stdout or stderr). Only
    the first 4096 bytes of a line are searched."""


class HealthCheck(TypedDict, total=False):
    """How and when a running instance is probed: by exactly one of HTTP, TCP and COMMAND."""

    HTTP: Optional[Text]
    """Succeeds if the response has a status from 200 to 399. A path such as "/health" is requested
    from the first address that the process listens on: from 127.0.0.1 if it listens on all, from
    its Unix socket if it has one, and over TLS if the process speaks TLS there. A URL such as
    "http://127.0.0.1:8000/health" or "https://127.0.0.1:8443/health" is requested from its own
    address, and "unix:/run/app.sock:/health" from that socket."""

    TCP: Optional[Text]
    """Succeeds if a connection can be made: to "127.0.0.1:8000", "[::1]:8000", ":8000" (on
    127.0.0.1) or "unix:/run/app.sock"."""

    COMMAND: Optional[ListOrTuple[Text]]
    """A program and its arguments. Succeeds if the program exits with 0."""

    VERIFY: Union[bool, Text]
    """Whether to verify the certificate of a server that speaks TLS: for the host of the URL, or
    for the first name in ALLOWED_HOSTS if HTTP is a path. A file path names the CA certificates to
    trust. By default nothing is verified, as in Kubernetes."""

    TIMEOUT: float
    """How long a probe may take, in seconds, before it counts as failed."""

    INTERVAL: float
    """Seconds between two probes."""

    RETRIES: int
    """Consecutive failures before the instance is unhealthy."""

    START_PERIOD: float
    """Failures in the first seconds after the start do not count, unless a probe has already
    succeeded."""


class _Process(TypedDict):
    BACKEND: Text
    """The backend that runs it: one of the built-in backends, one from a package, or a backend of
    your own."""


class Process(_Process, total=False):
    """One entry of PRODUCTION_PROCESSES; None where PRODUCTION_SUPERVISOR has the default."""

    ARGS: Union[
        Text,
        ListOrTuple[Text],
        Mapping[str, Union[Text, int, float, bool, ListOrTuple[Union[Text, int, float]], None]],
    ]
    """The software's own command-line options."""

    APP: Optional[Text]
    """The Celery app, as in "celery -A"; other backends ignore it."""

    ENV: Mapping[str, Text]
    """Added to the process's environment."""

    CWD: Optional[Text]
    """The working directory, entered as its USER. A relative path starts from the directory in
    which the command was run."""

    USER: Optional[Union[int, Text]]
    """The user it runs as. Only root can change users."""

    GROUP: Optional[Union[int, Text]]
    """The group it runs as, instead of the primary group of its USER."""

    UMASK: Optional[Text]
    """The permissions to remove from new files, in octal, such as "0027"."""

    REPLICAS: int
    """How many instances a supervisor runs."""

    AUTOSCALE: Optional[Autoscale]
    """Lets the load decide how many instances run; REPLICAS is the number at the start."""

    TYPE: Literal["service", "oneshot"]
    """A service is meant to run until it is stopped. A oneshot is meant to finish with exit status
    0. The backends "migrate" and "wait-for" are oneshots by default; all others are services."""

    ENABLED: bool
    """False leaves it out of "prodserver --all". It still starts if you name it."""

    REFRESH: bool
    """For a oneshot that creates something the settings or imports read, such as a secret key. The
    processes after it are loaded by a fresh interpreter, which reads the settings again."""

    AFTER: ListOrTuple[Text]
    """Start once these are ready (services) or have finished with 0 (oneshots), and stop before
    them. "@oneshots" means every oneshot that does not come after this process."""

    LOCK: Optional[Text]
    """For a oneshot that should run only once, however many supervisors start it: one of them gets
    the lock and runs it; the others wait until it has finished, and continue without running it.
    "database" is a lock in the default database; a path is a file that all of them can access. The
    backend "migrate" uses "database" by default."""

    SCHEDULE: Optional[Text]
    """For a oneshot that runs again and again: minute, hour, day of the month, month and day of the
    week, as in cron, in the TIME_ZONE of the project. "30 3 * * *" is every night at half past
    three. Two runs never overlap, and a failure stops nothing else."""

    EVERY: Optional[Union[float, Text]]
    """Like SCHEDULE, with a fixed time between two starts, such as "15m". The first run starts
    after that time."""

    SINGLETON: bool
    """Whether at most one of the supervisors that share the default database runs it. The others
    stand by, and one of them takes over when that supervisor stops or dies."""

    RESTART: Optional[Literal["never", "on-failure", "always"]]
    """What to do when it exits on its own."""

    START_LIMIT: Optional[StartLimit]
    """Starts allowed before giving up."""

    BACKOFF: Optional[Backoff]
    """The pause before a restart."""

    STOP_SIGNAL: Optional[
        Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
    ]
    """The signal that asks the process to stop; by default the backend's own."""

    STOP_TIMEOUT: Optional[float]
    """Seconds to wait for it to stop before SIGKILL."""

    READY: Optional[Ready]
    """How to tell that it is ready, if its software does not report that. Without it, such a
    process counts as ready once it is started."""

    READY_TIMEOUT: Optional[float]
    """Seconds within which a service must be ready; otherwise its start has failed."""

    HEALTHCHECK: Optional[HealthCheck]
    """How to check that it is healthy while it runs."""

    WATCHDOG: Optional[float]
    """For software that sends "WATCHDOG=1": after this many seconds without one, it is
    unhealthy."""

    MAX_MEMORY: Optional[Union[int, Text]]
    """The memory above which an instance is stopped gracefully and restarted. It is the sum over
    all processes of the instance; on Linux the sum of their PSS, in which a shared page is divided
    among those that share it."""

    START_METHOD: Optional[Literal["auto", "fork", "spawn"]]
    """Whether to "fork" from a process that has imported the project, or to "spawn" a fresh
    interpreter. "auto" forks, unless the preload left something that does not survive a fork, or
    ENV sets a variable that has already been read."""

    SOCKETS: Optional[Literal["held", "own"]]
    """Who binds the addresses that a server listens on. "held": the supervisor, so that all
    instances share them, and connections wait instead of being refused while one is replaced.
    "own": the server itself. By default "held", if the backend can take sockets."""

    UPDATE_ORDER: Literal["auto", "start-first", "stop-first"]
    """How an instance is replaced. "start-first": the new one is ready before the old one is asked
    to stop. "stop-first": the old one stops before the new one starts. "auto" is "start-first" with
    held sockets, and "stop-first" otherwise."""


class ProductionSupervisor(TypedDict, total=False):
    """PRODUCTION_SUPERVISOR: for all processes, and for the supervisor itself."""

    RESTART: Literal["never", "on-failure", "always"]
    """The RESTART of processes that do not set their own."""

    START_LIMIT: StartLimit
    """The START_LIMIT of processes that do not set their own."""

    BACKOFF: Backoff
    """The BACKOFF of processes that do not set their own."""

    STOP_TIMEOUT: float
    """The STOP_TIMEOUT of processes that do not set their own. The default is below Kubernetes' 30
    seconds, so that the supervisor can still report which process hung."""

    READY_TIMEOUT: float
    """The READY_TIMEOUT of services that do not set their own."""

    MAX_MEMORY: Optional[Union[int, Text]]
    """The MAX_MEMORY of services that do not set their own."""

    START_METHOD: Literal["auto", "fork", "spawn"]
    """The START_METHOD of processes that do not set their own."""

    CWD: Optional[Text]
    """The CWD of processes that do not set their own."""

    USER: Optional[Union[int, Text]]
    """The USER of processes that do not set their own. The supervisor does not change its own
    user."""

    GROUP: Optional[Union[int, Text]]
    """The GROUP of processes that do not set their own."""

    UMASK: Optional[Text]
    """The UMASK of processes that do not set their own."""

    LOG_FORMAT: Literal["text", "json", "raw"]
    """How lines are written: with a prefix, as JSON objects, or unchanged."""

    TIMESTAMPS: bool
    """Whether each line begins with the time."""

    COLOR: Literal["auto", "always", "never"]
    """Whether prefixes are coloured. "auto": on a terminal, unless NO_COLOR or FORCE_COLOR says
    otherwise."""

    STDERR: Literal["merge", "separate"]
    """Where the stderr of a process goes. "merge" writes it to the supervisor's stdout, in exact
    order with its stdout; "separate" writes it to the supervisor's stderr."""

    MAX_LINE: int
    """The longest line, in bytes. A longer one is split into lines of this size."""

    CONTROL: Union[bool, Text]
    """Whether `prodctl` can talk to the supervisor, by a control socket; or the absolute path of
    that socket. True uses a folder that only this user can enter."""

    CONTROL_GROUP: Optional[Union[int, Text]]
    """Members of this group may read the status and the log, but not change anything."""

    MONITOR: Optional[Text]
    """Where the supervisor answers `/healthz`, `/readyz` and `/metrics`, for example to Prometheus
    and Kubernetes. It is read-only."""

    ON_EVENT: ListOrTuple[Text]
    """Functions to call with each event, a dict, in a process of their own. The module
    django_prodserver.handlers provides some."""

    PRELOAD: ListOrTuple[Text]
    """Modules to import before processes are forked, besides those that the backends import."""


class ProductionServerless(TypedDict, total=False):
    """PRODUCTION_SERVERLESS: for `django_prodserver.serverless`."""

    INTERFACE: Optional[Literal["wsgi", "asgi"]]
    """Which application answers requests: that of WSGI_APPLICATION or of ASGI_APPLICATION. By
    default the interface of the first web server in PRODUCTION_PROCESSES, and "wsgi" without
    one."""

    BASE_PATH: Text
    """The prefix of each request's path that is not part of the site's own URLs, such as "/prod"
    for a stage of API Gateway. The URLs that Django builds begin with it."""


# A dict and not a Mapping, because settings often add to it further down.
ProductionProcesses = dict[str, Process]
