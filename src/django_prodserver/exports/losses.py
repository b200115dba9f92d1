"""What a format does not carry over: a sentence for each, which begins with the workload."""

from __future__ import annotations

from collections.abc import Iterator

from .formats import Export, Format
from .procfile import is_supervised
from .workload import Workload, is_singleton, needed_keys, stop_signal, unix_sockets

# In seconds: https://kubernetes.io/docs/reference/kubernetes-api/
LONGEST_STABILIZATION = 3600
# What happens to a key that neither the platform nor a supervisor implements.
_NOT_DONE = {
    "ARGS": "is a shell command, and the shell does not pass on the stop signal",
    "REPLICAS": "is {replicas}, but one is run",
    "STOP_SIGNAL": "is {signal}, but SIGTERM is sent",
    "HEALTHCHECK": "is not performed",
    "WATCHDOG": "is not enforced",
    "MAX_MEMORY": "is not enforced",
}


def losses(export: Export, to: Format) -> Iterator[str]:
    """Yield the losses of all workloads, in order."""
    # Hooks run oneshots before everything else.
    hooks = export.options["hooks"] != "none"
    for workload in export.workloads:
        if workload.oneshot and to.no_oneshots:
            yield f"{workload.name}: left out, because it is a oneshot; run it before the rest"
            continue
        found = [*_time_to_stop(workload, to), *_ports(workload, to)]
        found += _autoscale(workload)
        if to.as_one_user:
            found += _users(workload)
        if not workload.all_in_one:
            found += _order(workload, to, hooks)
        if not export.control and to.runs_prodctl and workload.has_health:
            found.append("cannot be checked by prodctl: CONTROL is False")
        if not to.supervises and not is_supervised(workload.settings):
            found += _not_done(workload, to)
        yield from (f"{workload.name}: {sentence}" for sentence in found)


def _time_to_stop(workload: Workload, to: Format) -> Iterator[str]:
    wanted, limit = workload.stops_within, to.longest_grace
    if limit is not None and wanted >= limit:
        chain = " and ".join(one.name for one in workload.slowest)
        yield f"killed {limit} s after its stop signal; STOP_TIMEOUT of {chain} is {wanted} s"


def _autoscale(workload: Workload) -> Iterator[str]:
    rule = workload.autoscale
    if not workload.scaled or rule is None:
        return
    if not rule.least:
        yield "MIN of AUTOSCALE is 0, but one is kept to report the load"
    if rule.stabilization > LONGEST_STABILIZATION:
        yield (
            f"STABILIZATION of AUTOSCALE is {rule.stabilization:g} s, "
            f"but Kubernetes waits for {LONGEST_STABILIZATION} s at most"
        )


def _ports(workload: Workload, to: Format) -> Iterator[str]:
    if not to.in_container:
        return
    for process in workload.processes:
        for path in unix_sockets(process):
            yield f"listens at {path}, which only its own container can reach"
    public = [str(port.number) for port in workload.public_ports]
    if workload.ports and not public:
        yield "listens for its own container only; let it listen at 0.0.0.0"
    if to.one_port and len(public) > 1:
        yield f"gets the requests to port {public[0]} only, not to {' and '.join(public[1:])}"
    if to.public_name and public and workload.name != to.public_name:
        yield f"gets no requests: only a process named {to.public_name} does"
    if workload.all_in_one and workload.singleton:
        names = " and ".join(one.name for one in workload.processes if is_singleton(one))
        yield f"must not run twice at once, because of {names}"


def _users(workload: Workload) -> Iterator[str]:
    for process in workload.processes:
        of = f" of {process.name}" if workload.all_in_one else ""
        for key in ("USER", "GROUP"):
            value = getattr(process.settings, key.lower())
            if value is not None:
                yield f"{key}{of} is {value!r}, but its container has one user, who is not root"


def _order(workload: Workload, to: Format, hooks: bool) -> Iterator[str]:
    first = to.oneshots_first or to.no_oneshots or hooks
    # Oneshots that run first keep their own order, and are done before anything else starts.
    lost = [one.name for one in workload.after if not (first and one.oneshot)]
    if to.no_order and lost:
        yield f"does not wait for {' and '.join(lost)}: {to.no_order}"


def _not_done(workload: Workload, to: Format) -> Iterator[str]:
    (process,) = workload.processes
    values = {"replicas": process.settings.replicas, "signal": stop_signal(process)}
    for needed in needed_keys(process, ()):
        key = needed.partition(" ")[0]
        if needed not in to.carries and key in _NOT_DONE:
            yield f"{key} {_NOT_DONE[key].format_map(values)}"
