"""Rules that involve several keys, or several processes.

A rule sees only the values that were converted without a mistake, so it is also checked if another
key is wrong. `json_schema` repeats some of the rules.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable

import msgspec

from .findings import Finding
from .names import NAMES_HINT, PROCESSES, in_variables, place_of
from .schema import (
    FOR_SERVICES,
    ONESHOTS,
    PROBES,
    READY_KEYS,
    AutoscaleSettings,
    Backoff,
    HealthCheckSettings,
    ReadySettings,
)
from .texts import path_or_url, target
from .wording import did_you_mean, shown

Fields = Mapping[str, Any]

# The values of METRIC that are measured in the instances themselves.
OF_INSTANCES = ("cpu", "memory", "busy")
# Keys for oneshots, each with the hint for a service that has it.
FOR_ONESHOTS = {
    "REFRESH": "Leave it out.",
    "LOCK": "Use SINGLETON for a service.",
    "SCHEDULE": "Add 'TYPE': 'oneshot'.",
    "EVERY": "Add 'TYPE': 'oneshot'.",
}


# ---- within one mapping ----


def of_mapping(
    struct: type[msgspec.Struct], place: str, given: Mapping[Any, Any], fields: Fields
) -> Iterator[Finding]:
    """Check one mapping: `given` is what the settings have, `fields` its converted values."""
    if struct is HealthCheckSettings:
        yield from _exactly_one(PROBES, "what to probe", place, given)
        yield from _verifies_https(place, fields)
    elif struct is ReadySettings:
        yield from _exactly_one(READY_KEYS, "how to tell that it is ready", place, given)
        yield from _verifies_https(place, fields)
    elif struct is Backoff:
        yield from _initial_up_to_max(place, given, fields)
    elif struct is AutoscaleSettings:
        yield from _target_of_metric(place, fields)
        yield from _from_min_to_max(place, fields)


def _exactly_one(
    keys: Sequence[str], what: str, place: str, given: Mapping[Any, Any]
) -> Iterator[Finding]:
    found = [key for key in keys if given.get(key) is not None]
    hint = f"Set exactly one of {', '.join(keys)}."
    if not found:
        yield Finding(place, f"does not say {what}.", hint, "E004")
    elif len(found) > 1:
        yield Finding(place, f"has {' and '.join(found)} at once.", hint, "E004")


def _verifies_https(place: str, fields: Fields) -> Iterator[Finding]:
    """VERIFY needs a server certificate, so HTTP must be a path or an https URL.

    For a path, `launch.addresses` checks whether the process speaks TLS.
    """
    if not fields.get("verify"):
        return
    url = fields.get("http")
    if url is None and (fields.get("tcp") or fields.get("command") or fields.get("log")):
        message, hint = "is set, but HTTP is not.", "Leave it out."
        yield Finding(f"{place}['VERIFY']", message, hint, "E012")
    elif url is not None and path_or_url(url).at is not None and not path_or_url(url).tls:
        message, hint = "is set, but HTTP is not an https:// URL.", "Leave it out."
        yield Finding(f"{place}['VERIFY']", message, hint, "E012")


def _initial_up_to_max(place: str, given: Mapping[Any, Any], fields: Fields) -> Iterator[Finding]:
    if any(key.upper() in given and key not in fields for key in ("initial", "max")):
        return  # One of them is wrong by itself.
    backoff = Backoff(**fields)
    if backoff.initial > backoff.max:
        message = f"has an INITIAL of {backoff.initial:g} s above its MAX of {backoff.max:g} s."
        hint = "Raise MAX: the pause grows from INITIAL up to it."
        yield Finding(place, message, hint, "E012")


def _target_of_metric(place: str, fields: Fields) -> Iterator[Finding]:
    if "metric" not in fields or "target" not in fields:
        return
    try:
        target(fields["metric"], fields["target"])
    except ValueError as error:
        hint = _TARGETS.get(fields["metric"], "Write a number.")
        yield Finding(f"{place}['TARGET']", f": {error}.", hint, "E012")


_TARGETS = {
    "cpu": "Write a number of cores, such as 0.7.",
    "memory": "Write a size, such as '400MB'.",
    "queue": "Write a number of tasks.",
    "queue-age": "Write a duration, such as '30s'.",
    "busy": "Write a number of requests.",
}


def _from_min_to_max(place: str, fields: Fields) -> Iterator[Finding]:
    least, metric = fields.get("min", 1), fields.get("metric")
    if least > fields.get("max", least):
        message = f"has a MIN of {least} above its MAX of {fields['max']}."
        yield Finding(place, message, "Raise MAX, or lower MIN.", "E012")
    if not least and metric in OF_INSTANCES:
        message = f"is 0, but {metric!r} is measured in the instances."
        yield Finding(f"{place}['MIN']", message, "Use 1 or more.", "E012")


# ---- within one process ----


def of_oneshot(process: Fields, place: Callable[[str], str]) -> Iterator[Finding]:
    """A oneshot cannot have RESTART "always". Neither TYPE has keys that are for the other.

    `place` returns where the value of a key comes from: a setting, or a variable.
    """
    if process.get("type") != "oneshot":
        for key, hint in FOR_ONESHOTS.items():
            if process.get(key.lower()):
                message = "is for a oneshot, but its TYPE is 'service'."
                yield Finding(place(key), message, hint, "E012")
        return
    if process.get("restart") == "always":
        message = "is 'always', but its TYPE is 'oneshot'."
        hint = "Use 'on-failure': a oneshot is done once it exits with 0."
        yield Finding(place("RESTART"), message, hint, "E012")
    for key in FOR_SERVICES:
        if process.get(key.lower()) is not None:
            message = "is for a service, but its TYPE is 'oneshot'."
            hint = "Leave it out: a oneshot is done once it exits with 0."
            yield Finding(place(key), message, hint, "E012")


def of_schedule(process: Fields, place: Callable[[str], str]) -> Iterator[Finding]:
    """SCHEDULE and EVERY exclude each other, and a scheduled process has no REFRESH."""
    if process.get("schedule") is not None and process.get("every") is not None:
        message = "is set, and so is SCHEDULE."
        yield Finding(place("EVERY"), message, "Leave one of them out.", "E012")
    if _is_scheduled(process) and process.get("refresh"):
        message = "is for what runs once, but it has SCHEDULE or EVERY."
        yield Finding(place("REFRESH"), message, "Leave it out.", "E012")


def _is_scheduled(process: Fields) -> bool:
    return process.get("schedule") is not None or process.get("every") is not None


def of_autoscale(process: Fields, place: Callable[[str], str]) -> Iterator[Finding]:
    """AUTOSCALE excludes SINGLETON, and REPLICAS is not above its MAX."""
    autoscale = process.get("autoscale")
    if autoscale is None:
        return
    if process.get("singleton"):
        message = "is set, but SINGLETON allows one instance."
        yield Finding(place("AUTOSCALE"), message, "Leave one of them out.", "E012")
    replicas = process.get("replicas", 1)
    if replicas > autoscale.max:
        message = f"is {replicas}, above the MAX of AUTOSCALE, {autoscale.max}."
        yield Finding(place("REPLICAS"), message, "Raise MAX, or lower REPLICAS.", "E012")


def of_singleton(process: Fields, place: Callable[[str], str]) -> Iterator[Finding]:
    """SINGLETON allows one life at a time across all machines, and is not for a plain oneshot."""
    if not process.get("singleton"):
        return
    if process.get("type") == "oneshot" and not _is_scheduled(process):
        message = "is for a service, but its TYPE is 'oneshot'."
        yield Finding(place("SINGLETON"), message, "Use LOCK for a oneshot.", "E012")
    if process.get("replicas", 1) > 1:
        message = f"is {process['replicas']}, but SINGLETON allows one."
        yield Finding(place("REPLICAS"), message, "Use 1.", "E012")
    if process.get("update_order") == "start-first":
        message = "is 'start-first', but SINGLETON allows one life at a time."
        yield Finding(place("UPDATE_ORDER"), message, "Leave it out.", "E012")


def of_env(place: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """Each variable can be passed to execve(2). Values may be secrets, so none is shown."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            hint = "A name is not empty, and has neither '=' nor a null character."
            # What follows the = may be the value.
            shown = name.partition("=")[0] + "=..." if "=" in name else name
            yield Finding(place, f"has a variable named {shown!r}.", hint, "E004")
        elif "\0" in value:
            yield Finding(f"{place}[{name!r}]", "contains a null character.", id="E004")
        elif not (_can_be_encoded(name) and _can_be_encoded(value)):
            message = "has a character that cannot be encoded."
            yield Finding(f"{place}[{name!r}]", message, id="E004")


def _can_be_encoded(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


# ---- between processes ----


def of_name(name: object) -> Finding:
    """The finding for a name that `is_process_name` rejects."""
    return Finding(PROCESSES, f"has a process named {shown(name)}.", NAMES_HINT, "E002")


def of_shared_variables(names: Iterable[str]) -> Iterator[Finding]:
    """No two names may share variables: those are in capitals, with `_` for `-`."""
    by_variable: dict[str, list[str]] = {}
    for name in names:
        by_variable.setdefault(in_variables(name), []).append(name)
    for ending, alike in by_variable.items():
        if len(alike) > 1:
            message = f"has {' and '.join(map(repr, alike))}, which share their variables."
            hint = f"Rename all but one: PRODSERVER_REPLICAS_{ending} could mean any of them."
            yield Finding(PROCESSES, message, hint, "E002")


def of_waiting_for_schedules(processes: Mapping[str, Fields]) -> Iterator[Finding]:
    """No process comes after a scheduled one."""
    for name, process in processes.items():
        for other in dict.fromkeys(process.get("after", ())):
            if _is_scheduled(processes.get(other, {})):
                message = f"names {other!r}, which runs again and again."
                yield Finding(place_of(name, "AFTER"), message, "Leave it out.", "E013")


def of_after(name: str, after: Iterable[str], configured: Collection[Any]) -> Iterator[Finding]:
    """AFTER names only other processes that are configured."""
    place = place_of(name, "AFTER")
    for other in dict.fromkeys(after):
        if other == name:
            yield Finding(place, f"names {name!r} itself.", "Leave it out.", "E013")
        elif other not in configured and other != ONESHOTS:
            message = f"names {other!r}, which is not a configured process."
            others = [str(one) for one in configured if one != name]
            if other.startswith("@"):
                others.append(ONESHOTS)
            near = did_you_mean(other, [*others, ONESHOTS])
            hint = f"{near}Known: {', '.join(others)}."
            yield Finding(place, message, hint if others else "Leave it out.", "E013")


def without_groups(
    after: Mapping[str, Sequence[str]], oneshots: Collection[str]
) -> dict[str, list[str]]:
    """What each process comes after, with "@oneshots" replaced by names.

    These are all oneshots except the process itself and those that come after it, directly or not.
    If two oneshots both come after "@oneshots", neither waits for the other. So the replacement
    adds no cycle.
    """
    most = {
        name: {*others, *(oneshots if ONESHOTS in others else ())} - {name, ONESHOTS}
        for name, others in after.items()
    }

    def named(name: str, other: str) -> Sequence[str]:
        if other != ONESHOTS:
            return [other]
        return [one for one in oneshots if one != name and name not in _all_before(one, most)]

    return {
        name: list(dict.fromkeys(one for other in others for one in named(name, other)))
        for name, others in after.items()
    }


def _all_before(name: str, after: Mapping[str, Collection[str]]) -> set[str]:
    """Every process that it comes after, directly or not."""
    found: set[str] = set()
    new = {name}
    while new:
        new = {other for one in new for other in after.get(one, ())} - found
        found |= new
    return found


def of_cycles(after: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """AFTER has no cycles. Each one found is reported at the process where it closes.

    This is a depth-first search: `way` is the path from the first process to the current one, each
    with an iterator over the neighbours that are still to be visited.
    """
    # `of_after` reports unknown names, and a process that names itself.
    after = {
        name: [other for other in dict.fromkeys(others) if other in after and other != name]
        for name, others in after.items()
    }
    done: set[str] = set()
    for first in after:
        if first in done:
            continue
        way = {first: iter(after[first])}
        while way:
            current = next(reversed(way))
            following = next(way[current], None)
            if following is None:
                done.add(current)
                del way[current]
            elif following in way:
                names = list(way)
                cycle = " -> ".join([*names[names.index(following) :], following])
                message = f"is a cycle: {cycle}."
                hint = "'->' means 'comes after'; remove one of these AFTER entries."
                yield Finding(place_of(following, "AFTER"), message, hint, "E013")
            elif following not in done:
                way[following] = iter(after[following])
