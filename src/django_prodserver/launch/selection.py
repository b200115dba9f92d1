"""Which processes a command line selects, and how many instances of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from django.core.management.base import CommandError

from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.names import PROCESSES
from django_prodserver.settings.schema import ProcessSettings
from django_prodserver.settings.wording import no_such_process
from django_prodserver.supervisor.values import Value

NONE: Mapping[str, str] = {}


class Selection(Value):
    """The names of processes in order, each with its N of NAME=N, or None."""

    counts: Mapping[str, Optional[int]]
    # A supervisor runs them: several processes, --all, NAME=N, or one that needs it.
    supervised: bool
    # Whether the command line names them; and the value of --only-type.
    named: bool = True
    only: Optional[str] = None
    # Processes that --all leaves out, each with the key or variable that disables it.
    disabled: Mapping[str, str] = NONE
    # The processes that do not run because none was named, so only the first service was selected.
    others: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        return list(self.counts)

    def words(
        self, configured: Mapping[str, ProcessSettings], excluded: Sequence[str]
    ) -> list[str]:
        """The arguments of `prodserver` that select them; `excluded` are the names of --except."""
        if self.named:
            if len(self.counts) == 1:
                # A name without a number would run without a supervisor.
                return [f"{name}={configured[name].replicas}" for name in self.counts]
            return [name if n is None else f"{name}={n}" for name, n in self.counts.items()]
        only = ["--only-type", self.only] if self.only else []
        return ["--all", *only, *(["--except", *excluded] if excluded else [])]

    @property
    def replicas(self) -> dict[str, int]:
        """The numbers that override REPLICAS."""
        return {name: count for name, count in self.counts.items() if count is not None}


def without_a_name(name: str, others: Sequence[str]) -> str:
    """The notice for a user who named no process: that only `name` runs, and how to run all."""
    if others:
        return f"Running {name} only, not {', '.join(others)}. All of them: prodserver --all"
    return f"Running {name} in this process. Under the supervisor: prodserver --all"


def select(
    configuration: Configuration,
    words: Sequence[str],
    *,
    everything: bool,
    excluded: Sequence[str] = (),
    only: Optional[str] = None,
    extra: Sequence[str] = (),
    prints: bool,
) -> Selection:
    """Select by NAME and NAME=N, `--all` (`everything`) and `--except` (`excluded`).

    `only` leaves out processes of the other TYPE. Without names, a command that only prints selects
    every process, and others the first service. A disabled process is selected only by its name.
    `extra` are the arguments after `--`. Raises CommandError for a wrong combination.
    """
    configured = configuration.processes
    if everything and words:
        raise CommandError("--all cannot be combined with names.")
    if excluded and (words or not (everything or prints)):
        raise CommandError("--except requires --all.")
    if only and (words or not (everything or prints)):
        raise CommandError("--only-type and --skip-oneshots require --all.")
    counts = _counts(words, configured)
    for name in excluded:
        _must_be_known(name, configured)
    disabled = {} if words else configuration.disabled
    enabled = {name: one for name, one in configured.items() if name not in disabled}
    if not words and not enabled:
        raise CommandError(
            f"Every process of {PROCESSES} is disabled, by ENABLED or REPLICAS: "
            f"{', '.join(configured)}. Name one to run it anyway."
        )
    if everything or (prints and not words):
        counts = {
            name: None
            for name, one in enabled.items()
            if name not in excluded and only in (None, "oneshot" if one.runs_first else "service")
        }
    if not counts and excluded:
        raise CommandError("--except leaves no process to run.")
    if not counts and only:
        raise CommandError(f"There is no {only} to run.")
    others: list[str] = []
    if not counts:
        first = _first_service(enabled)
        counts = {first: None}
        others = [name for name in enabled if name != first]
    if extra and (everything or len(counts) > 1):
        raise CommandError("Arguments after -- require exactly one process name.")
    needed = any(configured[name].needs_supervisor and not is_life_of(name) for name in counts)
    supervised = everything or len(counts) > 1 or any(counts.values()) or needed
    # A process that is named runs even if PRODSERVER_REPLICAS_X is 0.
    counts = {name: n or (None if configured[name].replicas else 1) for name, n in counts.items()}
    disabled = {name: by for name, by in disabled.items() if name not in excluded}
    return Selection(counts, supervised, bool(words), only, disabled, others)


def is_life_of(process: str) -> bool:
    """Whether a supervisor spawned this interpreter as a life of `process`, and has its lock."""
    return os.environ.get("PRODSERVER_INSTANCE", "").startswith(f"{process}.")


def _counts(words: Sequence[str], configured: Iterable[str]) -> dict[str, Optional[int]]:
    counts: dict[str, Optional[int]] = {}
    for word in words:
        name, equals, count = word.partition("=")
        _must_be_known(name, configured)
        if name in counts:
            raise CommandError(f"{name} is named twice; {name}=2 runs two instances of it.")
        counts[name] = _count(word, count) if equals else None
    return counts


def _must_be_known(name: str, configured: Iterable[str]) -> None:
    if name not in configured:
        raise CommandError(no_such_process(name, configured))


def _count(word: str, count: str) -> int:
    if not count.isdecimal() or int(count) < 1:
        raise CommandError(f"{word!r}: the number of instances must be a positive integer.")
    return int(count)


def _first_service(configured: Mapping[str, ProcessSettings]) -> str:
    """The first service, or the first process if all are oneshots."""
    return next(iter([*_services(configured), *configured]))


def _services(configured: Mapping[str, ProcessSettings]) -> list[str]:
    return [name for name, process in configured.items() if process.type == "service"]
