"""From settings to processes that can be started: classes imported, packages and apps found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from itertools import combinations
from signal import Signals
from typing import Any, Optional

from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.backends.application import describe
from django_prodserver.backends.base import Address, BaseServerBackend
from django_prodserver.backends.parsers import PrintsOnly
from django_prodserver.backends.registry import registered
from django_prodserver.posix import address
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.schema import EffectiveSettings
from django_prodserver.settings.texts import path_or_url
from django_prodserver.settings.variables import Variable
from django_prodserver.settings.wording import did_you_mean

# A server that listens everywhere is asked at this machine.
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Process:
    """One entry of PRODUCTION_PROCESSES with its backend's class and its values decided."""

    name: str
    settings: EffectiveSettings
    backend_class: type[BaseServerBackend]
    extra: Sequence[str] = ()

    @property
    def stop_timeout(self) -> float:
        return self.settings.stop_timeout

    @property
    def instances(self) -> list[str]:
        return [f"{self.name}.{number + 1}" for number in range(self.settings.replicas)]

    @cached_property
    def backend(self) -> BaseServerBackend:
        """The one that answers questions and preloads; it is never started."""
        return self.new_backend()

    @cached_property
    def addresses(self) -> Sequence[Address]:
        """Where it will listen; its software is asked once.

        That may import it (see `importable_here`), and raises as `BaseServerBackend.parse` does.
        """
        self.backend.parse()
        return self.backend.addresses()

    @cached_property
    def recycles(self) -> bool:
        """Whether it ends with 0 after some work, by its own options. May import its software."""
        return self.backend.recycles()

    def new_backend(self, instance: Optional[str] = None) -> BaseServerBackend:
        """Create the backend, for an instance of a supervisor or for this process alone."""
        given = self.settings
        config: dict[str, Any] = {
            "ARGS": given.args,
            "ENV": given.env,
            "STOP_TIMEOUT": given.stop_timeout,
            "REPLICAS": given.replicas,
        }
        if given.app is not None:
            config["APP"] = given.app
        backend = self.backend_class(**config)
        backend.instance = instance
        if self.extra:
            backend.args = [*backend.args, *self.extra]
        return backend

    def stop_signal(self, backend: BaseServerBackend) -> Signals:
        return Signals[self.settings.stop_signal or backend.stop_signal]

    def escalation_signal(self, backend: BaseServerBackend) -> Optional[Signals]:
        """The second step of a stop, unless it would be the first one again."""
        signal = Signals[backend.escalation_signal] if backend.escalation_signal else None
        return None if signal is self.stop_signal(backend) else signal

    def read_already(self, environ: Mapping[str, str]) -> list[str]:
        """What its ENV changes too late for this interpreter, which began with `environ`."""
        if not self.backend_class.is_an_app:
            return []
        env = self.settings.env
        names = self.backend_class.import_time_variables & set(env)
        return sorted(name for name in names if env[name] != environ.get(name))

    def forwards(self, backend: BaseServerBackend) -> frozenset[Signals]:
        return frozenset(Signals[name] for name in backend.forwards)

    def health_address(self) -> Optional[tuple[str, int]]:
        """Where a connection from this machine reaches it: the first host and port it serves.

        None where it serves none that can be known beforehand. This may import its software: see
        `importable_here`.
        """
        try:
            return _reachable(self.addresses)
        except PrintsOnly:
            return None


def resolve(
    configuration: Configuration,
    names: Iterable[str],
    extra: Sequence[str] = (),
    *,
    starting: bool = True,
) -> list[Process]:
    """Import the backends of the named processes; `extra` are further arguments for their software.

    Raises ConfigurationError with everything that would keep them from starting, except for what
    only the moment of the start can tell: `addresses_in_use`. Without `starting` the servers are
    not asked what they make of their arguments, because that imports them.
    """
    findings: list[Finding] = []
    processes = []
    for name in names:
        settings = configuration.effective(name)
        backend_class = _import_backend(name, settings, findings)
        if backend_class is not None:
            processes.append(Process(name, settings, backend_class, extra))
    for process in processes:
        findings += _problems(process)
    if starting and not findings:
        found = listening(processes, findings)
        findings += _too_many(found)
        findings += _conflicts(found)
        findings += _nowhere_to_ask(processes, found)
    if findings:
        raise ConfigurationError(findings)
    return processes


def warnings(processes: Iterable[Process]) -> list[Finding]:
    """What may be a mistake, but does not prevent a start."""
    hint = (
        "If it does not, it will be stopped as unhealthy: use HEALTHCHECK instead. If it does, "
        "add 'prodserver.W003' to SILENCED_SYSTEM_CHECKS."
    )
    return [
        Finding(
            _origin(process.name, "WATCHDOG"),
            "is set, but it is not known whether the process sends WATCHDOG=1.",
            hint,
            id="W003",
            warning=True,
        )
        for process in processes
        if process.settings.watchdog is not None and process.backend.pings is None
    ]


def importable_here(processes: Iterable[Process]) -> list[Process]:
    """Those whose software may be imported in this process, for others to be forked from.

    Software that reads the environment when it is imported must not be, if the ENV of any process
    sets what it reads: it would keep the values of this process.
    """
    processes = list(processes)
    set_by_env = {name for process in processes for name in process.settings.env}
    return [p for p in processes if not p.backend_class.import_time_variables & set_by_env]


def addresses_in_use(processes: Iterable[Process]) -> list[Finding]:
    """What else listens, at this moment, where these processes will."""
    findings: list[Finding] = []
    for process, where in listening(processes, findings):
        reason = address.why_not_free(where.at, where.shared)
        if reason is not None:
            message = f"cannot listen at {where}: {reason}."
            hint = "Stop what uses it (`ss -ltnp` tells), or choose another address in its ARGS."
            findings.append(Finding(place_of(process.name), message, hint, "E010"))
    return findings


def listening(
    processes: Iterable[Process], findings: list[Finding]
) -> list[tuple[Process, Address]]:
    """Where the processes will listen, as far as can be told without importing too early.

    Arguments that their software does not understand are findings.
    """
    found = []
    for process in importable_here(processes):
        try:
            found += [(process, where) for where in process.addresses]
        except PrintsOnly:
            continue
        except ValueError as error:
            findings.append(Finding(place_of(process.name, "ARGS"), f": {error}"))
        except Exception as error:
            message = f"cannot be used: {describe(error)}."
            findings.append(Finding(place_of(process.name), message))
    return found


def _import_backend(
    name: str, settings: EffectiveSettings, findings: list[Finding]
) -> Optional[type[BaseServerBackend]]:
    place, given = place_of(name, "BACKEND"), f"is {settings.backend!r}, which"
    dotted = _dotted(place, settings.backend, findings)
    if dotted is None:
        return None
    try:
        found = import_string(dotted)
    except Exception as error:
        hint = did_you_mean(dotted, BUILT_IN.values()).strip()
        message = f"{given} cannot be imported: {describe(error)}."
        findings.append(Finding(place, message, hint, "E006"))
        return None
    base = f"{BaseServerBackend.__module__}.{BaseServerBackend.__name__}"
    if not (isinstance(found, type) and issubclass(found, BaseServerBackend)):
        hint = did_you_mean(dotted, BUILT_IN.values()) or f"Let it inherit from {base}."
        findings.append(Finding(place, f"{given} is not a backend.", hint.strip(), "E007"))
        return None
    if found.start_server is BaseServerBackend.start_server:
        message = f"{given} does not define start_server."
        findings.append(Finding(place, message, f"See {base}.", "E007"))
        return None
    missing = [package for module, package in found.requires.items() if not _is_there(module)]
    if missing:
        message = f"{given} needs {' and '.join(missing)}, not installed here."
        hint = f"Run: pip install {' '.join(missing)}"
        findings.append(Finding(place, message, hint, "W002", warning=True))
        return None
    return found


def _dotted(place: str, backend: str, findings: list[Finding]) -> Optional[str]:
    """The path of a class, which may be given by its short name."""
    if "." in backend:
        return backend
    known, given = registered(), f"is {backend!r}, which"
    if backend not in known:
        hint = f"{did_you_mean(backend, known)}Known: {', '.join(known)}; or give the dotted path "
        hint += "of a class."
        findings.append(Finding(place, f"{given} is no known backend.", hint, "E006"))
        return None
    first, *others = known[backend]
    if others:
        both = " and ".join(f"{one.package} ({one.path})" for one in known[backend])
        hint = "Give the dotted path of the one that is meant."
        findings.append(Finding(place, f"{given} is claimed by {both}.", hint, "E014"))
        return None
    return first.path


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # The package that it would be in.
        return False


def _problems(process: Process) -> Iterator[Finding]:
    """What the backend finds wrong with its settings, and what it cannot be asked to do."""
    name = process.name
    try:
        backend = process.backend
        problems = list(backend.problems())
    except Exception as error:
        yield Finding(place_of(name), f"cannot be used: {describe(error)}.")
        return
    for problem in problems:
        yield problem.within(place_of(name))
    if backend.singleton and process.settings.replicas > 1:
        message = f"is {process.settings.replicas}."
        hint = "Use 1: each one would do all the work of the others again."
        yield Finding(place_of(name, "REPLICAS"), message, hint)
    if process.settings.watchdog is not None and backend.pings is False:
        software = process.settings.backend.rpartition(".")[2]
        message = f"is set, but {software} does not send WATCHDOG=1."
        yield Finding(_origin(name, "WATCHDOG"), message, "Use HEALTHCHECK instead.", id="E012")


def _origin(name: str, key: str) -> str:
    """Where a process's value comes from: a variable, or the setting."""
    variable = str(Variable(name, key))
    return variable if os.environ.get(variable) else place_of(name, key)


def _too_many(found: Sequence[tuple[Process, Address]]) -> Iterator[Finding]:
    """Addresses that two instances of one process cannot both have."""
    for process, where in found:
        if process.settings.replicas > 1 and not where.shared and not where.chosen_by_the_system:
            message = f"is {process.settings.replicas}, but only one instance can listen at "
            message += f"{where}."
            hint = "Let the server have more workers instead, in its ARGS."
            yield Finding(place_of(process.name, "REPLICAS"), message, hint)


def _conflicts(found: Sequence[tuple[Process, Address]]) -> Iterator[Finding]:
    """Addresses that two processes cannot both have."""
    for (one, here), (other, there) in combinations(found, 2):
        if one is not other and _collide(here, there):
            at = str(here) if here.at == there.at else f"{here} and {there}"
            message = f"and {place_of(other.name)} cannot both listen at {at}."
            hint = "Choose another address in the ARGS of one of them."
            yield Finding(place_of(one.name), message, hint)


def _nowhere_to_ask(
    processes: Iterable[Process], found: Sequence[tuple[Process, Address]]
) -> Iterator[Finding]:
    """Health checks of a path alone, where no host and port are known to go with it."""
    for process in processes:
        check = process.settings.healthcheck
        if check is None or check.http is None or path_or_url(check.http).host is not None:
            continue
        if _reachable(where for one, where in found if one is process) is None:
            message = f"is {check.http!r}, but it is not known at which host and port the process "
            message += "will listen."
            hint = "Write a whole URL, such as 'http://127.0.0.1:8000/health'."
            yield Finding(place_of(process.name, "HEALTHCHECK", "HTTP"), message, hint, "E004")


def _reachable(addresses: Iterable[Address]) -> Optional[tuple[str, int]]:
    for where in addresses:
        if not isinstance(where.at, str) and not where.chosen_by_the_system:
            host, port = where.at
            return EVERYWHERE.get(host, host), port
    return None


def _collide(here: Address, there: Address) -> bool:
    if here.chosen_by_the_system or there.chosen_by_the_system:
        return False
    if isinstance(here.at, str) or isinstance(there.at, str) or here.at[1] != there.at[1]:
        return here.at == there.at
    hosts = {here.at[0], there.at[0]}
    everywhere = "::" if any(":" in host for host in hosts) else "0.0.0.0"
    return len(hosts) == 1 or everywhere in hosts
