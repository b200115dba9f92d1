"""Stages: when each process is loaded, so that imports see what oneshots have created.

A oneshot may create things that are read during imports: static files, translations, tables, a
secret key. So processes that come after it are loaded once it has finished, as with
`manage.py migrate && gunicorn ...`.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Callable

from django.core.management.base import CommandError

from django_prodserver.posix import imports
from django_prodserver.posix.program import Code, Program, Stage
from django_prodserver.posix.randomness import reseed_forks
from django_prodserver.posix.template.plan import Loaded
from django_prodserver.settings.errors import trace
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.schema import EffectiveSettings
from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record
from django_prodserver.supervisor.spec import process_of
from django_prodserver.supervisor.values import replace

from . import errands
from .examine import check
from .launch import Launches
from .leftovers import Leftover
from .preload import preload
from .process import ResolvedProcess
from .start_method import (
    age,
    auto_spawns,
    left_by_preload,
    price,
    start_method_records,
    to_fork,
    to_spawn,
)


def stages_of(processes: Mapping[str, EffectiveSettings]) -> dict[str, Stage]:
    """For each process, the oneshots of this run that it comes after, directly or not.

    A oneshot has None: it is forked from what is loaded before any oneshot runs. The exception is
    a oneshot that comes after one with REFRESH.
    """
    after = {name: given.after for name, given in processes.items()}
    oneshots = {name for name, given in processes.items() if given.runs_first}
    refreshing = {name for name in oneshots if processes[name].refresh}
    stages: dict[str, Stage] = {}
    for name in processes:
        before = _before(name, after) & oneshots
        early = name in oneshots and before.isdisjoint(refreshing)
        stages[name] = None if early else tuple(sorted(before))
    return stages


def with_services(
    stage: Stage, stages: Mapping[str, Stage], processes: Mapping[str, EffectiveSettings]
) -> bool:
    """Whether the stage has a process other than oneshots. Only then is anything preloaded."""
    services = (name for name, given in processes.items() if not given.runs_first)
    return any(stages[name] == stage for name in services)


def _before(name: str, after: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    left = list(after[name])
    while left:
        one = left.pop()
        if one in after and one not in found:
            found.add(one)
            left += after[one]
    return found


class ProjectHere:
    """Implements `posix.starting.Project`: the project is imported in this process.

    `check_project` runs the project's system checks. With `traces`, an error in the project's code
    is shown with its traceback.
    """

    def __init__(
        self,
        processes: Sequence[ResolvedProcess],
        modules: Sequence[str],
        check_project: Callable[[], object],
        stages: Mapping[str, Stage],
        traces: bool = False,
    ) -> None:
        self._processes = processes
        self._modules = modules
        self._check_project = check_project
        self._stages = stages
        self._traces = traces
        self.launches = Launches(processes, stages)
        self._leftovers: Sequence[Leftover] = ()
        # Seconds spent on imports.
        self._spent = age()
        self._loaded: dict[Stage, Loaded] = {}
        self._programs = self.launches.programs([process.name for process in processes])

    def load(self, stage: Stage) -> Loaded:
        """Import what the processes of this stage need, in order to fork them from here.

        An error is in the returned value; a report of several lines is printed instead. A stage
        that is loaded already is not loaded again, and adds nothing to the log.
        """
        if stage in self._loaded:
            return replace(self._loaded[stage], records=())
        records: list[Record] = []
        imports.begin()

        def note(finding: Finding) -> None:
            records.append(report.preload_warning(str(finding)))

        try:
            if stage:
                from django_prodserver.backends.hooks.files_read import forget_files

                forget_files()
            if self._with_services(stage):
                check(self._check_project, note)
            self.load_here(stage, note)
        except ConfigurationError as error:
            if self._traces:
                sys.stderr.write("".join(map(trace, error.causes)))
            return Loaded({}, records, " ".join(str(error).split()), imports.end())
        except CommandError as error:
            sys.stderr.write(f"{error}\n")
            found = "the system checks of the project found errors."
            return Loaded({}, records, found, imports.end())
        return self.loaded(stage, records)

    def load_here(self, stage: Stage, advise: Callable[[Finding], object]) -> None:
        """Import what this stage needs. Raises ConfigurationError."""
        began = age()
        gc.disable()  # The caller may have done this already.
        try:
            if self._with_services(stage):
                forked = to_fork(self._of(stage))
                preload(forked, self._modules if forked else [], advise)
            self._leftovers = left_by_preload()
            reseed_forks()
            gc.freeze()
        finally:
            gc.enable()
        self._spent += age() - began

    def loaded(self, stage: Stage, records: Sequence[Record] = ()) -> Loaded:
        """How the processes of an imported stage are run, and what the import took.

        Call this once per stage, right after its import: it ends the measurement.
        """
        processes, left = self._of(stage), self._leftovers
        spawned = to_spawn(processes, left)
        programs = self.launches.programs([process.name for process in processes], spawned)
        self._programs.update(programs)
        of_methods = start_method_records(processes, left, price(self._spent))
        self._loaded[stage] = Loaded(programs, [*records, *of_methods], preload=imports.end())
        return self._loaded[stage]

    @property
    def forkable(self) -> bool:
        """Whether a fork of this process lacks nothing that the imports created."""
        return not auto_spawns(self._leftovers)

    @property
    def programs(self) -> Mapping[str, Program]:
        return self._programs

    def program_of(self, instance: str) -> Program:
        return self._programs[process_of(instance)].of(instance)

    def code_of(self, instance: str) -> Code:
        return self.launches.code_of(instance)

    def run_errand(self, task: str, request: bytes) -> Iterator[bytes]:
        return errands.run(task, request)

    def _with_services(self, stage: Stage) -> bool:
        settings = {process.name: process.settings for process in self._processes}
        return with_services(stage, self._stages, settings)

    def _of(self, stage: Stage) -> list[ResolvedProcess]:
        return [process for process in self._processes if self._stages[process.name] == stage]
