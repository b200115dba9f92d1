"""From processes to instances: for each a Spec to decide by, and a Program to run."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Optional

from django.conf import settings as project

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.posix.address import SocketAddress, socket_addresses
from django_prodserver.posix.interpreter import own_command
from django_prodserver.posix.probes.targets import CommandTarget, HttpTarget, Target, TcpTarget
from django_prodserver.posix.program import Program
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import place_of
from django_prodserver.settings.texts import host_and_port, path_or_url
from django_prodserver.supervisor.spec import CheckSchedule, RestartPolicy, Spec

from .resolve import Process, importable_here, listening


def plan(
    processes: Sequence[Process], spawned: Collection[str]
) -> tuple[list[Spec], list[Program]]:
    """What is needed to run every instance, in their order; the names `spawned` are not forked.

    Raises ConfigurationError for a health check of a host that nobody knows.
    """
    here = importable_here(processes)
    instances = {process.name: process.instances for process in processes}
    served = _served(here)
    specs, programs = [], []
    for process in processes:
        # Who is not run now is waited for by nobody.
        after = [one for name in process.settings.after for one in instances.get(name, ())]
        serves = served.get(process.name, ())
        recycles = process in here and process.recycles
        for name in process.instances:
            backend = process.new_backend(name)
            specs.append(_spec(process, backend, name, frozenset(after), bool(serves), recycles))
            execute = _alone(process) if process.name in spawned else ()
            programs.append(_program(process, backend, name, serves, execute))
    return specs, programs


def _spec(
    process: Process,
    backend: BaseServerBackend,
    name: str,
    after: frozenset[str],
    serves: bool,
    recycles: bool,
) -> Spec:
    given, check = process.settings, process.settings.healthcheck
    return Spec(
        name=name,
        oneshot=given.type == "oneshot",
        after=after,
        stop_signal=process.stop_signal(backend),
        stop_timeout=given.stop_timeout,
        stop_group=backend.stop_group,
        escalation_signal=process.escalation_signal(backend),
        notifies=backend.notifies,
        # Where no address is known to connect to, nothing but the start tells that it is ready.
        connects=backend.connects and serves,
        ready_timeout=given.ready_timeout,
        success_exit_statuses=backend.success_exit_statuses,
        forwards=process.forwards(backend),
        restart=RestartPolicy(given.restart),
        recycles=recycles,
        backoff_initial=given.backoff.initial,
        backoff_max=given.backoff.max,
        start_burst=given.start_limit.burst,
        start_interval=given.start_limit.interval,
        check=(
            CheckSchedule(check.interval, check.timeout, check.retries, check.start_period)
            if check is not None
            else None
        ),
        watchdog=given.watchdog,
        max_memory=given.max_memory,
    )


def _program(
    process: Process,
    backend: BaseServerBackend,
    name: str,
    serves: Sequence[SocketAddress],
    execute: Sequence[str],
) -> Program:
    environ = {
        "PRODSERVER_PROCESS": process.name,
        "PRODSERVER_INSTANCE": name,
        **process.settings.env,
    }
    return Program(
        name=name,
        start=lambda: backend.start_server(*backend.prep_server_args()),
        # What software that re-executes itself will run: itself, and not a second supervisor.
        argv=[sys.argv[0], "prodserver", process.name],
        environ=environ,
        execute=execute,
        notifies=backend.notifies or process.settings.watchdog is not None,
        watchdog=process.settings.watchdog,
        serves=serves,
        health=_health(process, environ),
    )


def _alone(process: Process) -> list[str]:
    """The command line that runs a process in a fresh interpreter, as a user would run it alone."""
    # Django has put --settings into the environment, but --pythonpath nowhere.
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--pythonpath")
    given = parser.parse_known_args(sys.argv[2:])[0].pythonpath
    arguments = ["prodserver", process.name, f"--stop-timeout={process.stop_timeout}"]
    arguments += [f"--pythonpath={given}"] if given else []
    return own_command(arguments + (["--", *process.extra] if process.extra else []))


def _served(processes: Sequence[Process]) -> Mapping[str, tuple[SocketAddress, ...]]:
    """Where a connection tells that a process is ready, of those that do not tell themselves."""
    found: dict[str, tuple[SocketAddress, ...]] = {}
    asked = [process for process in processes if process.backend_class.connects]
    for process, where in listening(asked, []):
        if not where.chosen_by_the_system:
            with suppress(OSError, UnicodeError):
                found[process.name] = found.get(process.name, ()) + socket_addresses(where.at)
    return found


# ---- health checks ----


def _health(process: Process, environ: Mapping[str, str]) -> Optional[Target]:
    check = process.settings.healthcheck
    if check is None:
        return None
    if check.command is not None:
        return CommandTarget(check.command, environ)
    if check.tcp is not None:
        host, port = host_and_port(check.tcp)
        return TcpTarget(check.tcp, _resolve(process, "TCP", host, port))
    assert check.http is not None
    given = path_or_url(check.http)
    if given.host is not None:
        host, port = given.host, given.port or 80
        asked_for = _netloc(host, port).removesuffix(":80")
    else:
        served = process.health_address()
        assert served is not None, "a path without an address is a wrong setting"
        host, port = served
        asked_for = _allowed_host()
    where = _netloc(host, port)
    return HttpTarget(
        name=where,
        addresses=_resolve(process, "HTTP", host, port),
        url=f"http://{where}{given.path}",
        path=given.path,
        host=asked_for,
    )


def _resolve(process: Process, key: str, host: str, port: int) -> tuple[SocketAddress, ...]:
    try:
        return socket_addresses((host, port))
    except (OSError, UnicodeError) as error:
        place = place_of(process.name, "HEALTHCHECK", key)
        reason = getattr(error, "strerror", None) or error
        message = f"names the host {host!r}, which cannot be found: {reason}."
        raise ConfigurationError([Finding(place, message, id="E004")]) from None


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
