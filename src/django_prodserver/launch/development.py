"""Development: the processes of production, as `manage.py devserver --all` runs them.

Each web server is replaced by `runserver`, at this machine only. What a web server is: a backend
that serves the project's application, or takes held sockets. All others run as in production, but
nothing ends what is being developed: one that fails is started again, however often, and none is
stopped because of its health or its memory. None is kept from running by another deployment, and
none has long to stop.
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
# The first port of those that production does not name; and the first one that anybody may use.
FIRST_PORT, FIRST_FOR_ALL = 8000, 1024
# In seconds. What is stopped here does nothing that anybody needs.
STOP_TIMEOUT = 3.0
PAUSE = Backoff(initial=1.0, max=10.0)
# So many starts are allowed that the limit is never reached.
NO_LIMIT = StartLimit(burst=10**9)


def web_servers(configuration: Configuration, names: Iterable[str]) -> dict[str, Optional[int]]:
    """Those of these processes that are web servers, each with its port, as far as that is known.

    The port is what the software makes of its arguments, so it is not known where that is missing.
    """
    prepare()  # What is imported for that may set titles.
    found: dict[str, Optional[int]] = {}
    for name in names:
        settings = configuration.effective(name)
        with suppress(ConfigurationError):  # Of a process that is wrong, somebody else tells.
            backend_class = import_backend(settings.backend)
            if is_web_server(backend_class):
                found[name] = _port(ResolvedProcess(name, settings, backend_class))
    return found


def is_web_server(backend_class: type[BaseServerBackend]) -> bool:
    return issubclass(backend_class, ApplicationServer) or backend_class.takes_sockets


def _port(process: ResolvedProcess) -> Optional[int]:
    with suppress(Exception):  # Software may raise anything where it cannot be used here.
        for address in process.addresses:
            if not isinstance(address.at, str) and address.at[1] >= FIRST_FOR_ALL:
                return address.at[1]
    return None


def for_development(
    configuration: Configuration, servers: Mapping[str, Optional[int]]
) -> Configuration:
    """The same processes, for development; `servers` are its web servers, each with its port."""
    processes = {name: _process(one) for name, one in configuration.processes.items()}
    for name, port in _without_clashes(servers).items():
        processes[name] = _web_server(processes[name], port)
    supervisor = _supervisor(configuration.supervisor)
    return dataclasses.replace(configuration, processes=processes, supervisor=supervisor)


def _without_clashes(ports: Mapping[str, Optional[int]]) -> dict[str, int]:
    """Each with a port of its own: the one that it has, or else the first that no other has."""
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
        # REPLICAS of 0 is what a variable disables it with.
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
    """Forked in any case: a fresh interpreter would run what production does."""
    return msgspec.structs.replace(
        process, backend="runserver", args=[f"{HOST}:{port}"], app=None, start_method="fork"
    )


def _supervisor(production: SupervisorSettings) -> SupervisorSettings:
    # A path in the settings is one of the machines of production; one in a variable is not.
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
    """It is ready once it is started, unless it can be connected to, and has no time to stop.

    So a reload waits neither for a broker that is not there, nor for tasks.
    """
    stop_signal = spec.escalation_signal or spec.stop_signal
    return replace(spec, notifies=False, stop_signal=stop_signal, escalation_signal=None)
