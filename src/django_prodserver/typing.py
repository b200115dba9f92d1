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
    "Backoff",
    "HealthCheck",
    "Process",
    "ProductionProcesses",
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
    """More starts than BURST within INTERVAL seconds are too many."""

    BURST: int
    """So many starts of an instance are allowed within INTERVAL."""

    INTERVAL: float
    """The time in which starts are counted."""


class Backoff(TypedDict, total=False):
    """The pause before a restart, in seconds: it doubles from INITIAL up to MAX."""

    INITIAL: float
    """The first pause; also the one after a run that was ready for the INTERVAL of START_LIMIT."""

    MAX: float
    """No pause is longer. It is not below INITIAL."""


class Ready(TypedDict, total=False):
    """What tells that an instance is ready: exactly one of HTTP, TCP, COMMAND and LOG."""

    HTTP: Optional[Text]
    """Succeeds if the answer has a status from 200 to 399. A path such as "/health" is asked for at
    the first host and port that the process serves, at 127.0.0.1 if it serves all, or at its Unix
    socket; over TLS if the process speaks that there. A URL such as "http://127.0.0.1:8000/health"
    or "https://127.0.0.1:8443/health" is asked for at its own address, and
    "unix:/run/app.sock:/health" at that socket."""

    TCP: Optional[Text]
    """Succeeds if a connection does: to "127.0.0.1:8000", "[::1]:8000", ":8000" at 127.0.0.1, or
    "unix:/run/app.sock"."""

    COMMAND: Optional[ListOrTuple[Text]]
    """A program and its arguments: succeeds if it exits with 0."""

    VERIFY: Union[bool, Text]
    """Whether the certificate of a server that speaks TLS has to be valid: for the host of the URL,
    or else for the first name in ALLOWED_HOSTS. With a path, the file has the certificates of the
    authorities. As Kubernetes does, nothing is verified by default."""

    TIMEOUT: float
    """A probe that takes longer has failed."""

    LOG: Optional[Text]
    """Ready once a line of its output, stdout or stderr, has this regular expression in it. The
    first 4096 bytes of a line are searched."""


class HealthCheck(TypedDict, total=False):
    """How and when a running instance is probed: by exactly one of HTTP, TCP and COMMAND."""

    HTTP: Optional[Text]
    """Succeeds if the answer has a status from 200 to 399. A path such as "/health" is asked for at
    the first host and port that the process serves, at 127.0.0.1 if it serves all, or at its Unix
    socket; over TLS if the process speaks that there. A URL such as "http://127.0.0.1:8000/health"
    or "https://127.0.0.1:8443/health" is asked for at its own address, and
    "unix:/run/app.sock:/health" at that socket."""

    TCP: Optional[Text]
    """Succeeds if a connection does: to "127.0.0.1:8000", "[::1]:8000", ":8000" at 127.0.0.1, or
    "unix:/run/app.sock"."""

    COMMAND: Optional[ListOrTuple[Text]]
    """A program and its arguments: succeeds if it exits with 0."""

    VERIFY: Union[bool, Text]
    """Whether the certificate of a server that speaks TLS has to be valid: for the host of the URL,
    or else for the first name in ALLOWED_HOSTS. With a path, the file has the certificates of the
    authorities. As Kubernetes does, nothing is verified by default."""

    TIMEOUT: float
    """A probe that takes longer has failed."""

    INTERVAL: float
    """The time between two probes."""

    RETRIES: int
    """So many failures in a row make it unhealthy."""

    START_PERIOD: float
    """Failures so soon after the start do not count, unless a probe has succeeded before."""


class _Process(TypedDict):
    BACKEND: Text
    """What runs it: one of the built-in backends, one that a package brings, or a backend of your
    own."""


class Process(_Process, total=False):
    """One entry of PRODUCTION_PROCESSES; None where PRODUCTION_SUPERVISOR has the default."""

    ARGS: Union[
        Text,
        ListOrTuple[Text],
        Mapping[str, Union[Text, int, float, bool, ListOrTuple[Union[Text, int, float]], None]],
    ]
    """The software's own command-line options."""

    APP: Optional[Text]
    """The Celery app, as behind "celery -A"; other backends ignore it."""

    ENV: Mapping[str, Text]
    """Added to the process's environment."""

    CWD: Optional[Text]
    """The folder that it runs in, entered as its USER. A relative path begins at the folder in
    which the command was started."""

    USER: Optional[Union[int, Text]]
    """The user that it runs as. Only root can change users."""

    GROUP: Optional[Union[int, Text]]
    """The group that it runs in, instead of the first one of its USER."""

    UMASK: Optional[Text]
    """Permissions that the files it creates do not get, in octal, such as "0027"."""

    REPLICAS: int
    """How many instances a supervisor runs."""

    TYPE: Literal["service", "oneshot"]
    """A service is meant to run for ever; a oneshot to finish with 0, such as "migrate"."""

    ENABLED: bool
    """False leaves it out of "prodserver --all"; named, it is started all the same."""

    AFTER: ListOrTuple[Text]
    """Start once these are ready (services) or have finished with 0 (oneshots), and stop before
    them. "@oneshots" stands for every oneshot that does not come after this one."""

    RESTART: Optional[Literal["never", "on-failure", "always"]]
    """What follows when it ends unasked."""

    START_LIMIT: Optional[StartLimit]
    """How many starts are too many."""

    BACKOFF: Optional[Backoff]
    """How long the pause before a restart is."""

    STOP_SIGNAL: Optional[
        Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"]
    ]
    """Asks the process to stop; without it, the backend's own signal does."""

    STOP_TIMEOUT: Optional[float]
    """How long it may take to stop before SIGKILL."""

    READY: Optional[Ready]
    """What tells that it is ready, where its software does not tell by itself. Without it, such a
    process counts as ready once it is started."""

    READY_TIMEOUT: Optional[float]
    """A service that is not ready by then has failed to start."""

    HEALTHCHECK: Optional[HealthCheck]
    """Probes it while it runs."""

    WATCHDOG: Optional[float]
    """For software that sends "WATCHDOG=1": silence for longer counts as unhealthy."""

    MAX_MEMORY: Optional[Union[int, Text]]
    """Above it (all processes of an instance together; on Linux their PSS, to which a page that
    several share counts in part) the instance is stopped gracefully and started anew."""

    START_METHOD: Optional[Literal["auto", "fork", "spawn"]]
    """Either "fork" from the preloaded supervisor, or "spawn" a fresh interpreter; "auto" forks,
    unless the preload left threads running."""


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
    seconds, so that the supervisor is still there to say who hung."""

    READY_TIMEOUT: float
    """The READY_TIMEOUT of services that do not set their own."""

    MAX_MEMORY: Optional[Union[int, Text]]
    """The MAX_MEMORY of services that do not set their own."""

    START_METHOD: Literal["auto", "fork", "spawn"]
    """The START_METHOD of processes that do not set their own."""

    CWD: Optional[Text]
    """The CWD of processes that do not set their own."""

    USER: Optional[Union[int, Text]]
    """The USER of processes that do not set their own; the supervisor itself stays what it is."""

    GROUP: Optional[Union[int, Text]]
    """The GROUP of processes that do not set their own."""

    UMASK: Optional[Text]
    """The UMASK of processes that do not set their own."""

    LOG_FORMAT: Literal["text", "json", "raw"]
    """How lines are written: with a prefix, as JSON objects, or as they are."""

    TIMESTAMPS: bool
    """Each line has the time."""

    COLOR: Literal["auto", "always", "never"]
    """Colours in front of the lines; "auto": on a terminal, or as NO_COLOR and FORCE_COLOR say."""

    STDERR: Literal["merge", "separate"]
    """With "merge", stderr of a process comes out of the supervisor's stdout, in exact order with
    its stdout; with "separate", out of the supervisor's stderr."""

    MAX_LINE: int
    """A longer line is cut into pieces of this size, each a line of its own."""

    PRELOAD: ListOrTuple[Text]
    """Imported in the supervisor before it forks, beside what the backends import."""


# A dict and not a Mapping, because settings often add to it further down.
ProductionProcesses = dict[str, Process]
