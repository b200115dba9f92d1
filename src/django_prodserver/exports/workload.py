"""Workloads: what a platform starts and stops, and all that it has to know of each.

A workload is one process, run alone or under a supervisor of its own, or one supervisor with all of
them. Every format is written from these values.
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

# A platform waits so many seconds longer than the stop timeouts: the supervisor, or the software,
# is to say what happened before it is killed itself.
MARGIN = 5
# An instance above its MAX_MEMORY is restarted gracefully. The platform's limit, which kills, is
# higher by this factor.
HEADROOM = 1.25
# For how long a platform is patient with oneshots that run before the services, in seconds.
ONESHOTS_TAKE = 600


# What scales Deployments of Kubernetes: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.
HPA, KEDA = "HPA", "KEDA"


@dataclass(frozen=True)
class Port:
    """A TCP port that a server listens at."""

    number: int
    # Others than this machine, or this container, can reach it.
    public: bool
    tls: bool = False


@dataclass(frozen=True)
class Stream:
    """An address as systemd.socket(5) has it; `v6only` for IPv6, `mode` for a file, in octal."""

    address: str
    v6only: Optional[bool] = None
    mode: str = ""


@dataclass(frozen=True)
class Check:
    """A check that a platform makes itself: an HTTP request, a connection, or a command.

    Times are in whole seconds, rounded up: no platform takes parts of them.
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
    """One of them; `name` is unique among them.

    `command` runs it. `needs` are the keys for whose sake a process that could run alone has a
    supervisor of its own, and `after` are the workloads that it comes after.
    """

    name: str
    processes: Sequence[ResolvedProcess]
    command: Sequence[str]
    supervised: bool
    # It has the supervisor of all processes, or of as many as were named.
    together: bool = False
    needs: Sequence[str] = ()
    after: Sequence[Workload] = ()
    # How many of it the platform is to run; or what scales it there by its AUTOSCALE.
    replicas: int = 1
    scaled: str = ""

    @property
    def settings(self) -> EffectiveSettings:
        """Of its process, where there is one."""
        return self.processes[0].settings

    @property
    def autoscale(self) -> Optional[Autoscale]:
        return autoscale_of(self.settings)

    @property
    def monitored(self) -> bool:
        """A platform asks its MONITOR."""
        return (self.together and not self.oneshot) or self.scaled == KEDA

    @property
    def process(self) -> Optional[ResolvedProcess]:
        """None where it has them all."""
        return None if self.together else self.processes[0]

    @property
    def oneshot(self) -> bool:
        return all(is_oneshot(process) for process in self.processes)

    @property
    def cron(self) -> str:
        """Its SCHEDULE, which the platform keeps; "" where a supervisor does."""
        return "" if self.supervised else self.settings.schedule or ""

    @property
    def zone(self) -> str:
        return settings.TIME_ZONE or "UTC"

    @property
    def singleton(self) -> bool:
        """It must not run twice at once."""
        return any(is_singleton(process) for process in self.processes)

    @property
    def stop_signal(self) -> str:
        """What asks it to stop, such as SIGINT: a supervisor passes on the right one."""
        return "SIGTERM" if self.supervised else stop_signal(self.processes[0])

    @property
    def stops_within(self) -> int:
        """How long it may take after that signal, in seconds."""
        return math.ceil(seconds(self.slowest))

    @property
    def grace(self) -> int:
        """For how long a platform is to wait then."""
        return self.stops_within + MARGIN

    @property
    def slowest(self) -> Sequence[ResolvedProcess]:
        """The processes that stop one after the other, and take the longest."""
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
        """The HEALTHCHECK of its process, as far as a platform can do the same."""
        return None if self.process is None else check_of(self.process)

    @property
    def ready_timeout(self) -> int:
        """Within how many seconds it has to be ready; oneshots have no limit."""
        services = [one for one in self.processes if not is_oneshot(one)]
        return math.ceil(max((one.settings.ready_timeout for one in services), default=0))

    @property
    def starts_within(self) -> int:
        """In how many seconds a platform sees it ready, at the latest."""
        check, oneshots = self.check, any(is_oneshot(one) for one in self.processes)
        # What comes before the services may take long.
        before = ONESHOTS_TAKE if oneshots else 0
        return max(self.ready_timeout, 0 if check is None else check.start_period) + before

    @property
    def user(self) -> Union[str, int, None]:
        """The user of its only process."""
        return None if self.together else self.settings.user

    @property
    def group(self) -> Union[str, int, None]:
        return None if self.together else self.settings.group

    @property
    def changes_user(self) -> bool:
        """Its supervisor gives processes their users, which only root can."""
        settings = [one.settings for one in self.processes]
        return self.together and any(
            one.user is not None or one.group is not None for one in settings
        )

    @property
    def success_statuses(self) -> list[str]:
        """Exit statuses of its software after a stop, besides 0 and those by signals."""
        statuses = self.processes[0].backend.success_exit_statuses
        return [] if self.supervised else [str(one) for one in sorted(statuses)]

    @property
    def variable(self) -> str:
        """The end of its variables: WEB in PRODSERVER_STOP_TIMEOUT_WEB."""
        return in_variables(self.processes[0].name)

    @property
    def memory(self) -> Optional[int]:
        """What MAX_MEMORY allows, in bytes; None where not all of its processes have a limit."""
        limits = [one.settings.max_memory for one in self.processes if not is_oneshot(one)]
        counts = [one.settings.most for one in self.processes if not is_oneshot(one)]
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
        """Where it is killed."""
        return None if self.memory is None else math.ceil(self.memory * HEADROOM)

    @property
    def attempts(self) -> int:
        """How often a oneshot may be started."""
        given = self.settings
        return 1 if given.restart == "never" else given.start_limit.burst


def together(
    processes: Sequence[ResolvedProcess], name: str, command: Sequence[str]
) -> list[Workload]:
    """One supervisor with all of them."""
    return [Workload(name, processes, command, supervised=True, together=True)]


def apart(
    processes: Sequence[ResolvedProcess],
    names: Mapping[str, str],
    prodserver: Sequence[str],
    carries: Container[str],
    *,
    supervise: bool,
) -> list[Workload]:
    """A workload for each process, which are in the order of their start.

    `names` are what the platform calls each process, `prodserver` the command before its name, and
    `carries` the keys of which the platform itself can do what they ask for. For the sake of others
    a process gets a supervisor of its own, if `supervise`.
    """
    awaited = {name for one in processes for name in one.settings.after}
    found: dict[str, Workload] = {}
    for process in processes:
        name = process.name
        asked = asks_for(process, awaited)
        needs = [key.partition(" ")[0] for key in asked if key not in carries and supervise]
        scaler, count = scaler_of(process), process.settings.replicas
        if f"AUTOSCALE {scaler}" in carries:
            # By a number it has a supervisor, which measures the load and does not scale.
            needs, by_platform, word = [*needs, "AUTOSCALE"], 1, f"{name}=1"
        elif process.settings.autoscale is not None:
            # Without a number, too, and that decides how many there are.
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
            # Each once: there are several ways to check.
            needs=list(dict.fromkeys(needs)),
            after=[found[other] for other in process.settings.after if other in found],
        )
    return list(found.values())


def asks_for(process: ResolvedProcess, awaited: Container[str]) -> list[str]:
    """The keys for whose sake a platform, or else a supervisor, has something to do.

    HEALTHCHECK is told with its kind, such as "HEALTHCHECK HTTP", if a platform could do the same.
    """
    given, check = process.settings, check_of(process)
    health = "HEALTHCHECK" if check is None else f"HEALTHCHECK {check.kind}"
    asked = {
        # A shell does not pass on a signal that it gets alone.
        "ARGS": process.backend.stop_group,
        # As the first process of a container, a program that has no handler for SIGTERM ignores it
        # (pid_namespaces(7)). Python's have one.
        "BACKEND": process.becomes_another_program,
        "REPLICAS": given.replicas > 1,
        f"AUTOSCALE {scaler_of(process)}".rstrip(): given.autoscale is not None,
        "STOP_SIGNAL": stop_signal(process) != "SIGTERM",
        health: given.healthcheck is not None,
        "WATCHDOG": given.watchdog is not None,
        "MAX_MEMORY": given.max_memory is not None,
        "SOCKETS": bool(held_listeners(process)),
        "AFTER": process.name in awaited and not is_oneshot(process),
        # `prodserver NAME` supervises these itself.
        "SCHEDULE": given.schedule is not None,
        "EVERY": given.every is not None,
        # What keeps the schedule runs it once.
        "LOCK": given.lock is not None and given.schedule is None,
        "SINGLETON": given.singleton and given.schedule is None,
    }
    return [key for key, is_asked in asked.items() if is_asked]


# ---- what is asked of one process ----


def is_oneshot(process: ResolvedProcess) -> bool:
    return process.settings.runs_first


def is_singleton(process: ResolvedProcess) -> bool:
    if process.settings.singleton:
        return False
    backend = process.backend
    return backend.singleton or any(process.option(name) for name in backend.singleton_options)


def scaler_of(process: ResolvedProcess) -> str:
    """What of Kubernetes could scale it by its AUTOSCALE; "" if nothing could.

    KEDA asks one of its pods for the load of all. Nothing adds up how busy each of them is.
    """
    autoscale = process.settings.autoscale
    if autoscale is None or autoscale.metric == "busy":
        return ""
    return HPA if autoscale.metric in ("cpu", "memory") else KEDA


def stop_signal(process: ResolvedProcess) -> str:
    return process.settings.stop_signal or process.backend.stop_signal


def addresses(process: ResolvedProcess) -> Sequence[Address]:
    """Where it listens; none where its software cannot be asked here."""
    if not importable_here([process]):
        return ()
    try:
        return process.addresses
    except PrintsOnly:
        return ()


def held_listeners(process: ResolvedProcess) -> Sequence[Listener]:
    """Where it listens, if that can be held for it."""
    return listeners_of(process) if holding([process]) else ()


def streams(listener: Listener) -> list[Stream]:
    """What systemd is to bind for it."""
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
    """Its HEALTHCHECK as a platform would make it; None where none could.

    A platform connects to the container or machine only, and verifies no certificate.
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
    """Of the services that stop one after the other, because of AFTER, those that take longest."""
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
    """How long they may take to stop."""
    return sum(one.settings.stop_timeout for one in chain)
