"""Client requests, checked against the current processes. Each mistake is one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import Signals

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import (
    GoalRequest,
    ReloadRequest,
    Request,
    RestartRequest,
    ScaleRequest,
    ShutdownRequest,
    SignalRequest,
)
from django_prodserver.supervisor.facts import Refusal
from django_prodserver.supervisor.group import AT_WORK, present, wanted
from django_prodserver.supervisor.hints import Any, Callable, Union
from django_prodserver.supervisor.snapshot import GroupSnapshot, InstanceSnapshot
from django_prodserver.supervisor.spec import Goal
from django_prodserver.supervisor.values import Value, replace

from .changes import Target
from .documents import has_finished, named

# The most instances of a process: a mistyped number must not fill the machine.
MOST_INSTANCES = 1000


class Refused(Value):
    """A refusal; nothing was changed. `code` is for machines, `status` is the HTTP status."""

    status: int
    code: str
    message: str


class Accepted(Value):
    """What the group is asked to do, and the target of each instance.

    `names` is the request in words: `web`, `web=4`, or `web` and `SIGUSR1`.
    """

    requests: tuple[Request, ...]
    names: tuple[str, ...]
    targets: Mapping[str, Target]


Answer = Union[Accepted, Refused]


def understand(
    verb: str, body: object, snapshot: GroupSnapshot, only_one: Mapping[str, str]
) -> Answer:
    """What a request means; `body` is the client's JSON, decoded.

    `only_one` has the processes that can have only one instance, and why.
    """
    if not isinstance(body, dict):
        return wrong("the body must be a JSON object")
    keys, ask = VERBS[verb]
    unknown = sorted(set(body) - set(keys))
    if unknown or len(body) < len(keys):
        return wrong(f"{verb} takes {_listed(keys) or 'nothing'} in a JSON object")
    if verb != "shutdown" and snapshot.phase not in AT_WORK:
        return Refused(409, "stopping", report.refusal(Refusal.STOPPING))
    return ask(body, snapshot, only_one)


def wrong(message: str) -> Refused:
    """Refuse a request that is not understood."""
    return Refused(400, "bad_request", message)


def no_such_name(name: str) -> Refused:
    return Refused(404, "no_such_name", f"no process or instance is named {name!r}")


# ---- one for each verb ----


def _goal(goal: Goal, target: Target) -> Callable[..., Answer]:
    def ask(body: Mapping[str, Any], snapshot: GroupSnapshot, _: object) -> Answer:
        def target_of(instance: InstanceSnapshot) -> Target:
            # A oneshot that has finished runs again.
            again = target is Target.UP and (has_finished(instance) or instance.planned)
            return Target.REPLACED if again else target

        return _of_names(
            body["names"], snapshot, lambda name: GoalRequest(name, goal), present, target_of
        )

    return ask


def _restart(body: Mapping[str, Any], snapshot: GroupSnapshot, _: object) -> Answer:
    return _of_names(body["names"], snapshot, RestartRequest, wanted, lambda _: Target.REPLACED)


def _signal(body: Mapping[str, Any], snapshot: GroupSnapshot, _: object) -> Answer:
    signal = _signal_of(body["signal"])
    if signal is None:
        return wrong(f"{body['signal']!r} is not a signal: write a name such as 'HUP', or a number")
    sent = signal
    found = _of_names(
        body["names"],
        snapshot,
        lambda name: SignalRequest(name, sent),
        wanted,
        lambda _: Target.ANYTHING,
    )
    if isinstance(found, Accepted):
        alive = {one.name for one in snapshot.instances if one.lives}
        asleep = [name for name in found.targets if name not in alive]
        if asleep:
            return Refused(409, "not_running", f"{', '.join(asleep)}: not running")
        return replace(found, names=(*found.names, sent.name))
    return found


def _scale(body: Mapping[str, Any], snapshot: GroupSnapshot, only_one: Mapping[str, str]) -> Answer:
    counts = body["counts"]
    if not isinstance(counts, dict) or not counts:
        return wrong("'counts' must be an object with a number for each process")
    targets: dict[str, Target] = {}
    for process, count in counts.items():
        numbered = isinstance(count, int) and not isinstance(count, bool)
        if not numbered or not 0 <= count <= MOST_INSTANCES:
            accepted = f"must be an integer from 0 to {MOST_INSTANCES}"
            return wrong(f"the count of {process} {accepted}; got {count!r}")
        members = [one.name for one in snapshot.instances if one.process == process]
        if not members:
            return no_such_name(process)
        if count > 1 and process in only_one:
            message = f"there can be only one instance of {process}: {only_one[process]}"
            return Refused(409, "only_one", message)
        kept = [f"{process}.{number}" for number in range(1, count + 1)]
        targets.update(dict.fromkeys(members, Target.DOWN))
        targets.update(dict.fromkeys(kept, Target.UP))
    requests = tuple(ScaleRequest(process, count) for process, count in counts.items())
    return Accepted(requests, tuple(f"{name}={n}" for name, n in counts.items()), targets)


def _shutdown(body: object, snapshot: GroupSnapshot, _: object) -> Answer:
    return Accepted((ShutdownRequest(),), (), {one.name: Target.GONE for one in snapshot.instances})


def _reload(body: object, snapshot: GroupSnapshot, _: object) -> Answer:
    return Accepted((ReloadRequest(),), (), {})


# By verb: the keys of its body, and the function that understands it.
VERBS: Mapping[str, tuple[Sequence[str], Callable[..., Answer]]] = {
    "start": (("names",), _goal(Goal.UP, Target.UP)),
    "stop": (("names",), _goal(Goal.DOWN, Target.DOWN)),
    "restart": (("names",), _restart),
    "signal": (("names", "signal"), _signal),
    "scale": (("counts",), _scale),
    "reload": ((), _reload),
    "shutdown": ((), _shutdown),
}


def _of_names(
    names: object,
    snapshot: GroupSnapshot,
    ask: Callable[[str], Request],
    select: Callable[[Sequence[InstanceSnapshot]], list[InstanceSnapshot]],
    target_of: Callable[[InstanceSnapshot], Target],
) -> Answer:
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        return wrong("'names' must be a list of names of processes or instances")
    names = list(dict.fromkeys(names))
    targets: dict[str, Target] = {}
    for name in names:
        found = named(name, snapshot)
        if not found:
            return no_such_name(name)
        targets.update({one.name: target_of(one) for one in select(found)})
    return Accepted(tuple(ask(name) for name in names), tuple(names), targets)


def _signal_of(given: object) -> Union[Signals, None]:
    """`HUP`, `SIGHUP` and 1 are the same."""
    if isinstance(given, str) and not given.isdecimal():
        word = given.upper()
        return Signals.__members__.get(word if word.startswith("SIG") else f"SIG{word}")
    try:
        return Signals(int(given)) if isinstance(given, (int, str)) else None
    except ValueError:
        return None


def _listed(keys: Sequence[str]) -> str:
    return " and ".join(f"'{key}'" for key in keys)
