"""Environment variables that override settings: what operators choose when they deploy.

`PRODSERVER_STOP_TIMEOUT` overrides PRODUCTION_SUPERVISOR["STOP_TIMEOUT"], and
`PRODSERVER_REPLICAS_WEB` overrides PRODUCTION_PROCESSES["web"]["REPLICAS"]: the name of the process
is in capitals, with `_` for `-`. An empty variable counts as not set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from .convert import convert_text, fields_of
from .findings import Finding
from .names import CHOSEN, in_variables
from .schema import CountOrZero, ProcessSettings, SupervisorSettings
from .wording import did_you_mean, nearest

PREFIX = "PRODSERVER_"

# Keys whose value is one word, a number or a time. What makes up a project (BACKEND, ARGS, ENV,
# AFTER, ...) is up to its developers, not to operators.
PROCESS_KEYS = (
    "ENABLED",
    "REPLICAS",
    "USER",
    "GROUP",
    "UMASK",
    "RESTART",
    "STOP_SIGNAL",
    "STOP_TIMEOUT",
    "READY_TIMEOUT",
    "WATCHDOG",
    "MAX_MEMORY",
    "START_METHOD",
)
SUPERVISOR_KEYS = (
    "USER",
    "GROUP",
    "UMASK",
    "RESTART",
    "STOP_TIMEOUT",
    "READY_TIMEOUT",
    "MAX_MEMORY",
    "START_METHOD",
    "LOG_FORMAT",
    "TIMESTAMPS",
    "COLOR",
    "STDERR",
    "MAX_LINE",
    "CONTROL",
    "CONTROL_GROUP",
    "MONITOR",
)

# Variables that a supervisor sets for its processes; their child processes inherit them.
TOLD = frozenset({f"{PREFIX}PROCESS", f"{PREFIX}INSTANCE"})

# A variable that is at least this similar to one of ours is reported as misspelled. Others are
# ignored: Kubernetes sets PRODSERVER_SERVICE_HOST if a service is called prodserver.
ALIKE = 0.8


class Variable(NamedTuple):
    """A variable for a key of a process, or of the supervisor if `process` is None."""

    process: Optional[str]
    key: str

    @property
    def field(self) -> str:
        return self.key.lower()

    @property
    def type(self) -> Any:
        if self.key == "REPLICAS":
            return CountOrZero  # 0 disables the process, as ENABLED does.
        struct = SupervisorSettings if self.process is None else ProcessSettings
        return fields_of(struct)[self.key].type

    def __str__(self) -> str:
        process = "" if self.process is None else f"_{in_variables(self.process)}"
        return f"{PREFIX}{self.key}{process}"


def variables(processes: Iterable[str]) -> list[Variable]:
    """All variables of the supervisor and of these processes, set or not."""
    ours = [Variable(None, key) for key in SUPERVISOR_KEYS]
    return ours + [Variable(name, key) for name in processes for key in PROCESS_KEYS]


def read(
    processes: Iterable[str], environ: Mapping[str, str], findings: list[Finding]
) -> dict[Variable, Any]:
    """The variables that are set, with their values converted."""
    # `rules` rejects processes that share a variable.
    known = {str(variable): variable for variable in variables(processes)}
    overrides = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or not text or name == CHOSEN or name in TOLD:
            continue
        if name not in known:
            findings += _unknown(name, [*known, CHOSEN])
            continue
        variable = known[name]
        mistakes: list[Finding] = []
        value = convert_text(name, text, variable.type, mistakes)
        findings += mistakes
        if not mistakes:
            overrides[variable] = value
    return overrides


def chosen(
    processes: Collection[str], environ: Mapping[str, str], findings: list[Finding]
) -> list[str]:
    """The processes that CHOSEN names; empty if it is not set."""
    names = [name.strip() for name in environ.get(CHOSEN, "").split(",") if name.strip()]
    for name in names:
        if name not in processes:
            message = f"names {name!r}, which is not a process."
            hint = f"{did_you_mean(name, processes)}Configured: {', '.join(processes)}."
            findings.append(Finding(CHOSEN, message, hint, "E003"))
    return [name for name in names if name in processes]


def fields(overrides: Mapping[Variable, Any], process: Optional[str]) -> dict[str, Any]:
    """The overridden fields of a process, or of the supervisor if `process` is None."""
    return {one.field: value for one, value in overrides.items() if one.process == process}


def _unknown(name: str, known: Iterable[str]) -> Iterator[Finding]:
    ours = {one[len(PREFIX) :]: one for one in known}
    word = name[len(PREFIX) :]
    near = nearest(word, ours, ALIKE)
    if near is not None:
        hint = f"Did you mean {ours[near]!r}?"
        yield Finding(name, "is not a known variable.", hint, "E003")
    elif word.startswith(tuple(f"{key}_" for key in PROCESS_KEYS)):
        yield Finding(name, "is for a process that is not configured.", "Unset it.", "E003")
    elif word in fields_of(SupervisorSettings):
        hint = f"{word} can only be set in settings."
        yield Finding(name, "is not a known variable.", hint, "E003")
