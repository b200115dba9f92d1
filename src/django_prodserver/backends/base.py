"""What a backend is: how to start one kind of software, and what the supervisor must know about it.

This module is the public API for backends in other packages.
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

# The value of `ssl.CERT_REQUIRED` (each client needs a certificate), without importing `ssl`.
CERT_REQUIRED = 2

# The default of gunicorn and uvicorn, for servers without such an option or with a smaller default.
# Connections wait in the backlog while an instance is replaced.
BACKLOG = 2048

# A problem that a backend finds in its settings: `Problem("ARGS", "has to be one address.", hint)`.
Problem = Finding


class Address(NamedTuple):
    """Where a server will listen: a host and a port, or the path of a Unix socket."""

    at: Union[tuple[str, int], str]
    # Several processes may listen there at once (SO_REUSEPORT).
    shared: bool = False
    # Whether the server speaks TLS there, and whether each client needs a certificate.
    tls: bool = False
    client_certificate: bool = False
    # How many connections may wait to be accepted.
    backlog: int = BACKLOG
    # The permissions of a Unix socket's file; None: what the umask leaves.
    mode: Optional[int] = None

    @property
    def plain(self) -> bool:
        """Whether it is bound as one plain socket (see `PlainAddress`)."""
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

    A host name then means an IPv4 address, and :: also accepts IPv4 connections. Other servers bind
    every address that a host name has, and :: for IPv6 only.
    """

    @property
    def plain(self) -> bool:
        return True


class Queue(NamedTuple):
    """The current load of the queues from which all instances of a process take their tasks."""

    # Tasks that any instance may begin now; not tasks that are scheduled for later.
    ready: int
    # Tasks that are running, or that a worker has taken to run next.
    running: int
    # Seconds that the oldest ready task has waited: 0 if there is none, None if the software does
    # not say.
    age: Optional[float] = None
    # How many tasks each instance of this supervisor is running, by its name (`worker.1`); None if
    # the software does not say.
    of_instances: Optional[Mapping[str, int]] = None


class BaseServerBackend:
    """Base class of all backends. A subclass must define `start_server` or `runner`.

    Its keyword arguments are the keys of its entry in PRODUCTION_PROCESSES (`ARGS`, `APP`, ...;
    always STOP_TIMEOUT and REPLICAS). `backend.start_server(*backend.prep_server_args())` starts
    it, in a process of its own.
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
    # The meaning of the software's own exit statuses, for the log: "a worker failed to boot".
    exit_meanings: ClassVar[Mapping[int, str]] = {}
    # The software sends READY=1 to NOTIFY_SOCKET when it is ready.
    notifies: bool = False
    # Ready once a connection to one of its `addresses` succeeds. With neither `notifies` nor
    # `connects`, it is ready once started.
    connects: bool = False
    # It can serve on held sockets (`posix.held`). Then it always has to send READY=1: a connection
    # to a held socket always succeeds.
    takes_sockets: ClassVar[bool] = False
    # Whether it sends WATCHDOG=1 to NOTIFY_SOCKET, at least every WATCHDOG_USEC microseconds if
    # that is set. False: never; None: unknown.
    pings: Optional[bool] = None
    # Which of SIGUSR1 and SIGUSR2 the supervisor passes on.
    forwards: ClassVar[frozenset[str]] = frozenset()
    # Environment variables that the software reads when it is imported.
    import_time_variables: ClassVar[frozenset[str]] = frozenset()
    # Django imports the software with INSTALLED_APPS, before any `preload`.
    is_an_app: ClassVar[bool] = False
    # Two instances would do all work twice, so only one may run.
    singleton: ClassVar[bool] = False
    # Options with which only one instance may run, by their names in the result of `parse`.
    singleton_options: ClassVar[Sequence[str]] = ()
    # Options that do not fit under a supervisor, by the same names, each with the reason.
    misfits: ClassVar[Mapping[str, Misfit]] = {}
    # The option, as written in ARGS, that lets several instances listen on one port; "" if they
    # always can, None if they cannot.
    shares_port_with: ClassVar[Optional[str]] = None

    # The load that it can measure, as METRIC of AUTOSCALE names it: "queue", "queue-age", "busy".
    measures: frozenset[str] = frozenset()

    # The module whose `run(args, **runner_arguments())` runs the software, and may return an exit
    # status. It imports neither Django nor the project, so that a fresh interpreter can run it.
    # Empty if the software needs `manage.py`, or the backend overrides `start_server`.
    runner: ClassVar[str] = ""

    # `web.1` under a supervisor; None in a manage.py process that runs the software alone.
    instance: Optional[str] = None
    # This process was forked from one that has loaded the project. Otherwise it is a manage.py
    # process, run alone or spawned by a supervisor.
    forked: bool = False

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.args = arguments(config.get("ARGS", {}))
        self.env: Mapping[str, str] = config.get("ENV", {})

    def prep_server_args(self) -> Sequence[str]:
        """The arguments for `start_server`, as the software's own command line takes them."""
        return self.args

    # Only type checkers see this signature. Any other signature may override it, so that a backend
    # may name its arguments.
    def start_server(self, *args: Any, **kwargs: Any) -> None:
        """Run the software until it exits, as its own command line does with these arguments."""
        if not self.runner:
            raise NotImplementedError
        run_with(self.runner, args, self.runner_arguments())

    def runner_arguments(self) -> Mapping[str, Any]:
        """Keyword arguments of the runner's `run`, as plain data: numbers, text, lists, dicts."""
        return {}

    def command_line(self) -> Optional[Sequence[str]]:
        """The command line, if `start_server` would only execute it; None if it runs Python code.

        The supervisor then executes the command itself, without the project.
        """
        return None

    def preload(self) -> None:
        """Import what `start_server` needs, so that forked processes share its memory."""

    def problems(self) -> Iterator[Problem]:
        """Find what would keep it from starting. May import the project; must change nothing."""
        yield from ()

    def parse(self) -> object:
        """Parse the arguments with the software's own parser; the type of the result is its own.

        Raises ValueError with the parser's message if they are wrong, and PrintsOnly for `--help`
        and the like. May import the software; must change nothing.
        """
        return None

    def own_context(self, options: Any) -> Mapping[str, Any]:
        """CWD, USER, GROUP and UMASK, as far as the software's own options set them.

        `options` is the result of `parse`.
        """
        return {}

    def work(self) -> str:
        """Identify the work for LOCK: of several processes with the same text, one does it."""
        return repr((type(self).__name__, list(self.args), sorted(self.env.items())))

    def preview(self) -> str:
        """What it would do now, for `prodserver --check`; "" if that is unknown.

        May query a database, and raise any of its errors.
        """
        return ""

    def queue(self) -> Queue:
        """The load of its queues, for all instances; required if `measures` has "queue".

        Called in a process that is forked for this. May raise any error of the broker; must change
        nothing there.
        """
        raise NotImplementedError

    def finishing_command(self) -> Optional[str]:
        """The name of the command that it runs, if known to finish on its own: `migrate`."""
        return None

    def addresses(self) -> Sequence[Address]:
        """Where it will listen. Raises what `parse` raises."""
        return ()

    def why_own_sockets(self, options: Any) -> str:
        """Why it has to bind its addresses itself, with these options of its own; "" otherwise.

        For example "'reuse-port' is set". `options` is the result of `parse`. Called only if
        `takes_sockets` is true.
        """
        return ""

    def recycles(self) -> bool:
        """Whether its own options make it exit with 0 after some work, to be restarted.

        Called before anything starts. False if ARGS are wrong.
        """
        try:
            options = self.parse()
        except (PrintsOnly, ValueError):
            return False
        return self.recycles_with(options)

    def recycles_with(self, options: Any) -> bool:
        """Answer `recycles` for `options`, the result of `parse`."""
        return False

    def patched_by(self, options: Any) -> str:
        """The greenlet library that has to patch Python before anything else is imported, or "".

        "gevent", for example. `options` is the result of `parse`.
        """
        return ""

    def graceful_limit(self, spare: int = 2) -> int:
        """Seconds for in-flight requests or running tasks after the stop signal, at least 1.

        That is `spare` seconds less than STOP_TIMEOUT, so that the software's own limit ends before
        SIGKILL.
        """
        return max(1, int(self.config["STOP_TIMEOUT"]) - spare)

    def skip_checks(self) -> Sequence[str]:
        """Django's option `--skip-checks` under a supervisor, which has run the checks for all."""
        return [] if self.instance is None else ["--skip-checks"]

    def environ(self) -> Mapping[str, str]:
        """The environment that the process will have: the current one plus its ENV."""
        return {**os.environ, "PATH": search_path(os.environ.get("PATH")), **self.env}


def library_of_greenlets(name: object) -> str:
    """The greenlet library in the name of a worker class or pool; "" if there is none."""
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
