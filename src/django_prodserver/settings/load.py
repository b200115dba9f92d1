"""Read the settings, and the environment variables that override them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from django.conf import settings

from . import rules, variables
from .configuration import Configuration
from .convert import convert_mapping, fields_of
from .findings import ConfigurationError, Finding
from .lookalikes import meant_by, settings_like_ours, variables_like_ours
from .names import CHOSEN, PROCESSES, SERVERLESS, SUPERVISOR, is_process_name, place_of
from .schema import OF_BACKENDS, ProcessSettings, ServerlessSettings, SupervisorSettings
from .variables import Variable
from .wording import EXAMPLE_BACKEND, nearest, with_article


def load(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read the settings and the variables. Raises ConfigurationError with every mistake."""
    configuration = read(environ)
    if any(finding.blocks for finding in configuration.findings):
        raise ConfigurationError(configuration.findings)
    return configuration


def read(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Return the valid part of the settings and variables; mistakes are in its `findings`."""
    findings: list[Finding] = []
    entries = _entries(findings)
    overrides = variables.read(map(str, entries), environ, findings)
    processes, wrong = _processes(entries, overrides, findings)
    supervisor = convert_mapping(
        SUPERVISOR, getattr(settings, SUPERVISOR, {}), SupervisorSettings, findings
    )
    supervisor.update(variables.fields(overrides, None))
    serverless = convert_mapping(
        SERVERLESS, getattr(settings, SERVERLESS, {}), ServerlessSettings, findings
    )
    chosen = variables.chosen(processes, environ, findings)
    known = [CHOSEN, *map(str, variables.variables(processes))]
    findings += settings_like_ours(settings, known)
    findings += variables_like_ours(environ, variables.PREFIX, known)
    return Configuration(
        # BACKEND is required, but may be missing or wrong here.
        {name: ProcessSettings(**{"backend": "", **own}) for name, own in processes.items()},
        SupervisorSettings(**supervisor),
        findings,
        wrong,
        ServerlessSettings(**serverless),
        chosen,
    )


def _entries(findings: list[Finding]) -> Mapping[Any, Any]:
    """PRODUCTION_PROCESSES, or an empty mapping if it cannot be used."""
    entries = getattr(settings, PROCESSES, None)
    example = f"Add {PROCESSES} = {{'web': {{'BACKEND': {EXAMPLE_BACKEND!r}}}}} to your settings."
    if entries is None:
        alike = [name for name in dir(settings) if meant_by(name) == PROCESSES]
        example = f"Rename {' or '.join(alike)}, which looks like it." if alike else example
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
) -> tuple[dict[str, dict[str, Any]], dict[str, frozenset[str]]]:
    """The valid fields of each process, and the keys with mistakes.

    The fields are a dict, because a struct would need all of them to be valid.
    """
    processes, wrong = {}, {}
    for name, entry in entries.items():
        if not is_process_name(name):
            findings.append(rules.of_name(name))
            continue
        own: list[Finding] = []
        fields = convert_mapping(place_of(name), entry, ProcessSettings, own)
        fields = {**OF_BACKENDS.get(fields.get("backend", ""), {}), **fields}
        fields.update(variables.fields(overrides, name))
        own += rules.of_env(place_of(name, "ENV"), fields.get("env", {}))
        own += rules.of_oneshot(fields, partial(_source, overrides, name))
        own += rules.of_schedule(fields, partial(_source, overrides, name))
        own += rules.of_autoscale(fields, partial(_source, overrides, name))
        own += rules.of_singleton(fields, partial(_source, overrides, name))
        own += rules.of_after(name, fields.get("after", ()), entries)
        processes[name], wrong[name] = fields, _wrong_keys(name, entry, own)
        findings += own
    findings += rules.of_waiting_for_schedules(processes)
    findings += rules.of_shared_variables(processes)
    findings += rules.of_cycles({name: one.get("after", ()) for name, one in processes.items()})
    return processes, wrong


def _wrong_keys(name: str, entry: Any, findings: Sequence[Finding]) -> frozenset[str]:
    """Its keys with findings. A misspelled key counts as the most similar known one."""
    known = fields_of(ProcessSettings)
    if not isinstance(entry, Mapping):
        return frozenset(known)
    keys = {"BACKEND"} - set(entry)
    for key in entry:
        place = place_of(name, key)
        if any(finding.place.startswith(place) for finding in findings):
            keys.add(key if key in known else nearest(key, known) or "")
    return frozenset(keys)


def _source(overrides: Collection[Variable], process: str, key: str) -> str:
    """The place that a value comes from: the variable, or else the setting."""
    variable = Variable(process, key)
    return str(variable) if variable in overrides else place_of(process, key)
