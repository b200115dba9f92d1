"""The settings as a value: the processes in their order, and the supervisor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec

from .findings import Finding
from .names import CHOSEN
from .rules import without_groups
from .schema import (
    EffectiveSettings,
    ProcessSettings,
    ServerlessSettings,
    SupervisorSettings,
)
from .texts import duration, memory_size


@dataclass(frozen=True)
class Configuration:
    """The settings, converted. Nothing that they name has been imported yet.

    A process has the valid values of its entry. Mistakes are in `findings`. `wrong` has the keys
    with mistakes of each process, including those that a misspelled key was probably meant to be.
    """

    processes: Mapping[str, ProcessSettings]
    supervisor: SupervisorSettings
    findings: Sequence[Finding] = ()
    wrong: Mapping[str, frozenset[str]] = field(default_factory=dict)
    serverless: ServerlessSettings = field(default_factory=ServerlessSettings)
    # The processes that the variable PRODSERVER_PROCESSES chooses for `--all`.
    chosen: Sequence[str] = ()

    def overridden(self, replicas: Mapping[str, int], **supervisor: Any) -> Configuration:
        """A copy with the command line's values; None means that an option was not given."""
        given = {key: value for key, value in supervisor.items() if value is not None}
        processes = {
            name: process.with_replicas(replicas[name]) if name in replicas else process
            for name, process in self.processes.items()
        }
        supervisor_settings = msgspec.structs.replace(self.supervisor, **given)
        return replace(self, processes=processes, supervisor=supervisor_settings)

    def effective(self, name: str) -> EffectiveSettings:
        """The settings of a process, with the supervisor's defaults for what it does not set."""
        fields = msgspec.structs.asdict(self.processes[name])
        fields["after"] = self.after[name]
        defaults = msgspec.structs.asdict(self.supervisor)
        if fields["type"] == "oneshot":
            # A oneshot must not run again once it has succeeded, and a migration must not be
            # stopped half-way by a memory limit that was meant for servers.
            if defaults["restart"] == "always":
                defaults["restart"] = "on-failure"
            defaults["max_memory"] = None
        fields.update({key: defaults.get(key) for key in fields if fields[key] is None})
        if fields["max_memory"] is not None:
            fields["max_memory"] = memory_size(fields["max_memory"])
        if fields["every"] is not None:
            fields["every"] = duration(fields["every"])
        autoscale = fields["autoscale"]
        if autoscale is not None and fields["replicas"]:
            fields["replicas"] = max(fields["replicas"], autoscale.min)
        return EffectiveSettings(**fields)

    @cached_property
    def after(self) -> Mapping[str, list[str]]:
        """What each process comes after, with "@oneshots" replaced by names."""
        oneshots = [name for name, one in self.processes.items() if one.runs_first]
        after = {name: one.after for name, one in self.processes.items()}
        return without_groups(after, oneshots)

    @property
    def disabled(self) -> Mapping[str, str]:
        """The processes that `--all` leaves out, each with the key or variable that disables it."""
        found = {name: self._disabled_by(name, one) for name, one in self.processes.items()}
        return {name: by for name, by in found.items() if by}

    def _disabled_by(self, name: str, process: ProcessSettings) -> str:
        if self.chosen:
            return "" if name in self.chosen else CHOSEN
        return process.disabled_by

    def not_waited_for(self, names: Collection[str]) -> Mapping[str, list[str]]:
        """For each name, the disabled processes in its AFTER that are not started.

        Those that only "@oneshots" stands for are not included.
        """
        left_out = set(self.disabled) - set(names)
        found = {name: [o for o in self.processes[name].after if o in left_out] for name in names}
        return {name: others for name, others in found.items() if others}

    def starting_order(self, names: Iterable[str]) -> list[str]:
        """Sort the names so that each follows its AFTER, otherwise in the order given.

        Processes in AFTER that are not among `names` are ignored.
        """
        waiting = {name: set(self.after[name]) for name in names}
        order = []
        while waiting:
            name = next(name for name, after in waiting.items() if not after & waiting.keys())
            order.append(name)
            del waiting[name]
        return order
