"""The supervisor for a project: preload it, then fork its processes from here."""

from __future__ import annotations

import gc
import logging
import os
import platform
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Callable, Optional

import django
from django.conf import settings as project
from django.core.cache import close_caches
from django.db import connections

from .backends.application import describe
from .backends.base import BaseServerBackend
from .conf import SUPERVISOR, ConfigurationError, Finding, SupervisorSettings, path
from .posix.child import Program
from .posix.interpreter import command_line
from .posix.notify import watchdog_interval
from .posix.output import open_standard_descriptors
from .posix.probes import CommandProbe, HttpProbe, SocketAddress, Target, TcpProbe, resolve
from .posix.signals import leaving_on
from .posix.system import PosixSystem
from .processes import Process, importable_here, listening
from .schema import host_and_port, http_target
from .supervisor import report
from .supervisor.lines import TextFormat
from .supervisor.model import HealthCheck, Restart, Spec
from .supervisor.run import run
from .supervisor.supervisor import HANDLED, STOP_SIGNALS, Supervisor


def preload(processes: Sequence[Process], modules: Sequence[str]) -> None:
    """Import once what every process needs. Raises ConfigurationError if that is impossible."""
    findings = []
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            message = f"{SUPERVISOR}['PRELOAD'] names {module!r}, which cannot be imported: "
            findings.append(Finding("E011", f"{message}{describe(error)}."))
    for process in importable_here(processes):
        try:
            process.probe.preload()
        except Exception as error:
            message = f"{path(process.name)} cannot be loaded: {describe(error)}."
            findings.append(Finding("E011", message))
    if findings:
        raise ConfigurationError(findings)


def supervise(find: Callable[[], Sequence[Process]], settings: SupervisorSettings) -> int:
    """Run every instance of the processes found until all have ended; returns the exit status."""
    open_standard_descriptors()
    with leaving_on(STOP_SIGNALS):
        return _supervise(find, settings)


def _supervise(find: Callable[[], Sequence[Process]], settings: SupervisorSettings) -> int:
    # A collection would cost time now, and later: what it frees are holes between the objects
    # that forked processes share, and the first to fill one copies a page.
    gc.disable()
    try:
        processes = find()
        # A fresh interpreter has no use for what this one has loaded.
        forked = [p for p in processes if p.settings.start_method != "spawn"]
        preload(forked, settings.preload if forked else [])
        _leave_nothing_open()
        gc.freeze()
    finally:
        gc.enable()
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    spawned = {p.name for p in processes if p.settings.start_method == "spawn" or _auto(p, threads)}
    instances = [
        (process, process.backend(name), name)
        for process in processes
        for name in process.instances
    ]
    after = _after(processes)
    specs = [_spec(*instance, after[instance[0].name]) for instance in instances]
    serves = _addresses(processes)
    programs = [
        replace(
            _program(*instance),
            execute=_alone(instance[0]) if instance[0].name in spawned else (),
            serves=serves.get(instance[0].name, ()),
        )
        for instance in instances
    ]
    # Where no address is known to connect to, nothing but the start tells that it is ready.
    specs = [
        replace(spec, connects=spec.connects and bool(program.serves))
        for spec, program in zip(specs, programs)
    ]
    names = [spec.name for spec in specs]
    lines = TextFormat(names, timestamps=settings.timestamps, color=_color(settings.color))
    with PosixSystem(programs, lines, HANDLED, settings.max_line) as system:
        age = _age()
        supervisor = Supervisor(specs, began=system.now() - age, watchdog=watchdog_interval())
        system.say(
            f"supervising {', '.join(names)} (python {platform.python_version()}, "
            f"django {django.get_version()}, preloaded in {report.seconds(age)})"
        )
        for line in _said_of_threads(processes, threads):
            system.say(line)
        return run(supervisor, system)


def _after(processes: Sequence[Process]) -> Mapping[str, frozenset[str]]:
    """The instances that come before those of each process, of the processes that are run."""
    instances = {process.name: process.instances for process in processes}
    return {
        process.name: frozenset(
            instance for name in process.settings.after for instance in instances.get(name, ())
        )
        for process in processes
    }


def _auto(process: Process, threads: Sequence[str]) -> bool:
    """A fork has no threads but the one that forks, and what they hold locked stays locked."""
    return process.settings.start_method == "auto" and bool(threads)


def _said_of_threads(processes: Sequence[Process], threads: Sequence[str]) -> Iterator[str]:
    """What follows from threads that the preload left running."""
    spawned = [process.name for process in processes if _auto(process, threads)]
    if spawned:
        whom = "" if len(spawned) == len(processes) else f" {', '.join(spawned)}"
        which = f"thread{'s' * (len(threads) > 1)} {', '.join(map(repr, threads))}"
        yield f"starting{whom} by spawn: the preload left the {which} running"
    if any(process.settings.start_method == "fork" for process in processes):
        for name in threads:
            yield (
                f"the preload left the thread {name!r} running, which no process will "
                "have: start it in the processes instead"
            )


def _spec(process: Process, backend: BaseServerBackend, name: str, after: frozenset[str]) -> Spec:
    given = process.settings
    return Spec(
        name=name,
        oneshot=given.type == "oneshot",
        after=after,
        stop_signal=process.stop_signal(backend),
        stop_timeout=given.stop_timeout,
        stop_group=backend.stop_group,
        last_signal=process.last_signal(backend),
        notifies=backend.notifies,
        connects=backend.connects,
        ready_timeout=given.ready_timeout,
        success=backend.success,
        forwards=process.forwards(backend),
        restart=Restart(given.restart),
        recycles=backend.recycles(),
        backoff_initial=given.backoff.initial,
        backoff_max=given.backoff.max,
        start_burst=given.start_limit.burst,
        start_interval=given.start_limit.interval,
        healthcheck=_healthcheck(process),
        watchdog=given.watchdog,
        max_memory=given.max_memory,
    )


def _healthcheck(process: Process) -> Optional[HealthCheck]:
    check = process.settings.healthcheck
    if check is None:
        return None
    return HealthCheck(check.interval, check.timeout, check.retries, check.start_period)


def _program(process: Process, backend: BaseServerBackend, name: str) -> Program:
    return Program(
        name=name,
        start=lambda: backend.start_server(*backend.prep_server_args()),
        # What software that re-executes itself will run: itself, and not a second supervisor.
        argv=[sys.argv[0], "prodserver", process.name],
        environ=_environ(process, name),
        notifies=backend.notifies or process.settings.watchdog is not None,
        watchdog=process.settings.watchdog,
        health=_health(process, name),
    )


def _environ(process: Process, name: str) -> Mapping[str, str]:
    return {
        "PRODSERVER_PROCESS": process.name,
        "PRODSERVER_INSTANCE": name,
        **process.settings.env,
    }


def _alone(process: Process) -> list[str]:
    """The command line that runs a process in a fresh interpreter, as a user would run it alone."""
    # Django has put --settings into the environment, but --pythonpath nowhere.
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--pythonpath")
    given = parser.parse_known_args(sys.argv[2:])[0].pythonpath
    arguments = ["prodserver", process.name, f"--stop-timeout={process.stop_timeout}"]
    arguments += [f"--pythonpath={given}"] if given else []
    return command_line(arguments + (["--", *process.extra] if process.extra else []))


def _addresses(processes: Sequence[Process]) -> dict[str, tuple[SocketAddress, ...]]:
    """Where a connection tells that a process is ready, as far as that is known beforehand."""
    found: dict[str, tuple[SocketAddress, ...]] = {}
    asked = [p for p in importable_here(processes) if p.backend_class.connects]
    for process, where in listening(asked, []):
        if not where.chosen_by_the_system:
            with suppress(OSError, UnicodeError):
                found[process.name] = found.get(process.name, ()) + resolve(where.at)
    return found


def _health(process: Process, name: str) -> Optional[Target]:
    """What its HEALTHCHECK asks. Raises ConfigurationError for a host that nobody knows."""
    check = process.settings.healthcheck
    if check is None:
        return None
    if check.command is not None:
        return CommandProbe(check.command, _environ(process, name))
    if check.tcp is not None:
        host, port = host_and_port(check.tcp)
        return TcpProbe(check.tcp, _resolve(process, "TCP", host, port))
    assert check.http is not None
    target = http_target(check.http)
    if target.host is not None:
        host, port = target.host, target.port or 80
        asked_for = _netloc(host, port).removesuffix(":80")
    else:
        served = process.health_address()
        assert served is not None, "a path without an address is a wrong setting"
        host, port = served
        asked_for = _allowed_host()
    where = _netloc(host, port)
    return HttpProbe(
        name=where,
        addresses=_resolve(process, "HTTP", host, port),
        url=f"http://{where}{target.path}",
        target=target.path,
        host=asked_for,
    )


def _resolve(process: Process, key: str, host: str, port: int) -> tuple[SocketAddress, ...]:
    try:
        return resolve((host, port))
    except (OSError, UnicodeError) as error:
        where = f"{path(process.name, 'HEALTHCHECK')}[{key!r}]"
        reason = getattr(error, "strerror", None) or error
        message = f"{where} names the host {host!r}, which cannot be found: {reason}."
        raise ConfigurationError([Finding("E004", message)]) from None


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _allowed_host() -> str:
    """A name that this project answers to: the Host of a health check that has only a path.

    Django refuses others with status 400 (ALLOWED_HOSTS).
    """
    for host in project.ALLOWED_HOSTS:
        name = host.lstrip(".")
        if name and "*" not in name:
            return str(name)
    return "localhost"


def _age() -> float:
    """Seconds since this program began to run.

    The kernel knows when its process began, which is too early after an exec, as at the end of a
    container's entry script. Python's earliest memory is when logging was loaded, with Django's
    first modules.
    """
    return logging.makeLogRecord({}).relativeCreated / 1000


def _leave_nothing_open() -> None:
    """Close what the preload may have connected: forked processes would share the connection."""
    connections.close_all()
    close_caches()


def _color(when: str) -> bool:
    """https://no-color.org/ and https://force-color.org/, then whether a terminal reads it."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or os.isatty(1)
