"""What a backend is: how to start one kind of software, and what a supervisor has to know about it.

This module is the public address for backends that other packages bring.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Optional, Union

from django_prodserver.posix.interpreter import search_path
from django_prodserver.posix.notify import notify, watchdog_interval
from django_prodserver.settings.findings import Finding

from .own_program import run_with
from .parsers import Misfit, PrintsOnly, by_argparse, by_click

__all__ = [
    "Address",
    "BaseServerBackend",
    "Misfit",
    "PlainAddress",
    "PrintsOnly",
    "Problem",
    "Queue",
    "by_argparse",
    "by_click",
    "notify",
    "watchdog_interval",
]

# As `ssl` has it, which not every start imports: the server wants a certificate of its clients.
CERT_REQUIRED = 2

# Of gunicorn and of uvicorn, for servers that have no such option, or one that is small by default:
# what comes while an instance is replaced has to wait there.
BACKLOG = 2048

# What a backend finds wrong with its settings: `Problem("ARGS", "has to be one address.", hint)`.
Problem = Finding


class Address(NamedTuple):
    """Where a server will listen: a host and a port, or the path of a Unix socket."""

    at: Union[tuple[str, int], str]
    # Several processes may listen there at once (SO_REUSEPORT).
    shared: bool = False
    # It speaks TLS there, and to those alone that have a certificate, too.
    tls: bool = False
    client_certificate: bool = False
    # Connections that wait to be accepted, at most.
    backlog: int = BACKLOG
    # The permissions of the file of a Unix socket; None: those that the umask leaves.
    mode: Optional[int] = None

    @property
    def plain(self) -> bool:
        """Whether it is bound as one plain socket, see `PlainAddress`."""
        return False

    @property
    def chosen_by_the_system(self) -> bool:
        """Port 0: the kernel picks a free port for each socket."""
        return not isinstance(self.at, str) and self.at[1] == 0

    @property
    def exclusive(self) -> bool:
        """Only one process can listen there at a time."""
        return not self.shared and not self.chosen_by_the_system

    def __str__(self) -> str:
        if isinstance(self.at, str):
            return self.at
        host, port = self.at
        return f"[{host}]:{port}" if ":" in host else f"{host or '0.0.0.0'}:{port}"


class PlainAddress(Address):
    """The address of a server that binds it as one plain socket, as bind(2) does.

    A host name is an IPv4 address then, and :: takes IPv4 connections as well. Servers that are not
    plain bind all addresses that a name has, and :: for IPv6 only.
    """

    @property
    def plain(self) -> bool:
        return True


class Queue(NamedTuple):
    """What is in the queues from which all instances of a process take their tasks, now."""

    # Tasks that any of them may begin, not those that are to run later.
    ready: int
    # Tasks that are being run, or that a worker has taken to run them next.
    running: int
    # For how many seconds the oldest of those that are ready has waited: 0 without any, None where
    # the software does not say.
    age: Optional[float] = None
    # How many of the running ones each instance of this supervisor has, `worker.1`, by its name;
    # None where the software does not say.
    of_instances: Optional[Mapping[str, int]] = None


class BaseServerBackend:
    """Base class of all backends. A subclass must define `start_server` or `runner`.

    It is created with the keys of its entry in PRODUCTION_PROCESSES as keyword arguments (`ARGS`,
    `APP`, ...; always with STOP_TIMEOUT and REPLICAS), and started by
    `backend.start_server(*backend.prep_server_args())`, in a process of its own.
    """

    # Modules that must be importable -> what to `pip install` for each.
    requires: ClassVar[Mapping[str, str]] = {}
    # Asks the software to finish its in-flight requests or running tasks, and to exit.
    stop_signal: str = "SIGTERM"
    # The stop signal goes to the whole process group instead of the leader only.
    stop_group: bool = False
    # Sent before SIGKILL, after 70 % of the stop timeout.
    escalation_signal: Optional[str] = None
    # Exit statuses that mean success after a stop, besides 0 and death by the stop signal.
    success_exit_statuses: ClassVar[frozenset[int]] = frozenset()
    # What the software means by exit statuses of its own, for the log: "a worker failed to boot".
    exit_meanings: ClassVar[Mapping[int, str]] = {}
    # The software sends READY=1 to NOTIFY_SOCKET when it is ready.
    notifies: bool = False
    # Ready once a connection to one of its `addresses` succeeds. With neither: once started.
    connects: bool = False
    # It can listen at sockets that were bound before, those of `posix.held`. Then it reports
    # READY=1 in any case: a connection to such a socket always succeeds.
    takes_sockets: ClassVar[bool] = False
    # Whether it sends WATCHDOG=1 there, at least every WATCHDOG_USEC microseconds if that is set:
    # True, False if it never does, None if that is not known.
    pings: Optional[bool] = None
    # Signals that the supervisor passes on, of SIGUSR1 and SIGUSR2.
    forwards: ClassVar[frozenset[str]] = frozenset()
    # Environment variables that the software reads when it is imported.
    import_time_variables: ClassVar[frozenset[str]] = frozenset()
    # Django imports the software with INSTALLED_APPS, before any `preload`.
    is_an_app: ClassVar[bool] = False
    # Two instances would do all work twice.
    singleton: ClassVar[bool] = False
    # Options, by their names in what `parse` returns, with which only one instance may run.
    singleton_options: ClassVar[Sequence[str]] = ()
    # Options that do not fit under a supervisor, likewise, each with the reason.
    misfits: ClassVar[Mapping[str, Misfit]] = {}
    # The option, as ARGS have it, with which several instances listen at one port; "" if they
    # always can, None if they cannot.
    shares_port_with: ClassVar[Optional[str]] = None

    # What it can tell of its load, as METRIC of AUTOSCALE has it: "queue", "queue-age", "busy".
    measures: frozenset[str] = frozenset()

    # The module that runs the software: `run(args, **runner_arguments())`, which may return an exit
    # status. It imports neither Django nor the project, so that a fresh interpreter can do the
    # same; "" where it takes `manage.py`, or a `start_server` of its own.
    runner: ClassVar[str] = ""

    # `web.1` under a supervisor; None where this is the manage.py process itself.
    instance: Optional[str] = None
    # This process is a fork of one that has loaded the project. Otherwise it is the manage.py
    # process, alone or spawned by a supervisor.
    forked: bool = False

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.args = arguments(config.get("ARGS", {}))
        self.env: Mapping[str, str] = config.get("ENV", {})

    def prep_server_args(self) -> Sequence[str]:
        """The arguments for `start_server`, as the software's own command line takes them."""
        return self.args

    # To type checkers, and to no one else, this is a signature that every other one may override:
    # a backend may name its arguments.
    def start_server(self, *args: Any, **kwargs: Any) -> None:
        """Run the software until it exits, as its own command line does with these arguments."""
        if not self.runner:
            raise NotImplementedError
        run_with(self.runner, args, self.runner_arguments())

    def runner_arguments(self) -> Mapping[str, Any]:
        """What else its runner is called with, as plain data: numbers, text, lists, mappings."""
        return {}

    def command_line(self) -> Optional[Sequence[str]]:
        """What `start_server` would execute at once, and do nothing else; None where it is code.

        The supervisor executes that itself, without the project.
        """
        return None

    def preload(self) -> None:
        """Import what `start_server` needs, so that forked processes share its memory."""

    def problems(self) -> Iterator[Problem]:
        """Find what would keep it from starting. May import the project; must change nothing."""
        yield from ()

    def parse(self) -> object:
        """Let the software's own parser read the arguments; the type of the result is its own.

        Raises ValueError with the parser's message where they are wrong, and PrintsOnly for
        `--help` and the like. May import the software; must change nothing.
        """
        return None

    def own_context(self, options: Any) -> Mapping[str, Any]:
        """What its own options say of CWD, USER, GROUP and UMASK, as far as they do, by these keys.

        `options` are what `parse` has returned.
        """
        return {}

    def work(self) -> str:
        """What it does, as a text, where it has a LOCK: of those with the same, one does it."""
        return repr((type(self).__name__, list(self.args), sorted(self.env.items())))

    def preview(self) -> str:
        """What it would do now, for `prodserver --check`; "" where that is not known.

        May ask a database, and raise whatever that does.
        """
        return ""

    def queue(self) -> Queue:
        """How much work waits for all of its instances: for those whose `measures` have "queue".

        Is called in a process that is forked for that, and may raise whatever its broker does. Must
        change nothing there.
        """
        raise NotImplementedError

    def finishing_command(self) -> Optional[str]:
        """The name of what it runs, where that is known to finish by itself: `migrate`."""
        return None

    def addresses(self) -> Sequence[Address]:
        """Where it will listen. Raises what `parse` raises."""
        return ()

    def why_own_sockets(self, options: Any) -> str:
        """Why it has to bind its addresses itself, with these options of its own; "" otherwise.

        Such as "'reuse-port' is set". `options` are what `parse` has returned; they are asked only
        where it `takes_sockets`.
        """
        return ""

    def recycles(self) -> bool:
        """Whether its own options make it exit with 0 after some work, to be restarted.

        The supervisor asks before it starts anything. False where ARGS are wrong.
        """
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        return self.recycles_with(options)

    def recycles_with(self, options: Any) -> bool:
        """Answer `recycles` for what `parse` has returned."""
        return False

    def patched_by(self, options: Any) -> str:
        """The library of greenlets that has to patch Python before anything else is imported.

        "gevent", for example; "" if there is none. `options` are what `parse` has returned.
        """
        return ""

    def graceful_limit(self, spare: int = 2) -> int:
        """Seconds for in-flight requests or running tasks after the stop signal, at least 1.

        That is `spare` less than STOP_TIMEOUT: the software's own limit ends before SIGKILL.
        """
        return max(1, int(self.config["STOP_TIMEOUT"]) - spare)

    def skip_checks(self) -> Sequence[str]:
        """Django's option `--skip-checks` under a supervisor, which has run the checks for all."""
        return [] if self.instance is None else ["--skip-checks"]

    def environ(self) -> Mapping[str, str]:
        """The environment that the process will have: the current one and its ENV."""
        return {**os.environ, "PATH": search_path(os.environ.get("PATH")), **self.env}


def library_of_greenlets(name: object) -> str:
    """The one in the name of a worker class or a pool."""
    return next((one for one in ("gevent", "eventlet") if one in str(name)), "")


def arguments(args: Union[str, Sequence[str], Mapping[str, Any]]) -> list[str]:
    """ARGS as a command line.

    A string is one argument; a list is taken as it is. In a mapping `{"bind": "x"}` becomes
    `--bind=x`, and a one-letter key `-b x`; True and None give the bare flag, False omits it, and
    a list repeats the option.
    """
    if isinstance(args, str):
        return [args]
    if not isinstance(args, Mapping):
        return [str(arg) for arg in args]
    return [word for key, value in args.items() for word in _option(key, value)]


def _option(key: str, value: Any) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [word for item in value for word in _option(key, item)]
    if value is False:
        return []
    flag = f"-{key}" if len(key) == 1 else f"--{key}"
    if value is True or value is None:
        return [flag]
    return [flag, str(value)] if len(key) == 1 else [f"{flag}={value}"]
