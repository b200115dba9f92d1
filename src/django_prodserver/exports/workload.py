"""Workloads: the units that a platform starts and stops, with all it has to know about each.

A workload is one process (alone, or under a supervisor of its own), or one supervisor with all
processes. Every format is written from these values.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Optional, Union

from django.conf import settings

from django_prodserver.backends.base import Address, PrintsOnly
from django_prodserver.launch.addresses import probed_address
from django_prodserver.launch.holding import holding, listeners_of
from django_prodserver.launch.launch import autoscale_of
from django_prodserver.launch.process import ResolvedProcess, importable_here
from django_prodserver.posix.address import Binding, Listener
from django_prodserver.settings.names import in_variables
from django_prodserver.settings.schema import EffectiveSettings
from django_prodserver.settings.texts import Place, path_or_url, tcp_address
from django_prodserver.supervisor.spec import Autoscale

# A platform waits this many seconds longer than the stop timeouts, so that the supervisor (or the
# software) can log what happened before the platform kills it.
MARGIN = 5
# An instance above its MAX_MEMORY is restarted gracefully. The platform's limit kills, so it is
# higher by this factor.
HEADROOM = 1.25
# How long a platform waits for the oneshots that run before the services, in seconds.
ONESHOTS_TAKE = 600


# What scales a Kubernetes Deployment: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.
HPA, KEDA = "HPA", "KEDA"


@dataclass(frozen=True)
class Port:
    """A TCP port that a server listens on."""

    number: int
    # Reachable from outside this machine or container.
    public: bool
    tls: bool = False


@dataclass(frozen=True)
class Stream:
    """An address for systemd.socket(5); `v6only` is for IPv6, `mode` (octal) for a Unix socket."""

    address: str
    v6only: Optional[bool] = None
    mode: str = ""


@dataclass(frozen=True)
class Check:
    """A check that the platform itself runs: an HTTP request, a connection, or a command.

    Times are in whole seconds, rounded up: no platform accepts fractions.
    """

    port: int = 0
    path: str = ""
    tls: bool = False
    command: Sequence[str] = ()
    interval: int = 10
    timeout: int = 5
    retries: int = 3
    start_period: int = 0

    @property
    def kind(self) -> str:
        return "COMMAND" if self.command else "HTTP" if self.path else "TCP"


@dataclass(frozen=True)
class Workload:
    """A unit that a platform runs, by a unique `name`.

    `command` runs it. `needs` lists the keys that require a supervisor for a process that could
    otherwise run alone. `after` lists the workloads that it starts after.
    """

    name: str
    processes: Sequence[ResolvedProcess]
    command: Sequence[str]
    supervised: bool
    # One supervisor runs all processes, or all that were named.
    all_in_one: bool = False
    needs: Sequence[str] = ()
    after: Sequence[Workload] = ()
    # How many copies the platform runs; or what scales it there by its AUTOSCALE: HPA or KEDA.
    replicas: int = 1
    scaled: str = ""

    @property
    def settings(self) -> EffectiveSettings:
        """The settings of its only process; of the first, if there are several."""
        return self.processes[0].settings

    @property
    def has_health(self) -> bool:
        """Whether `prodctl health` can check it: it has a supervisor, which does not end."""
        return self.supervised and not self.oneshot

    @property
    def autoscale(self) -> Optional[Autoscale]:
        return autoscale_of(self.settings)

    @property
    def monitored(self) -> bool:
        """Whether the platform queries its MONITOR."""
        return (self.all_in_one and not self.oneshot) or self.scaled == KEDA

    @property
    def process(self) -> Optional[ResolvedProcess]:
        """Its only process; None if one supervisor runs all processes."""
        return None if self.all_in_one else self.processes[0]

    @property
    def oneshot(self) -> bool:
        return all(is_oneshot(process) for process in self.processes)

    @property
    def cron(self) -> str:
        """Its SCHEDULE, if the platform runs it on schedule; "" if a supervisor does."""
        return "" if self.supervised else self.settings.schedule or ""

    @property
    def zone(self) -> str:
        return settings.TIME_ZONE or "UTC"

    @property
    def singleton(self) -> bool:
        """Whether it must not run twice at once."""
        return any(is_singleton(process) for process in self.processes)

    @property
    def stop_signal(self) -> str:
        """What asks it to stop, such as SIGINT. SIGTERM for a supervisor, which translates it."""
        return "SIGTERM" if self.supervised else stop_signal(self.processes[0])

    @property
    def stops_within(self) -> int:
        """How long it may take to stop after that signal, in seconds."""
        return math.ceil(seconds(self.slowest))

    @property
    def grace(self) -> int:
        """How long a platform must wait before it kills it, in seconds."""
        return self.stops_within + MARGIN

    @property
    def slowest(self) -> Sequence[ResolvedProcess]:
        """The chain of processes that stop one after another and take longest."""
        return longest_chain(self.processes)

    @cached_property
    def ports(self) -> Sequence[Port]:
        """The ports of its servers, each once."""
        return list({one.number: one for p in self.processes for one in ports(p)}.values())

    @property
    def public_ports(self) -> Sequence[Port]:
        return [port for port in self.ports if port.public]

    @property
    def check(self) -> Optional[Check]:
        """The HEALTHCHECK of its process; None if a platform cannot run it."""
        return None if self.process is None else check_of(self.process)

    @property
    def ready_timeout(self) -> int:
        """Seconds within which it must be ready; oneshots have no limit."""
        services = [one for one in self.processes if not is_oneshot(one)]
        return math.ceil(max((one.settings.ready_timeout for one in services), default=0))

    @property
    def starts_within(self) -> int:
        """Seconds until a platform sees it ready, at the latest."""
        check, oneshots = self.check, any(is_oneshot(one) for one in self.processes)
        # Oneshots before the services may take long.
        before = ONESHOTS_TAKE if oneshots else 0
        return max(self.ready_timeout, 0 if check is None else check.start_period) + before

    @property
    def user(self) -> Union[str, int, None]:
        """The user of its only process."""
        return None if self.all_in_one else self.settings.user

    @property
    def group(self) -> Union[str, int, None]:
        return None if self.all_in_one else self.settings.group

    @property
    def changes_user(self) -> bool:
        """Whether its supervisor changes the user of processes, which only root can do."""
        settings = [one.settings for one in self.processes]
        return self.all_in_one and any(
            one.user is not None or one.group is not None for one in settings
        )

    @property
    def success_statuses(self) -> list[str]:
        """Exit statuses of a clean stop, besides 0 and death by signal."""
        statuses = self.processes[0].backend.success_exit_statuses
        return [] if self.supervised else [str(one) for one in sorted(statuses)]

    @property
    def variable(self) -> str:
        """The suffix of its environment variables: WEB in PRODSERVER_STOP_TIMEOUT_WEB."""
        return in_variables(self.processes[0].name)

    @property
    def memory(self) -> Optional[int]:
        """The sum of MAX_MEMORY over all instances, in bytes; None unless all services have one."""
        limits = [one.settings.max_memory for one in self.processes if not is_oneshot(one)]
        counts = [one.settings.max_instances for one in self.processes if not is_oneshot(one)]
        if self.replicas > 1 or self.scaled:
            counts = [1]
        total = 0
        for limit, count in zip(limits, counts):
            if limit is None:
                return None
            total += limit * count
        return total or None

    @property
    def memory_limit(self) -> Optional[int]:
        """The memory above which the platform kills it, in bytes."""
        return None if self.memory is None else math.ceil(self.memory * HEADROOM)

    @property
    def attempts(self) -> int:
        """How many times a oneshot may be started."""
        given = self.settings
        return 1 if given.restart == "never" else given.start_limit.burst


def all_in_one(
    processes: Sequence[ResolvedProcess], name: str, command: Sequence[str]
) -> list[Workload]:
    """Return one workload: a supervisor with all processes."""
    return [Workload(name, processes, command, supervised=True, all_in_one=True)]


def per_process(
    processes: Sequence[ResolvedProcess],
    names: Mapping[str, str],
    prodserver: Sequence[str],
    carries: Container[str],
    *,
    supervise: bool,
) -> list[Workload]:
    """Return a workload for each of `processes`, which are in starting order.

    `names` are the platform's names for the processes, `prodserver` is the command before a
    process name, and `carries` are the keys that the platform itself implements. If `supervise`, a
    process that sets any other key gets a supervisor of its own.
    """
    awaited = {name for one in processes for name in one.settings.after}
    found: dict[str, Workload] = {}
    for process in processes:
        name = process.name
        needed = needed_keys(process, awaited)
        needs = [key.partition(" ")[0] for key in needed if key not in carries and supervise]
        scaler, count = scaler_of(process), process.settings.replicas
        if f"AUTOSCALE {scaler}" in carries:
            # NAME=1 starts a supervisor that measures the load but does not scale.
            needs, by_platform, word = [*needs, "AUTOSCALE"], 1, f"{name}=1"
        elif process.settings.autoscale is not None:
            # NAME alone starts a supervisor, too: one that scales.
            scaler, by_platform, word = "", 1, name
        else:
            by_platform = count if "REPLICAS" in carries else 1
            word = f"{name}={count // by_platform}" if needs else name
        found[name] = Workload(
            names[name],
            [process],
            [*prodserver, word],
            supervised=bool(needs),
            replicas=by_platform,
            scaled=scaler,
            needs=list(dict.fromkeys(needs)),
            after=[found[other] for other in process.settings.after if other in found],
        )
    return list(found.values())


def needed_keys(process: ResolvedProcess, awaited: Container[str]) -> list[str]:
    """Return the keys that the platform, or else a supervisor, has to implement.

    HEALTHCHECK has its kind appended, as in "HEALTHCHECK HTTP", if a platform could run it.
    """
    given, check = process.settings, check_of(process)
    health = "HEALTHCHECK" if check is None else f"HEALTHCHECK {check.kind}"
    needed = {
        # A shell does not forward a signal that is sent to the shell alone.
        "ARGS": process.backend.stop_group,
        # As PID 1 of a container, a program without a SIGTERM handler ignores SIGTERM
        # (pid_namespaces(7)). The Python programs have a handler.
        "BACKEND": process.becomes_another_program,
        "REPLICAS": given.replicas > 1,
        f"AUTOSCALE {scaler_of(process)}".rstrip(): given.autoscale is not None,
        "STOP_SIGNAL": stop_signal(process) != "SIGTERM",
        health: given.healthcheck is not None,
        "WATCHDOG": given.watchdog is not None,
        "MAX_MEMORY": given.max_memory is not None,
        "SOCKETS": bool(held_listeners(process)),
        "AFTER": process.name in awaited and not is_oneshot(process),
        # `prodserver NAME` runs these two under a supervisor anyway.
        "SCHEDULE": given.schedule is not None,
        "EVERY": given.every is not None,
        # A SCHEDULE needs neither: its scheduler never runs it twice at once.
        "LOCK": given.lock is not None and given.schedule is None,
        "SINGLETON": given.singleton and given.schedule is None,
    }
    return [key for key, is_needed in needed.items() if is_needed]


# ---- one process ----


def is_oneshot(process: ResolvedProcess) -> bool:
    return process.settings.runs_first


def is_singleton(process: ResolvedProcess) -> bool:
    if process.settings.singleton:
        return False
    backend = process.backend
    return backend.singleton or any(process.option(name) for name in backend.singleton_options)


def scaler_of(process: ResolvedProcess) -> str:
    """Return what could scale it in Kubernetes by its AUTOSCALE; "" if nothing could.

    KEDA asks one pod for the load of all pods, and nothing adds up how busy each pod is.
    """
    autoscale = process.settings.autoscale
    if autoscale is None or autoscale.metric == "busy":
        return ""
    return HPA if autoscale.metric in ("cpu", "memory") else KEDA


def stop_signal(process: ResolvedProcess) -> str:
    return process.settings.stop_signal or process.backend.stop_signal


def addresses(process: ResolvedProcess) -> Sequence[Address]:
    """Return the addresses it listens on; none if its software cannot tell them here."""
    if not importable_here([process]):
        return ()
    try:
        return process.addresses
    except PrintsOnly:
        return ()


def held_listeners(process: ResolvedProcess) -> Sequence[Listener]:
    """Return its listeners, if a supervisor or systemd can hold their sockets."""
    return listeners_of(process) if holding([process]) else ()


def streams(listener: Listener) -> list[Stream]:
    """Return the addresses that systemd is to bind for a listener."""
    if listener.path:
        mode = 0o666 if listener.mode is None else listener.mode
        return [Stream(listener.path, mode=f"{mode:04o}")]
    return [_stream(one) for one in listener.bindings]


def _stream(binding: Binding) -> Stream:
    host, port = binding.address[:2]
    is_ipv6 = ":" in str(host)
    address = f"[{host}]:{port}" if is_ipv6 else f"{host or '0.0.0.0'}:{port}"
    return Stream(address, v6only=binding.v6only if is_ipv6 else None)


def ports(process: ResolvedProcess) -> list[Port]:
    return [
        Port(one.at[1], not is_local(one.at[0]), one.tls)
        for one in addresses(process)
        if not isinstance(one.at, str) and not one.chosen_by_the_system
    ]


def unix_sockets(process: ResolvedProcess) -> list[str]:
    return [one.at for one in addresses(process) if isinstance(one.at, str)]


def is_local(host: str) -> bool:
    """Whether only the same machine, or container, can connect."""
    return host in ("localhost", "::1") or host.startswith("127.")


def check_of(process: ResolvedProcess) -> Optional[Check]:
    """Return its HEALTHCHECK as a platform would run it; None if no platform could.

    A platform connects only to the container or machine, and verifies no certificate.
    """
    given = process.settings.healthcheck
    if given is None or given.verify:
        return None
    place: Optional[Place] = None
    path, tls = "", False
    if given.tcp is not None:
        place = tcp_address(given.tcp)
    elif given.http is not None:
        place, path, tls = path_or_url(given.http)
        served = probed_address(process) if place is None else None
        if served is not None:
            place, tls = served.at, served.tls
    elif given.command is None:
        return None
    if given.command is None:
        if place is None or isinstance(place, str):
            return None
        if place[1] not in [port.number for port in ports(process)]:
            return None
    return Check(
        0 if place is None else int(place[1]),
        path,
        tls,
        given.command or (),
        interval=math.ceil(given.interval),
        timeout=math.ceil(given.timeout),
        retries=given.retries,
        start_period=math.ceil(given.start_period),
    )


def longest_chain(processes: Sequence[ResolvedProcess]) -> list[ResolvedProcess]:
    """Return the services that AFTER makes stop one after another, and that take longest."""
    services = {one.name: one for one in processes if not is_oneshot(one)} or {
        one.name: one for one in processes
    }
    best: dict[str, list[ResolvedProcess]] = {}

    def chain(name: str) -> list[ResolvedProcess]:
        if name not in best:
            before = [chain(other) for other in services[name].settings.after if other in services]
            best[name] = [*max(before, key=seconds, default=[]), services[name]]
        return best[name]

    return max(map(chain, services), key=seconds, default=[])


def seconds(chain: Iterable[ResolvedProcess]) -> float:
    """Return how long they may take to stop, one after another."""
    return sum(one.settings.stop_timeout for one in chain)
