"""Exports are acted out: their commands run, their probes are queried, their signals sent."""

from __future__ import annotations

import shlex
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.exports.judges import program
from tests.exports.projects import written
from tests.inside import free_port, free_ports
from tests.peers import Systemd, get, systemd
from tests.running import Run, Site

# Longer than the software takes, so that a process that ignores its signal is detected.
GRACE = {"STOP_TIMEOUT": 20}


@pytest.fixture
def ports() -> list[int]:
    return free_ports(2)


@pytest.fixture
def processes(ports: list[int]) -> dict[str, Any]:
    """A server that a platform can probe, one with its own stop signal, and a worker."""
    web, static = ports
    migrate = {"BACKEND": "command", "ARGS": ["migrate", "--noinput"], "TYPE": "oneshot"}
    return {
        "migrate": migrate,
        "web": {
            "BACKEND": "gunicorn",
            "ARGS": {"bind": f"127.0.0.1:{web}"},
            "HEALTHCHECK": {"HTTP": "/healthy", "INTERVAL": 1},
            "AFTER": ["migrate"],
            **GRACE,
        },
        "static": {"BACKEND": "waitress", "ARGS": {"listen": f"127.0.0.1:{static}"}, **GRACE},
        "tasks": {"BACKEND": "django-tasks", "AFTER": ["migrate"], **GRACE},
    }


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Systemd]:
    with systemd(tmp_path) as listening:
        yield listening


def files(site: Site, processes: Any, to: str, *args: str) -> dict[str, str]:
    folder = site.project / "exported"
    options = ("--export", to, "--output", str(folder), *args)
    assert site(processes, *options).end() == 0
    return written(folder)


def start(site: Site, processes: Any, command: list[str], manager: Systemd, **how: Any) -> Run:
    """Run a command from an export here, with this interpreter, until it is ready."""
    assert command[0] in ("python", sys.executable)
    how["env"] = {**site.configure(processes), **manager.environ, **how.get("env", {})}
    manager.forget()
    run = site.command([sys.executable, "-W", "ignore", *command[1:]], **how)
    manager.wait_for_ready()
    return run


def stop(run: Run, name: str) -> int:
    number = signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    return run.end(number)


def test_compose_services_start_pass_their_checks_and_stop(
    site: Site, processes: Any, ports: list[int], manager: Systemd
) -> None:
    services = yaml.safe_load(files(site, processes, "compose")["compose.yaml"])["services"]
    # Compose starts the services once those that they depend on have finished.
    assert (
        site.command(
            [sys.executable, *services["migrate"]["command"][1:]], env=site.configure(processes)
        ).end()
        == 0
    )

    runs = {
        name: start(site, processes, services[name]["command"], manager)
        for name in ("web", "static", "tasks")
    }

    assert [get(port).split()[0] for port in ports] == ["served"] * 2
    (_, *check) = services["web"]["healthcheck"]["test"]
    check[0] = program("prodctl")
    # `web` has its own supervisor, which prodctl finds by the project's folder.
    assert site.command(check).end() == 0
    assert services["static"]["stop_signal"] == "SIGINT"
    ends = {name: stop(run, services[name]["stop_signal"]) for name, run in runs.items()}
    assert ends == {"web": 0, "static": 0, "tasks": 0}


def test_kubernetes_split_pods_start_pass_their_probes_and_stop(
    site: Site, processes: Any, ports: list[int], manager: Systemd
) -> None:
    objects = _objects(files(site, processes, "kubernetes-split"))
    pods = {
        one["spec"]["template"]["spec"]["containers"][0]["name"]: one["spec"]["template"]["spec"]
        for one in objects
        if one["kind"] in ("Deployment", "Job")
    }
    containers = {name: pod["containers"][0] for name, pod in pods.items()}
    job = containers.pop("migrate")["command"]
    assert site.command([sys.executable, *job[1:]], env=site.configure(processes)).end() == 0

    runs = {
        name: start(site, processes, one["command"], manager) for name, one in containers.items()
    }

    probe = containers["web"]["readinessProbe"]["httpGet"]
    assert get(probe["port"], probe["path"]) == "well"
    exec_probe = containers["static"]["readinessProbe"]["exec"]["command"]
    assert site.command([program("prodctl"), *exec_probe[1:]]).end() == 0
    # Kubernetes sends a pod no other stop signal.
    assert [run.end(signal.SIGTERM) for run in runs.values()] == [0, 0, 0]


def test_the_kubernetes_pod_starts_passes_its_probes_and_stops(
    site: Site, processes: Any, ports: list[int], manager: Systemd
) -> None:
    (deployment,) = _objects(files(site, processes, "kubernetes"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    # Tests listen on localhost only.
    port = free_port()
    address = given["PRODSERVER_MONITOR"].replace("0.0.0.0:9180", f"127.0.0.1:{port}")

    run = start(
        *(site, processes, container["command"], manager),
        env={**given, "PRODSERVER_MONITOR": address},
    )

    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert get(port, container[kind]["httpGet"]["path"]) == "ok\n"
    assert [get(port).split()[0] for port in ports] == ["served"] * 2
    assert run.end(signal.SIGTERM) == 0


def _objects(found: Mapping[str, str]) -> list[Any]:
    (text,) = [one for path, one in found.items() if "kustomization" not in path]
    return [one for one in yaml.safe_load_all(text) if one]


def unit(text: str) -> dict[str, list[str]]:
    """Return the values of a unit by key."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@contextmanager
def held(units: Mapping[str, dict[str, list[str]]], service: str) -> Iterator[dict[str, Any]]:
    """Open the sockets of a service's socket units, and pass them on as systemd does."""
    own = [one for one in units.values() if one.get("Service") == [service]]
    if not own:
        yield {}
        return
    addresses = [
        (stream, one["FileDescriptorName"][0]) for one in own for stream in one["ListenStream"]
    ]
    sockets = [
        socket.create_server(("127.0.0.1", int(at.rpartition(":")[2]))) for at, _ in addresses
    ]
    try:
        names = ":".join(name for _, name in addresses)
        moves = " ".join(f"{3 + n}<&{one.fileno()}" for n, one in enumerate(sockets))
        script = f'exec {moves}; LISTEN_PID=$$ LISTEN_FDS={len(sockets)} exec "$0" "$@"'
        yield {
            "before": ["bash", "-c", script],
            "pass_fds": [one.fileno() for one in sockets],
            "env": {"LISTEN_FDNAMES": names},
        }
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("to", ["systemd", "systemd-split"])
def test_systemd_units_start_serve_reload_and_stop(
    to: str, site: Site, processes: Any, ports: list[int], manager: Systemd
) -> None:
    args = ("--set", f"directory={site.project}", "--set", f"python={sys.executable}")
    texts = files(site, processes, to, *args, "--set", "name=site")
    units = {name: unit(text) for name, text in texts.items()}
    services = [name for name in units if name.endswith(".service")]
    # In the order of `After=`.
    services.sort(key=lambda name: len(units[name]["After"][0]))

    for name in services:
        one = units[name]
        command = shlex.split(one["ExecStart"][0])
        variables = dict(line.split("=", 1) for line in one["Environment"])
        variables["PRODSERVER_CONTROL"] = str(site.project.parent / f"{name}.sock")
        if one["Type"] == ["oneshot"]:
            assert site.command(command, env=site.configure(processes)).end() == 0
            continue
        assert one["Type"] == ["notify"]
        with held(units, name) as how:
            before = how.pop("before", [])
            env = {
                **site.configure(processes),
                **manager.environ,
                **variables,
                **how.pop("env", {}),
            }
            manager.forget()
            run = site.command([*before, *command], env=env, **how)
            manager.wait_for_ready()
            if how:
                served = ports if to == "systemd" else [ports["static" in name]]
                assert [get(port).split()[0] for port in served] == ["served"] * len(served)
            if "ExecReload" in one:
                reload = shlex.split(one["ExecReload"][0])
                assert site.command([program("prodctl"), *reload[1:]], env=variables).end() == 0
            assert stop(run, one["KillSignal"][0]) == 0


def test_supervisord_programs_start_pass_their_health_checks_and_stop(
    site: Site, processes: Any, ports: list[int]
) -> None:
    # Both need their own supervisor: `web` for its checks, `tasks` for its memory limit.
    processes["tasks"]["MAX_MEMORY"] = "1GiB"
    name = f"site-{ports[0]}"
    options = {"name": name, "directory": site.project, "python": sys.executable}
    args = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    files(site, processes, "supervisord", *args)
    # supervisord waits for nothing, so migrate first.
    assert site(processes, "migrate").end() == 0

    run = site.command(
        [program("supervisord"), "-c", "exported/supervisord.conf"],
        env={**site.configure(processes), "PYTHONWARNINGS": "ignore"},
    )

    run.wait_for_each_of(r"Listening at", r"Serving on", r"Starting worker")
    assert [get(port).split()[0] for port in ports] == ["served"] * 2
    for process in ("web", "tasks"):
        control = {"PRODSERVER_CONTROL": f"/tmp/{name}-{process}-control.sock"}
        assert site.command([program("prodctl"), "health", process], env=control).end() == 0
    assert run.end(signal.SIGTERM) == 0
    # supervisord itself exits with 0 even if it has to kill a program.
    for process in ("web", "static", "tasks"):
        assert any(line.endswith(f"stopped: {process} (exit status 0)") for line in run.raw)
