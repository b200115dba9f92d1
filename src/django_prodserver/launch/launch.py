"""Launches: how each process is supervised (its Spec) and how it is started (its Program)."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from signal import Signals
from typing import Optional

from django.conf import settings

from django_prodserver.backends.own_program import INSTANCE
from django_prodserver.posix.address import Listener, SocketAddress
from django_prodserver.posix.context import Context
from django_prodserver.posix.interpreter import path_of_program
from django_prodserver.posix.probes.targets import CommandTarget, Target
from django_prodserver.posix.program import Code, Program, Stage
from django_prodserver.settings.schema import DATABASE, EffectiveSettings
from django_prodserver.settings.texts import target
from django_prodserver.supervisor.spec import (
    Autoscale,
    CheckSchedule,
    Exclusion,
    ReadyProbe,
    RestartPolicy,
    Spec,
    process_of,
)
from django_prodserver.supervisor.values import Value

from .addresses import to_connect_to
from .alone import command_alone, own_program
from .context import context_of
from .health import probe_targets
from .holding import holding, listeners_of, starts_first
from .process import ResolvedProcess, importable_here

# Seconds between two probes of a process that is not ready yet. Probing by a command costs more:
# each probe is a new process.
ASK_EVERY = 0.125
COMMAND_EVERY = 1.0


class Launches:
    """How the processes of a run are supervised and started.

    `stages` maps each process to the oneshots that finish before it is loaded. Raises
    ConfigurationError for a health check of an unknown host.
    """

    def __init__(self, processes: Sequence[ResolvedProcess], stages: Mapping[str, Stage]) -> None:
        self._processes = {process.name: process for process in processes}
        instances = {process.name: process.instances for process in processes}
        here = importable_here(processes)
        serves = to_connect_to(here)
        held = holding(processes)
        self._launches = {
            process.name: _Launch(
                process=process,
                # Do not wait for processes outside this run.
                after=frozenset(
                    one for name in process.settings.after for one in instances.get(name, ())
                ),
                listens=listeners_of(process) if process in held else (),
                serves=serves.get(process.name, ()),
                recycles=process in here and process.recycles,
                **probe_targets(process),
                context=context_of(process.settings),
                stage=stages[process.name],
            )
            for process in processes
        }

    @property
    def specs(self) -> list[Spec]:
        """The specs of all instances, in order; REPLICAS says how many."""
        return [
            self._launches[process.name].spec(instance)
            for process in self._processes.values()
            for instance in process.instances
        ]

    def programs(self, names: Iterable[str], spawned: Collection[str] = ()) -> dict[str, Program]:
        """The programs of these processes; those in `spawned` get a fresh interpreter."""
        return {name: self._launches[name].program(name in spawned) for name in names}

    def code_of(self, instance: str) -> Code:
        """The code that a fork runs. Raises KeyError if `web.3` has no process `web`."""
        return self._launches[process_of(instance)].code(instance)


def exclusion_of(given: EffectiveSettings) -> Exclusion:
    if given.singleton:
        return Exclusion.SINGLETON
    return Exclusion.ONCE if given.lock is not None else Exclusion.NONE


def autoscale_of(given: EffectiveSettings) -> Optional[Autoscale]:
    settings = given.autoscale
    if settings is None:
        return None
    return Autoscale(
        metric=settings.metric,
        target=target(settings.metric, settings.target),
        least=settings.min,
        most=settings.max,
        interval=settings.interval,
        stabilization=settings.stabilization,
        divided=settings.metric != "queue-age",
    )


class _Launch(Value):
    """One process: the supervisor makes decisions from the `spec`, and starts the `program`."""

    process: ResolvedProcess
    # Names of the instances that it waits for.
    after: frozenset[str]
    # The sockets that the supervisor binds for it.
    listens: Sequence[Listener]
    # Addresses where a successful connection means that it is ready.
    serves: Sequence[SocketAddress]
    recycles: bool
    ready: Optional[Target]
    health: Optional[Target]
    context: Context
    stage: Stage

    def spec(self, instance: str) -> Spec:
        backend, given = self.process.backend, self.process.settings
        check = given.healthcheck
        stop_signal = Signals[given.stop_signal or backend.stop_signal]
        escalation_signal = (
            Signals[backend.escalation_signal] if backend.escalation_signal else None
        )
        return Spec(
            name=instance,
            oneshot=given.type == "oneshot",
            scheduled=given.scheduled,
            after=self.after,
            stop_signal=stop_signal,
            stop_timeout=given.stop_timeout,
            stop_group=backend.stop_group,
            # Sending the stop signal again would not be an escalation.
            escalation_signal=None if escalation_signal is stop_signal else escalation_signal,
            notifies=self._notifies,
            # Without a known address it counts as ready once it is started.
            connects=backend.connects and bool(self.serves) and given.ready is None,
            ready_probe=self._ready_probe(),
            ready_line=given.ready is not None and given.ready.log is not None,
            ready_timeout=given.ready_timeout,
            success_exit_statuses=backend.success_exit_statuses,
            exit_meanings=backend.exit_meanings,
            forwards=frozenset(Signals[name] for name in backend.forwards),
            restart=RestartPolicy(given.restart),
            recycles=self.recycles,
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
            exclusion=exclusion_of(given),
            autoscale=autoscale_of(given),
            holds=bool(self.listens),
            start_first=starts_first(self.process, bool(self.listens)),
        )

    @property
    def _notifies(self) -> bool:
        # Every server with held sockets notifies, see `BaseServerBackend.takes_sockets`.
        return self.process.backend.notifies or bool(self.listens)

    def program(self, spawned: bool) -> Program:
        process, given = self.process, self.process.settings
        backend = process.backend
        execute = backend.command_line() or ()
        if spawned and not execute:
            execute = self._own_program() or ()
        alone = spawned and not execute
        return Program(
            name=process.name,
            environ=given.env,
            context=self.context,
            execute=command_alone(process) if alone else execute,
            # The command line of a fresh interpreter may have paths relative to this process's
            # folder.
            in_folder=not alone,
            stage=self.stage,
            notifies=self._notifies or given.watchdog is not None,
            watchdog=given.watchdog,
            listens=self.listens,
            serves=self.serves,
            ready=self.ready,
            ready_line=None if given.ready is None else given.ready.log,
            health=self.health,
            cron=given.schedule or "",
            zone=settings.TIME_ZONE or "UTC",
            every=given.every,
            tells_busy=given.autoscale is not None and given.autoscale.metric == "busy",
            lock=DATABASE if given.singleton else given.lock or "",
            work=backend.work() if given.lock else "",
        )

    def code(self, instance: str) -> Code:
        backend = self.process.new_backend(instance)
        backend.forked = True
        return Code(lambda: backend.start_server(*backend.prep_server_args()), self._argv())

    def _own_program(self) -> Optional[Sequence[str]]:
        """The command that runs it without Django.

        None if there is none (see `alone.own_program`), or if its ENV sets a variable that was read
        here already: then a fresh interpreter has to work out the command.
        """
        if self.process.variables_already_read(os.environ):
            return None
        return own_program(self.process.new_backend(INSTANCE), self._argv())

    def _argv(self) -> Sequence[str]:
        """The argv for software that re-executes itself: this process alone, not the supervisor."""
        return [self._program_file(), "prodserver", self.process.name]

    def _program_file(self) -> str:
        """sys.argv[0], made absolute if the process has a folder of its own."""
        return sys.argv[0] if self.context.folder is None else path_of_program()

    def _ready_probe(self) -> Optional[ReadyProbe]:
        ready, target = self.process.settings.ready, self.ready
        if ready is None or target is None:
            return None
        pause = COMMAND_EVERY if isinstance(target, CommandTarget) else ASK_EVERY
        return ReadyProbe(timeout=ready.timeout, pause=pause)
