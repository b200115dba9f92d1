"""Read the settings, and the environment variables that override them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from django.conf import settings

from . import rules, variables
from .configuration import Configuration
from .convert import convert_mapping
from .findings import ConfigurationError, Finding
from .names import PROCESS_NAME, PROCESSES, SUPERVISOR, place_of
from .schema import ProcessSettings, SupervisorSettings
from .variables import Variable
from .wording import EXAMPLE_BACKEND, with_article


def load(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read both settings and the variables. Raises ConfigurationError with every mistake."""
    findings: list[Finding] = []
    entries = _entries(findings)
    overrides = variables.read(map(str, entries), environ, findings)
    processes = _processes(entries, overrides, findings)
    supervisor = convert_mapping(
        SUPERVISOR, getattr(settings, SUPERVISOR, {}), SupervisorSettings, findings
    )
    supervisor.update(variables.fields(overrides, None))
    if findings:
        raise ConfigurationError(findings)
    return Configuration(
        {name: ProcessSettings(**fields) for name, fields in processes.items()},
        SupervisorSettings(**supervisor),
    )


def _entries(findings: list[Finding]) -> Mapping[Any, Any]:
    """PRODUCTION_PROCESSES, or an empty mapping where it cannot be used."""
    entries = getattr(settings, PROCESSES, None)
    example = f"Add {PROCESSES} = {{'web': {{'BACKEND': {EXAMPLE_BACKEND!r}}}}} to your settings."
    if entries is None:
        findings.append(Finding(PROCESSES, "is not set.", example, "W001", warning=True))
    elif not isinstance(entries, Mapping):
        message = f"is {with_article(entries)}, not a mapping of names to processes."
        findings.append(Finding(PROCESSES, message, example, "E001"))
    elif not entries:
        findings.append(Finding(PROCESSES, "is empty.", example, "E001"))
    else:
        return entries
    return {}


def _processes(
    entries: Mapping[Any, Any], overrides: Mapping[Variable, Any], findings: list[Finding]
) -> dict[str, dict[str, Any]]:
    """The correct fields of each process: a struct would need all of them."""
    processes = {}
    for name, entry in entries.items():
        if not isinstance(name, str) or not PROCESS_NAME.fullmatch(name):
            hint = "Use letters, digits, - and _ only: the name becomes one in a Procfile."
            findings.append(Finding(PROCESSES, f"has a process named {name!r}.", hint, "E002"))
            continue
        fields = convert_mapping(place_of(name), entry, ProcessSettings, findings)
        fields.update(variables.fields(overrides, name))
        findings += rules.of_env(place_of(name, "ENV"), fields.get("env", {}))
        findings += rules.of_oneshot(fields, partial(_source, overrides, name))
        findings += rules.of_after(name, fields.get("after", ()), entries)
        processes[name] = fields
    findings += rules.of_cycles({name: one.get("after", ()) for name, one in processes.items()})
    return processes


def _source(overrides: Collection[Variable], process: str, key: str) -> str:
    """The place that a value comes from: the variable, or else the setting."""
    variable = Variable(process, key)
    return str(variable) if variable in overrides else place_of(process, key)
