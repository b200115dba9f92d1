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

# The oneshots that have finished before the project is loaded to fork certain processes; None for
# the project as loaded before any oneshot.
Stage = Optional[tuple[str, ...]]


class Program(Value):
    """How to run a process or an instance, in plain data.

    If there is a command line to `execute`, it is executed. Otherwise a fork of a process that has
    loaded the project calls the project's code (see `Code`).
    """

    name: str
    # Added to the environment.
    environ: Mapping[str, str] = MappingProxyType({})
    # The user, group and folder it runs with.
    context: Context = Context()
    execute: Sequence[str] = ()
    # Whether it is executed in the folder of its context. Otherwise it is executed in the folder of
    # the supervisor, to which the command line of a fresh interpreter may be relative.
    in_folder: bool = False
    # The stage of the project that it is forked from.
    stage: Stage = ()
    # Whether it gets a socket to report to.
    notifies: bool = False
    # The most seconds between two WATCHDOG=1; passed on in WATCHDOG_USEC.
    watchdog: Optional[float] = None
    # The addresses at which the supervisor listens for it.
    listens: Sequence[Listener] = ()
    # The addresses at which it accepts connections once it is ready; what to probe instead, if set.
    serves: Sequence[SocketAddress] = ()
    ready: Optional[Target] = None
    # It is ready once a line of its output matches this regular expression.
    ready_line: Optional[str] = None
    # What its health check probes.
    health: Optional[Target] = None
    # When it runs again: a cron expression and its time zone, or an interval in seconds.
    cron: str = ""
    zone: str = ""
    every: Optional[float] = None
    # Whether it gets a board, on which it writes how busy it is.
    tells_busy: bool = False
    # The lock that it needs: "database", or the path of a file.
    lock: str = ""
    # Identifies its work: of several supervisors with the same work, only one does it.
    work: str = ""

    def of(self, instance: str) -> Program:
        """The program of an instance; this one is the program of its process."""
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
    """The programs of all instances, including instances that do not exist yet."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._of_processes = dict(programs)
        self._of_instances: dict[str, Program] = {}

    def of(self, instance: str) -> Program:
        """The program of an instance `web.1`. Raises KeyError if there is no process `web`."""
        if instance not in self._of_instances:
            program = self._of_processes[process_of(instance)]
            self._of_instances[instance] = program.of(instance)
        return self._of_instances[instance]

    def __contains__(self, process: str) -> bool:
        return process in self._of_processes

    @property
    def with_sockets(self) -> Mapping[str, Program]:
        """The programs of processes for which the supervisor listens."""
        return {name: one for name, one in self._of_processes.items() if one.listens}

    def update(self, programs: Mapping[str, Program]) -> None:
        """Replace the programs of these processes from now on."""
        self._of_processes.update(programs)
        self._of_instances.clear()


class Code(Value):
    """Call `start` as if it were the main program, with `argv` as its sys.argv.

    Exceptions that it raises, and threads that it leaves running, end as they would in an
    interpreter of its own.
    """

    start: Callable[[], object]
    argv: Sequence[str]
