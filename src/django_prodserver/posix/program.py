"""How to run one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.spec import process_of
from django_prodserver.supervisor.values import Value, replace

from .address import Listener, SocketAddress
from .context import Context
from .probes.targets import CommandTarget, Target

# The oneshots that have finished before the project is loaded, from which a process is forked then;
# None for what is loaded before any of them.
Stage = Optional[tuple[str, ...]]


class Program(Value):
    """What the supervisor knows of it, all of it plain data.

    Where there is a command line to `execute`, that is executed; else code of the project is called
    in a fork of a process that has loaded it, which has the `Code`.
    """

    name: str
    # Added to the environment.
    environ: Mapping[str, str] = MappingProxyType({})
    # The user, group and folder it runs with.
    context: Context = Context()
    execute: Sequence[str] = ()
    # It is executed in the folder of its context, and not in that of the supervisor: the command
    # line of a fresh interpreter may be relative to that.
    in_folder: bool = False
    # Of the project of which it is a fork.
    stage: Stage = ()
    # It gets a socket to report to.
    notifies: bool = False
    # Seconds between two WATCHDOG=1, at most; it is told so.
    watchdog: Optional[float] = None
    # The addresses at which the supervisor listens for it.
    listens: Sequence[Listener] = ()
    # Where it can be connected to once it is ready, and what is probed instead, to know that.
    serves: Sequence[SocketAddress] = ()
    ready: Optional[Target] = None
    # A line of its output that has this regular expression in it tells the same.
    ready_line: Optional[str] = None
    # What its health check probes.
    health: Optional[Target] = None
    # When it runs again: by a cron expression in a time zone, or after so many seconds.
    cron: str = ""
    zone: str = ""
    every: Optional[float] = None
    # It gets a board, on which it writes how busy it is.
    tells_busy: bool = False
    # Where the lock is that it needs: "database", or the path of a file.
    lock: str = ""
    # What it does, as a text: if others do the same work, one of them does it.
    work: str = ""

    def of(self, instance: str) -> Program:
        """The same of an instance: this one is that of its process."""
        environ = {"PRODSERVER_PROCESS": self.name, "PRODSERVER_INSTANCE": instance, **self.environ}

        def as_the_instance(target: Optional[Target]) -> Optional[Target]:
            if isinstance(target, CommandTarget):
                return replace(target, environ=environ, context=self.context)
            return target

        return replace(
            self,
            name=instance,
            environ=environ,
            ready=as_the_instance(self.ready),
            health=as_the_instance(self.health),
        )


class Programs:
    """The programs of all instances, also of those that are not there yet."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._of_processes = dict(programs)
        self._of_instances: dict[str, Program] = {}

    def of(self, instance: str) -> Program:
        """Raises KeyError if there is no process `web` of `web.1`."""
        if instance not in self._of_instances:
            program = self._of_processes[process_of(instance)]
            self._of_instances[instance] = program.of(instance)
        return self._of_instances[instance]

    def __contains__(self, process: str) -> bool:
        return process in self._of_processes

    @property
    def with_sockets(self) -> Mapping[str, Program]:
        """Those of processes for which the supervisor listens."""
        return {name: one for name, one in self._of_processes.items() if one.listens}

    def update(self, programs: Mapping[str, Program]) -> None:
        """From now on, these are run otherwise."""
        self._of_processes.update(programs)
        self._of_instances.clear()


class Code(Value):
    """Call `start` as if it were the main program, with `argv` as its sys.argv.

    What it raises or leaves running ends as it would in an interpreter of its own.
    """

    start: Callable[[], object]
    argv: Sequence[str]
