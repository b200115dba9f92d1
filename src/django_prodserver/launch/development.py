"""Development: how `manage.py devserver --all` runs the processes of production.

Each web server is replaced by `runserver`, which listens on this machine only. A backend is a web
server if it serves the project's application or takes held sockets. All other processes run as in
production, with these differences: a process that fails is restarted without limit; none is stopped
because of its health or memory; no locks are taken; and the stop timeout of services is short.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from typing import Optional

import msgspec

from django_prodserver.backends.application import ApplicationServer
from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.posix.titles import prepare
from django_prodserver.settings.configuration import Configuration
from django_prodserver.settings.findings import ConfigurationError
from django_prodserver.settings.schema import (
    Backoff,
    ProcessSettings,
    StartLimit,
    SupervisorSettings,
)
from django_prodserver.settings.variables import Variable
from django_prodserver.supervisor.spec import Spec
from django_prodserver.supervisor.values import replace

from .process import ResolvedProcess
from .resolve import import_backend

HOST = "127.0.0.1"
# The first port for web servers without a port of their own; the first port that needs no root.
FIRST_PORT, FIRST_FOR_ALL = 8000, 1024
# Seconds. In development no process does work that is worth a long wait.
STOP_TIMEOUT = 3.0
PAUSE = Backoff(initial=1.0, max=10.0)
# A limit that is never reached.
NO_LIMIT = StartLimit(burst=10**9)


def web_servers(configuration: Configuration, names: Iterable[str]) -> dict[str, Optional[int]]:
    """The web servers among these processes, each with its port, or None.

    The software parses its arguments for that, so without it the port is unknown.
    """
    prepare()  # The software that is imported here may set the process title.
    found: dict[str, Optional[int]] = {}
    for name in names:
        settings = configuration.effective(name)
        with suppress(ConfigurationError):  # Reported elsewhere.
            backend_class = import_backend(settings.backend)
            if is_web_server(backend_class):
                found[name] = _port(ResolvedProcess(name, settings, backend_class))
    return found


def is_web_server(backend_class: type[BaseServerBackend]) -> bool:
    return issubclass(backend_class, ApplicationServer) or backend_class.takes_sockets


def _port(process: ResolvedProcess) -> Optional[int]:
    with suppress(Exception):  # Software that cannot be used here may raise anything.
        for address in process.addresses:
            if not isinstance(address.at, str) and address.at[1] >= FIRST_FOR_ALL:
                return address.at[1]
    return None


def for_development(
    configuration: Configuration, servers: Mapping[str, Optional[int]]
) -> Configuration:
    """Adapt the processes for development; `servers` has its web servers with their ports."""
    processes = {name: _process(one) for name, one in configuration.processes.items()}
    for name, port in _without_clashes(servers).items():
        processes[name] = _web_server(processes[name], port)
    supervisor = _supervisor(configuration.supervisor)
    return dataclasses.replace(configuration, processes=processes, supervisor=supervisor)


def _without_clashes(ports: Mapping[str, Optional[int]]) -> dict[str, int]:
    """Give each its own port: the one that it has, or the first free one if that is taken."""
    known = set(ports.values())
    free = (port for port in count(FIRST_PORT) if port not in known)
    found: dict[str, int] = {}
    for name, port in ports.items():
        found[name] = next(free) if port is None or port in found.values() else port
    return found


def _process(production: ProcessSettings) -> ProcessSettings:
    once = production.type == "oneshot"
    return msgspec.structs.replace(
        production,
        # A variable may disable the process by REPLICAS of 0.
        replicas=min(1, production.replicas),
        autoscale=None,
        restart=production.restart if once else "always",
        start_limit=NO_LIMIT,
        backoff=PAUSE,
        stop_timeout=None if once else STOP_TIMEOUT,
        update_order="auto",
        sockets=None,
        ready=None,
        ready_timeout=None,
        healthcheck=None,
        watchdog=None,
        max_memory=None,
        lock=None,
        singleton=False,
        user=None,
        group=None,
    )


def _web_server(process: ProcessSettings, port: int) -> ProcessSettings:
    """Run it with `runserver`. Always fork: a fresh interpreter would run production's backend."""
    return msgspec.structs.replace(
        process, backend="runserver", args=[f"{HOST}:{port}"], app=None, start_method="fork"
    )


def _supervisor(production: SupervisorSettings) -> SupervisorSettings:
    # A path in the settings is meant for production machines; one in a variable is meant for here.
    chosen_here = production.control == os.environ.get(str(Variable(None, "CONTROL")))
    return msgspec.structs.replace(
        production,
        max_memory=None,
        ready_timeout=SupervisorSettings().ready_timeout,
        user=None,
        group=None,
        log_format="text",
        control=production.control if chosen_here else bool(production.control),
        control_group=None,
        monitor=None,
        on_event=[],
    )


def for_developers(spec: Spec) -> Spec:
    """Do not wait for a notification of readiness, and stop with the escalation signal right away.

    So a reload waits neither for a broker that is not running, nor for tasks to finish.
    """
    stop_signal = spec.escalation_signal or spec.stop_signal
    return replace(spec, notifies=False, stop_signal=stop_signal, escalation_signal=None)
