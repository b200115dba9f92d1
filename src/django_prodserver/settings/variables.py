"""Variables that stand in the place of settings: what operators choose when they deploy.

`PRODSERVER_STOP_TIMEOUT` stands in the place of PRODUCTION_SUPERVISOR["STOP_TIMEOUT"], and
`PRODSERVER_REPLICAS_WEB` in that of PRODUCTION_PROCESSES["web"]["REPLICAS"]. One that is empty
counts as not set. A name of a process is written in capitals, with `_` for `-`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from .convert import fields_of, nearest, read_text
from .findings import Finding
from .schema import ProcessSettings, SupervisorSettings

PREFIX = "PRODSERVER_"

# What is one word, and says how much or how long; what a project consists of is not for operators.
OF_A_PROCESS = (
    "REPLICAS",
    "RESTART",
    "STOP_SIGNAL",
    "STOP_TIMEOUT",
    "READY_TIMEOUT",
    "WATCHDOG",
    "MAX_MEMORY",
    "START_METHOD",
)
OF_THE_SUPERVISOR = (
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
)

# How alike a variable has to be to be taken for one of ours with a mistake. Others are none of
# our business: Kubernetes sets PRODSERVER_SERVICE_HOST where a service is called prodserver.
ALIKE = 0.8


class Variable(NamedTuple):
    """A key of a process, or of the supervisor."""

    process: Optional[str]
    key: str

    @property
    def field(self) -> str:
        return self.key.lower()

    def __str__(self) -> str:
        process = "" if self.process is None else f"_{self.process.upper().replace('-', '_')}"
        return f"{PREFIX}{self.key}{process}"


def variables(processes: Iterable[str]) -> list[Variable]:
    """All that there are for processes of these names."""
    ours = [Variable(None, key) for key in OF_THE_SUPERVISOR]
    return ours + [Variable(name, key) for name in processes for key in OF_A_PROCESS]


def read(
    processes: Iterable[str], environ: Mapping[str, str], findings: list[Finding]
) -> dict[Variable, Any]:
    """What is set, as typed values."""
    known: dict[str, list[Variable]] = {}
    for variable in variables(processes):
        known.setdefault(str(variable), []).append(variable)
    values = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or not text:
            continue
        if name not in known:
            findings += _misspelt(name, known)
            continue
        first, *others = known[name]
        if others:
            both = " and ".join(repr(one.process) for one in known[name])
            hint = "Rename one of the processes, or set it in the settings."
            findings.append(Finding(name, f"could be meant for {both}.", hint, "E003"))
            continue
        mistakes: list[Finding] = []
        value = read_text(name, text, _type(first), mistakes)
        findings += mistakes
        if not mistakes:
            values[first] = value
    return values


def fields(given: Mapping[Variable, Any], process: Optional[str]) -> dict[str, Any]:
    """The values for the fields of a process's settings, or of the supervisor's."""
    return {one.field: value for one, value in given.items() if one.process == process}


def _type(variable: Variable) -> Any:
    kind = SupervisorSettings if variable.process is None else ProcessSettings
    return fields_of(kind)[variable.key].type


def _misspelt(name: str, known: Iterable[str]) -> Iterator[Finding]:
    ours = {one[len(PREFIX) :]: one for one in known}
    word = name[len(PREFIX) :]
    near = nearest(word, ours, ALIKE)
    if near is not None:
        hint = f"Did you mean {ours[near]!r}?"
        yield Finding(name, "is not a known variable.", hint, "E003")
    elif word.startswith(tuple(f"{key}_" for key in OF_A_PROCESS)):
        yield Finding(name, "is for a process that is not configured.", "Unset it.", "E003")
    elif word in fields_of(SupervisorSettings):
        hint = f"{word} is set in the settings alone."
        yield Finding(name, "is not a known variable.", hint, "E003")
