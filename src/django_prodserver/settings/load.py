"""The settings as typed values, and the rules that hold between them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable

import msgspec
from django.conf import settings

from . import variables
from .convert import EXAMPLE_BACKEND, a, did_you_mean, read_mapping
from .findings import ConfigurationError, Finding
from .schema import (
    FOR_SERVICES,
    EffectiveSettings,
    ProcessSettings,
    SupervisorSettings,
    memory_size,
)
from .variables import Variable

PROCESSES = "PRODUCTION_PROCESSES"
SUPERVISOR = "PRODUCTION_SUPERVISOR"

# A Procfile's names (honcho's and foreman's parsers agree on these).
NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Configuration:
    """What the settings say, in their order; nothing in it has been imported yet."""

    processes: Mapping[str, ProcessSettings]
    supervisor: SupervisorSettings

    def overridden(self, replicas: Mapping[str, int], **supervisor: Any) -> Configuration:
        """With the command line's values in place of its own; None there means not given."""
        given = {key: value for key, value in supervisor.items() if value is not None}
        processes = {
            name: msgspec.structs.replace(process, replicas=replicas.get(name, process.replicas))
            for name, process in self.processes.items()
        }
        return Configuration(processes, msgspec.structs.replace(self.supervisor, **given))

    def effective(self, name: str) -> EffectiveSettings:
        """What counts for a process: its own settings, and the defaults where it has none."""
        values = msgspec.structs.asdict(self.processes[name])
        defaults = msgspec.structs.asdict(self.supervisor)
        if values["type"] == "oneshot":
            # What has finished is not to be started anew, and what migrates a database is not to
            # be stopped half-way because of a limit that was meant for servers.
            if defaults["restart"] == "always":
                defaults["restart"] = "on-failure"
            defaults["max_memory"] = None
        values.update({key: defaults.get(key) for key in values if values[key] is None})
        if values["max_memory"] is not None:
            values["max_memory"] = memory_size(values["max_memory"])
        return EffectiveSettings(**values)

    def starting_order(self, names: Iterable[str]) -> list[str]:
        """Each name behind those that it comes AFTER, otherwise as they are given.

        Who is not among the names is waited for by nobody.
        """
        waiting = {name: set(self.processes[name].after) for name in names}
        order = []
        while waiting:
            name = next(name for name, after in waiting.items() if not after & waiting.keys())
            order.append(name)
            del waiting[name]
        return order


def load(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Read both settings, and the variables that stand in their place.

    Raises ConfigurationError with every mistake in them.
    """
    findings: list[Finding] = []
    entries = _entries(findings)
    given = variables.read(map(str, entries), environ, findings)
    processes = _processes(entries, given, findings)
    supervisor = read_mapping(
        SUPERVISOR, getattr(settings, SUPERVISOR, {}), SupervisorSettings, findings
    )
    supervisor.update(variables.fields(given, None))
    if findings:
        raise ConfigurationError(findings)
    return Configuration(
        {name: ProcessSettings(**values) for name, values in processes.items()},
        SupervisorSettings(**supervisor),
    )


def origins(
    configuration: Configuration,
    names: Iterable[str],
    given: Collection[str],
    environ: Mapping[str, str] = os.environ,
) -> Iterator[tuple[Variable, Any, str]]:
    """Each variable that there is for these processes, what counts in its place, and why.

    `given` are the keys for which the command line has a value.
    """
    entries = getattr(settings, PROCESSES)
    supervisor = getattr(settings, SUPERVISOR, {})
    for variable in variables.variables(names):
        name, key = variable
        chosen: Any = configuration.supervisor if name is None else configuration.effective(name)
        value = getattr(chosen, variable.field)
        own = supervisor if name is None else entries[name]
        inherits = name is not None and key in variables.OF_THE_SUPERVISOR
        if name is None and key in given:
            origin = "command line"
        elif environ.get(str(variable)):
            origin = "environment"
        elif own.get(key) is not None:
            origin = "settings"
        else:
            origin = str(Variable(None, key)) if inherits else "default"
        yield variable, value, origin


def path(name: str, key: str = "") -> str:
    """Where a setting stands, as Python writes it: `PRODUCTION_PROCESSES['web']['ARGS']`."""
    return f"{PROCESSES}[{name!r}]" + (f"[{key!r}]" if key else "")


def unknown(name: str, configured: Iterable[str]) -> str:
    """What to say of a name that no process has."""
    return (
        f"No process named {name!r} in {PROCESSES}. "
        f"{did_you_mean(name, configured)}Configured: {', '.join(configured)}."
    )


# Below, a setting is a mapping of the fields that are right, so that rules about several of them
# hold even where another one is wrong. It becomes a struct once there are no findings.


def _entries(findings: list[Finding]) -> Mapping[Any, Any]:
    entries = getattr(settings, PROCESSES, None)
    example = f"Add {PROCESSES} = {{'web': {{'BACKEND': {EXAMPLE_BACKEND!r}}}}} to your settings."
    if entries is None:
        findings.append(Finding(PROCESSES, "is not set.", example, "W001", warning=True))
    elif not isinstance(entries, Mapping):
        message = f"is {a(entries)}, not a mapping of names to processes."
        findings.append(Finding(PROCESSES, message, example, "E001"))
    elif not entries:
        findings.append(Finding(PROCESSES, "is empty.", example, "E001"))
    else:
        return entries
    return {}


def _processes(
    entries: Mapping[Any, Any], given: Mapping[Variable, Any], findings: list[Finding]
) -> dict[str, dict[str, Any]]:
    processes = {}
    for name, entry in entries.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            hint = "Use letters, digits, - and _ only: the name becomes one in a Procfile."
            findings.append(Finding(PROCESSES, f"has a process named {name!r}.", hint, "E002"))
            continue
        values = read_mapping(path(name), entry, ProcessSettings, findings)
        values.update(variables.fields(given, name))
        findings += _impossible_variables(path(name, "ENV"), values.get("env", {}))
        findings += _not_for_a_oneshot(values, partial(_place, given, name))
        findings += _not_to_be_after(name, values.get("after", ()), entries)
        processes[name] = values
    findings += _circles({name: values.get("after", ()) for name, values in processes.items()})
    return processes


def _place(given: Collection[Variable], name: str, key: str) -> str:
    """Where a value comes from: a variable, or the setting."""
    variable = Variable(name, key)
    return str(variable) if variable in given else path(name, key)


def _impossible_variables(where: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """What environ(7) has no room for."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            hint = "A name is not empty, and has neither '=' nor a null character."
            # What follows may be the value.
            shown = name.partition("=")[0] + "=..." if "=" in name else name
            yield Finding(where, f"has a variable named {shown!r}.", hint, "E004")
        elif "\0" in value:
            yield Finding(f"{where}[{name!r}]", "has a null character in it.", id="E004")
        elif not (_can_be_passed_on(name) and _can_be_passed_on(value)):
            message = "has a character that cannot be encoded."
            yield Finding(f"{where}[{name!r}]", message, id="E004")


def _can_be_passed_on(text: str) -> bool:
    """To another process, which gets bytes."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _not_for_a_oneshot(values: Mapping[str, Any], place: Callable[[str], str]) -> Iterator[Finding]:
    if values.get("type") != "oneshot":
        return
    if values.get("restart") == "always":
        message = "is 'always', but its TYPE is 'oneshot'."
        hint = "Use 'on-failure': a oneshot is done once it exits with 0."
        yield Finding(place("RESTART"), message, hint, "E012")
    for key in FOR_SERVICES:
        if values.get(key.lower()) is not None:
            message = "is for a service, but its TYPE is 'oneshot'."
            hint = "Leave it out: a oneshot is done once it exits with 0."
            yield Finding(place(key), message, hint, "E012")


def _not_to_be_after(name: str, after: Sequence[str], known: Collection[Any]) -> Iterator[Finding]:
    where = path(name, "AFTER")
    for other in dict.fromkeys(after):
        if other == name:
            yield Finding(where, f"names {name!r} itself.", "Leave it out.", "E013")
        elif other not in known:
            message = f"names {other!r}, which is no process."
            others = [str(one) for one in known if one != name]
            hint = f"{did_you_mean(other, others)}Known: {', '.join(others)}."
            yield Finding(where, message, hint if others else "Leave it out.", "E013")


def _circles(after: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Ways over others back to where they began: without the last arrow of each there are none."""
    # Names that are unknown, or of the process itself, are findings already.
    after = {
        name: [other for other in dict.fromkeys(others) if other in after and other != name]
        for name, others in after.items()
    }
    followed: set[str] = set()
    for first in after:
        if first in followed:
            continue
        way = {first: iter(after[first])}
        while way:
            here = next(reversed(way))
            following = next(way[here], None)
            if following is None:
                followed.add(here)
                del way[here]
            elif following in way:
                names = list(way)
                circle = " -> ".join([*names[names.index(following) :], following])
                message = f"leads back to it: {circle}."
                hint = "An arrow means 'comes after': take one of them away."
                yield Finding(path(following, "AFTER"), message, hint, "E013")
            elif following not in followed:
                way[following] = iter(after[following])
