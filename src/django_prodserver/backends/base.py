"""What a backend is: how to start one kind of software, and what a supervisor must know of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Optional, Union

from django_prodserver.posix.notify import notify

# For a backend whose software has a hook: `notify()` says READY=1.
__all__ = ["Address", "BaseServerBackend", "Problem", "notify"]


class Problem(NamedTuple):
    """Something in a process's settings that this software cannot work with."""

    key: str
    message: str
    hint: str = ""


class Address(NamedTuple):
    """Where a server will listen: a host and a port, or the path of a Unix socket."""

    at: Union[tuple[str, int], str]
    # Several processes may listen there at once (SO_REUSEPORT).
    shared: bool = False

    @property
    def chosen_by_the_system(self) -> bool:
        """Port 0: another one for everybody who asks."""
        return not isinstance(self.at, str) and self.at[1] == 0

    def __str__(self) -> str:
        return self.at if isinstance(self.at, str) else f"{self.at[0]}:{self.at[1]}"


class BaseServerBackend:
    """Base class of all backends. A subclass has to define `start_server`, and nothing else.

    It is created with its entry of PRODUCTION_PROCESSES as keyword arguments (`ARGS`, `APP`, ...;
    STOP_TIMEOUT and REPLICAS always among them), and started by
    `backend.start_server(*backend.prep_server_args())`, in a process of its own.
    """

    # Modules that must be importable -> what to `pip install` for it.
    requires: ClassVar[Mapping[str, str]] = {}
    # The signal that asks the software to finish what it has in hand and end.
    stop_signal: str = "SIGTERM"
    # That signal goes to the whole process group, not to the leader alone.
    stop_group: bool = False
    # A second step before SIGKILL, sent after 70 % of the stop timeout.
    escalation_signal: Optional[str] = None
    # It tells by itself when it is ready: READY=1 to NOTIFY_SOCKET.
    notifies: bool = False
    # It is ready once a connection to one of its `addresses` succeeds. With neither: once started.
    connects: bool = False
    # It sends WATCHDOG=1 there, at least every WATCHDOG_USEC microseconds, if that is set.
    pings: bool = False
    # Exit statuses that mean success after the stop signal, beside 0 and death by that signal.
    success_exit_statuses: ClassVar[frozenset[int]] = frozenset()
    # Signals to the supervisor that the software gives a meaning to: SIGUSR1, SIGUSR2.
    forwards: ClassVar[frozenset[str]] = frozenset()
    # Environment variables that the software reads when it is imported.
    import_time_variables: ClassVar[frozenset[str]] = frozenset()
    # Django imports it with INSTALLED_APPS: by now it has read them.
    is_an_app: ClassVar[bool] = False
    # Two of it at once would do everything twice.
    singleton: ClassVar[bool] = False

    # `web.1` where a supervisor runs it; None where it is the manage.py process itself.
    instance: Optional[str] = None

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.args = arguments(config.get("ARGS", {}))

    def prep_server_args(self) -> Sequence[str]:
        """The arguments for `start_server`, as its own command line has them."""
        return self.args

    def start_server(self, *args: str) -> None:
        """Run the software until it ends, as its own command line would with these arguments."""
        raise NotImplementedError

    def preload(self) -> None:
        """Import what `start_server` will need, so that forked processes share it."""

    def problems(self) -> Iterator[Problem]:
        """Find what would keep it from starting. May import the project, must change nothing."""
        yield from ()

    def parse(self) -> object:
        """Let the software's own parser read the arguments; what it makes of them is its own.

        Raises ValueError with its words where they are wrong, and PrintsOnly for `--help` and the
        like. May import the software, must change nothing.
        """
        return None

    def addresses(self) -> Sequence[Address]:
        """Where it will listen. Raises as `parse` does."""
        return ()

    def graceful_limit(self, spare: int = 2) -> int:
        """How long work in hand may take once it is to stop, in whole seconds, 1 at least.

        It ends before the patience of the supervisor does: STOP_TIMEOUT less what is `spare`.
        """
        return max(1, int(self.config["STOP_TIMEOUT"]) - spare)

    def recycles(self) -> bool:
        """Whether, by its own options, it ends with 0 after some work, to be started anew.

        Asked in the supervisor before anything starts; False on wrong ARGS.
        """
        return False


def arguments(args: Union[str, Sequence[str], Mapping[str, Any]]) -> list[str]:
    """ARGS as a command line.

    A string is one argument, a list is taken as it is. In a mapping `{"bind": "x"}` becomes
    `--bind=x`, a one-letter key `-b x`; True and None give the bare flag, False leaves it out, a
    list repeats the option.
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
