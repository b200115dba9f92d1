"""The analysis of a startup: what it waited for, and for how long. In JSON types, for clients.

Times are in seconds since the program was started, or since the reload was requested.
"""

from __future__ import annotations

from collections.abc import Iterator

from django_prodserver.supervisor.hints import Any, Optional, Union
from django_prodserver.supervisor.snapshot import GroupSnapshot
from django_prodserver.supervisor.values import Value

from .documents import API, About, Moment, is_shown, not_ready
from .startup import Imported, Load, Pending, Stage, Start, Startup, Startups


class Link(Value):
    """A part of the critical chain: when it was done, and how long it took."""

    # "instance", "preload" or "program".
    kind: str
    name: str
    done: float
    seconds: float


def chain(startup: Startup) -> Iterator[Link]:
    """The critical chain: what kept everything from being ready earlier, the last part first."""
    instance = _last(startup)
    load = None
    while instance is not None:
        start = startup.first[instance]
        load = startup.load_of(instance)
        began = start.asked if load is None else load.ended
        yield Link("instance", instance, start.ready, start.ready - began)
        if load is startup.first_load:
            break
        if load is not None:
            yield _of_load(load)
            # The load began because that instance needed it.
            instance = startup.first_to_need(load) or instance
        instance = startup.waited_for(instance)
    if startup.first_load is not None:
        yield _of_load(startup.first_load)
        before = startup.first_load.began
        yield Link("program", "", before, before - startup.began)


def _last(startup: Startup) -> Optional[str]:
    """The last instance to become ready; the last so far, if not all are."""
    end = startup.ready
    found = [n for n, one in startup.first.items() if end is None or one.ready <= end]
    return found[-1] if found else None


def _waited_for(startup: Startup, instance: str) -> Iterator[str]:
    if instance in startup.first:
        before, load = startup.waited_for(instance), startup.load_of(instance)
        if before is not None:
            yield before
        if load is not None:
            yield _name(load.stage)


def _of_load(load: Load) -> Link:
    return Link("preload", _name(load.stage), load.ended, load.preload.seconds)


def _name(stage: Stage) -> str:
    if stage is None:
        return "preload for oneshots"
    return f"preload after {', '.join(stage)}" if stage else "preload"


def document(
    startups: Startups, snapshot: GroupSnapshot, now: float, about: About, moment: Moment
) -> dict[str, Any]:
    """Everything about the startup of the current load."""
    startup = startups.current

    def since(at: Optional[float]) -> Optional[float]:
        return None if at is None else _rounded(at - startup.began)

    def started(start: Union[Start, Pending, None]) -> Optional[dict[str, Any]]:
        if start is None:
            return None
        began, ready = None, None
        if isinstance(start, Start):
            began, ready = start.started, start.ready
        return {
            "waiting": since(start.waiting),
            "asked": since(start.asked),
            "started": since(began),
            "ready": since(ready),
            "lives": start.lives,
        }

    instances = [one for one in snapshot.instances if is_shown(one)]
    return {
        "api": API,
        "run": about.run,
        "generation": startup.generation,
        "began_at": moment(startup.began - now),
        "ready": since(startup.ready),
        "missing": [] if startup.ready is not None else not_ready(snapshot),
        "chain": [
            {
                "kind": link.kind,
                "name": link.name,
                "done": since(link.done),
                "seconds": _rounded(link.seconds),
            }
            for link in chain(startup)
        ],
        "preloads": [
            {
                "name": _name(load.stage),
                "began": since(load.began),
                "done": since(load.ended),
                "modules": load.preload.modules,
                "importing": _rounded(load.preload.importing),
                "slowest": list(map(_module, load.preload.slowest)),
            }
            for load in startup.loads.values()
        ],
        "instances": [
            {
                "name": one.name,
                "after": list(one.after),
                "waited_for": list(_waited_for(startup, one.name)),
                "first": started(startup.first.get(one.name, startups.pending.get(one.name))),
                "last": started(startup.last.get(one.name)),
            }
            for one in instances
        ],
    }


def _module(imported: Imported) -> dict[str, Any]:
    own, seconds = _rounded(imported.own), _rounded(imported.seconds)
    return {"module": imported.name, "own": own, "seconds": seconds}


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
