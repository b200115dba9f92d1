"""What the settings say, as a value: the processes in their order, and the supervisor."""

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

    A process has what is right in its entry. What is wrong is in `findings`; `wrong` has the keys
    by process, those that cannot be told from a misspelled one among them.
    """

    processes: Mapping[str, ProcessSettings]
    supervisor: SupervisorSettings
    findings: Sequence[Finding] = ()
    wrong: Mapping[str, frozenset[str]] = field(default_factory=dict)
    serverless: ServerlessSettings = field(default_factory=ServerlessSettings)
    # What `--all` means, where a variable says so.
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
            # Once it has succeeded it must not run again, and a migration must not be stopped
            # half-way by a limit that was meant for servers.
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
        """What each process comes after; names override "@oneshots"."""
        oneshots = [name for name, one in self.processes.items() if one.runs_first]
        after = {name: one.after for name, one in self.processes.items()}
        return without_groups(after, oneshots)

    @property
    def disabled(self) -> Mapping[str, str]:
        """Those that `--all` leaves out, each with what disables it: a key, or a variable."""
        found = {name: self._disabled_by(name, one) for name, one in self.processes.items()}
        return {name: by for name, by in found.items() if by}

    def _disabled_by(self, name: str, process: ProcessSettings) -> str:
        if self.chosen:
            return "" if name in self.chosen else CHOSEN
        return process.disabled_by

    def not_waited_for(self, names: Collection[str]) -> Mapping[str, list[str]]:
        """For each of the names the disabled processes that its AFTER has and that are not started.

        Those of "@oneshots" are not among them.
        """
        left_out = set(self.disabled) - set(names)
        found = {name: [o for o in self.processes[name].after if o in left_out] for name in names}
        return {name: others for name, others in found.items() if others}

    def starting_order(self, names: Iterable[str]) -> list[str]:
        """The names, each behind those that it comes AFTER, otherwise in the order given.

        AFTER is ignored where it names a process that is not among them.
        """
        waiting = {name: set(self.after[name]) for name in names}
        order = []
        while waiting:
            name = next(name for name, after in waiting.items() if not after & waiting.keys())
            order.append(name)
            del waiting[name]
        return order
