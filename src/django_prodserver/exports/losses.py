"""What a format does not carry over: a sentence for each process that loses something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .formats import Format
from .workload import Workload, asks_for, is_singleton, stop_signal, unix_sockets

# What the software alone does not do, and neither does who starts it.
_BY_A_SUPERVISOR_ONLY = {
    "ARGS": "is a command of a shell, which does not pass on the stop signal",
    "REPLICAS": "is {0.replicas}, and one is run",
    "STOP_SIGNAL": "is {1}, and SIGTERM is sent",
    "HEALTHCHECK": "is not made",
    "WATCHDOG": "is not watched",
    "MAX_MEMORY": "is not watched",
}


def losses(workloads: Sequence[Workload], to: Format, hooks: bool) -> Iterator[str]:
    """Of all workloads, in order. `hooks` let oneshots run before everything else."""
    for workload in workloads:
        found = [*_of_platform(workload, to)]
        if not workload.together:
            found += [*_of_order(workload, to, hooks), *_without_a_supervisor(workload, to)]
        for sentence in found:
            yield f"{workload.name}: {sentence}"


def _of_platform(workload: Workload, to: Format) -> Iterator[str]:
    if to.longest_grace is not None and workload.grace > to.longest_grace:
        chain = " and ".join(one.name for one in workload.slowest)
        yield (
            f"may take {workload.grace} s to stop (STOP_TIMEOUT of {chain}), but is killed after "
            f"{to.longest_grace} s"
        )
    for process in workload.processes:
        if to.in_container:
            yield from (
                f"{at} is in its own container, which other containers do not see"
                for at in unix_sockets(process)
            )
        given = process.settings
        own = "" if not workload.together else f" of {process.name}"
        for key, value in (("USER", given.user), ("GROUP", given.group)):
            if to.as_one_user and value is not None:
                yield f"{key}{own} is {value!r}, but its container has one user, who is not root"
    if to.in_container and workload.ports and not workload.public_ports:
        yield "listens for its own container only: let it listen at 0.0.0.0"
    if to.one_port and len(workload.public_ports) > 1:
        first, *others = [str(port.number) for port in workload.public_ports]
        yield f"requests go to port {first} only, not to {', '.join(others)}"
    if workload.together and to.in_container and workload.singleton:
        names = ", ".join(one.name for one in workload.processes if is_singleton(one))
        yield f"run one of it, because of {names}"


def _of_order(workload: Workload, to: Format, hooks: bool) -> Iterator[str]:
    first = to.oneshots_first or hooks
    lost = [one.name for one in workload.after if not (first and one.oneshot)]
    if first and workload.oneshot:
        lost = [one.name for one in workload.after if not one.oneshot]
    if to.no_order and lost:
        yield f"does not wait for {' and '.join(lost)}, because {to.no_order}"


def _without_a_supervisor(workload: Workload, to: Format) -> Iterator[str]:
    if to.supervises:
        return
    (process,) = workload.processes
    for asked in asks_for(process, ()):
        key = asked.partition(" ")[0]
        if asked not in to.carries and key in _BY_A_SUPERVISOR_ONLY:
            lost = _BY_A_SUPERVISOR_ONLY[key]
            yield f"{key} {lost.format(process.settings, stop_signal(process))}"
