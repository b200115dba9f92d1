"""Launches: one for each instance, with the Spec to decide by and the Program to run."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from signal import Signals
from typing import Optional

from django_prodserver.posix.address import SocketAddress
from django_prodserver.posix.context import Context
from django_prodserver.posix.interpreter import path_of_program
from django_prodserver.posix.probes.targets import CommandTarget, Target
from django_prodserver.posix.program import Program
from django_prodserver.supervisor.spec import (
    CheckSchedule,
    ReadyProbe,
    RestartPolicy,
    Spec,
    process_of,
)
from django_prodserver.supervisor.values import Value

from .addresses import to_connect_to
from .alone import command_alone
from .context import context_of
from .health import probe_targets
from .process import ResolvedProcess, importable_here

# In seconds, between two probes of a process that is not ready. A command is a process each time.
ASK_EVERY = 0.125
COMMAND_EVERY = 1.0


class Launches:
    """The launches of all instances, by their names; scaling may ask for more than REPLICAS.

    Processes in `spawned` get a fresh interpreter, others are forked. Raises ConfigurationError for
    a health check of a host that is not known.
    """

    def __init__(self, processes: Sequence[ResolvedProcess], spawned: Collection[str]) -> None:
        instances = {process.name: process.instances for process in processes}
        here = importable_here(processes)
        serves = to_connect_to(here)
        self._shared = {
            process.name: _Shared(
                process=process,
                # Processes outside this run are not waited for.
                after=frozenset(
                    one for name in process.settings.after for one in instances.get(name, ())
                ),
                serves=serves.get(process.name, ()),
                recycles=process in here and process.recycles,
                execute=command_alone(process) if process.name in spawned else (),
                **probe_targets(process),
                context=context_of(process.settings),
            )
            for process in processes
        }
        self._launches: dict[str, Launch] = {}
        # Those that REPLICAS asks for, in order.
        self.configured = [self.of(one) for name in instances for one in instances[name]]

    def of(self, instance: str) -> Launch:
        """The launch of `web.3`, for example. Raises KeyError if there is no process `web`."""
        launch = self._launches.get(instance)
        if launch is None:
            launch = Launch(self._shared[process_of(instance)], instance)
            self._launches[instance] = launch
        return launch

    def program_of(self, instance: str) -> Program:
        return self.of(instance).program()


class _Shared(Value):
    """What the instances of a process have in common."""

    process: ResolvedProcess
    # Names of instances.
    after: frozenset[str]
    # Where a connection shows that it is ready.
    serves: Sequence[SocketAddress]
    recycles: bool
    # The command of a fresh interpreter, where it is not forked.
    execute: Sequence[str]
    ready: Optional[Target]
    health: Optional[Target]
    context: Context


class Launch:
    """One instance: the supervisor decides by its `spec`, and starts its `program`."""

    def __init__(self, shared: _Shared, instance: str) -> None:
        self.instance = instance
        self._shared = shared
        self._backend = shared.process.new_backend(instance)

    def spec(self) -> Spec:
        backend, given = self._backend, self._shared.process.settings
        check = given.healthcheck
        stop_signal = Signals[given.stop_signal or backend.stop_signal]
        escalation_signal = (
            Signals[backend.escalation_signal] if backend.escalation_signal else None
        )
        return Spec(
            name=self.instance,
            oneshot=given.type == "oneshot",
            after=self._shared.after,
            stop_signal=stop_signal,
            stop_timeout=given.stop_timeout,
            stop_group=backend.stop_group,
            # The same signal again would not escalate.
            escalation_signal=None if escalation_signal is stop_signal else escalation_signal,
            notifies=backend.notifies,
            # Without a known address it counts as ready once it is started.
            connects=backend.connects and bool(self._shared.serves) and given.ready is None,
            ready_probe=self._ready_probe(),
            ready_line=given.ready is not None and given.ready.log is not None,
            ready_timeout=given.ready_timeout,
            success_exit_statuses=backend.success_exit_statuses,
            forwards=frozenset(Signals[name] for name in backend.forwards),
            restart=RestartPolicy(given.restart),
            recycles=self._shared.recycles,
            backoff_initial=given.backoff.initial,
            backoff_max=given.backoff.max,
            start_burst=given.start_limit.burst,
            start_interval=given.start_limit.interval,
            check=(
                CheckSchedule(check.interval, check.timeout, check.retries, check.start_period)
                if check is not None
                else None
            ),
            watchdog=given.watchdog,
            max_memory=given.max_memory,
        )

    def program(self) -> Program:
        process, ready = self._shared.process, self._shared.process.settings.ready
        environ = {
            "PRODSERVER_PROCESS": process.name,
            "PRODSERVER_INSTANCE": self.instance,
            **process.settings.env,
        }
        watchdog = process.settings.watchdog
        return Program(
            name=self.instance,
            start=self._start,
            # Software that re-executes itself runs this: the process alone, not the supervisor.
            argv=[self._program_file(), "prodserver", process.name],
            environ=environ,
            context=self._shared.context,
            execute=self._shared.execute,
            notifies=self._backend.notifies or watchdog is not None,
            watchdog=watchdog,
            serves=self._shared.serves,
            ready=_as_the_process(self._shared.ready, environ, self._shared.context),
            ready_line=None if ready is None else ready.log,
            health=_as_the_process(self._shared.health, environ, self._shared.context),
        )

    def _program_file(self) -> str:
        """sys.argv[0], as it is seen from the folder of the process."""
        return sys.argv[0] if self._shared.context.folder is None else path_of_program()

    def _ready_probe(self) -> Optional[ReadyProbe]:
        ready, target = self._shared.process.settings.ready, self._shared.ready
        if ready is None or target is None:
            return None
        pause = COMMAND_EVERY if isinstance(target, CommandTarget) else ASK_EVERY
        return ReadyProbe(timeout=ready.timeout, pause=pause)

    def _start(self) -> None:
        self._backend.start_server(*self._backend.prep_server_args())


def _as_the_process(
    target: Optional[Target], environ: Mapping[str, str], context: Context
) -> Optional[Target]:
    """A command is run as the instance is that it is run for."""
    if isinstance(target, CommandTarget):
        return CommandTarget(target.argv, environ, context)
    return target
