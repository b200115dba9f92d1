"""Each backend in each format: the signal that stops it, and how long the platform waits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from django_prodserver.exports.formats import FORMATS
from django_prodserver.exports.workload import all_in_one, per_process
from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.launch.resolve import resolve
from django_prodserver.settings.load import load
from tests.exports.projects import exported
from tests.inside import configured

TIMEOUT = 17
GRACE = TIMEOUT + 5
# Backends with another stop signal. A platform that sends only SIGTERM runs them under a
# supervisor, which sends theirs.
OTHERS = {"huey": "SIGINT", "waitress": "SIGINT"}


def told(to: str, folder: Path, entry: dict[str, Any]) -> tuple[str, str, Optional[int]]:
    """Return the command of a process x, its signal, and the wait in seconds, from the files."""
    files = exported({"x": entry}, to, folder)
    text = "\n".join(files.values())
    command, signal, grace = {
        "procfile": (r"^x: (.*)", "SIGTERM", None),
        "systemd-split": (r"ExecStart=(.*)", r"KillSignal=(\w+)", r"TimeoutStopSec=(\d+)"),
        "supervisord": (r"command = (.*)", r"stopsignal = (\w+)", r"stopwaitsecs = (\d+)"),
        "compose": (r"command: (.*)", r"stop_signal: (\w+)", r"stop_grace_period: (\d+)s"),
        "kubernetes-split": (
            r"command: (.*)",
            "SIGTERM",
            r"terminationGracePeriodSeconds: (\d+)",
        ),
        "fly": (r'x = "(.*)"', r'kill_signal = "(\w+)"', r"kill_timeout = (\d+)"),
        "render": (r"dockerCommand: (.*)", "SIGTERM", r"maxShutdownDelaySeconds: (\d+)"),
        "heroku": (r"^x: (.*)", "SIGTERM", None),
        "cloudrun": (r"command: (.*)", "SIGTERM", None),
    }[to]

    def find(pattern: str) -> str:
        found = re.search(pattern, text, re.M)
        assert found is not None, text
        return found[1]

    sent = find(signal) if "(" in signal else signal
    sent = sent if sent.startswith("SIG") else f"SIG{sent}"
    return find(command), sent, None if grace is None else int(find(grace))


PER_PROCESS = [name for name, one in FORMATS.items() if one.per_process]


@pytest.mark.parametrize("to", PER_PROCESS)
@pytest.mark.parametrize("backend", BUILT_IN)
def test_each_backend_is_stopped_by_its_own_signal_and_waited_for(backend: str, to: str) -> None:
    entry = {
        "BACKEND": "shell",
        "ARGS": [],
        "STOP_TIMEOUT": TIMEOUT,
        "APP": "tests.project.workers",
    }
    with configured({"x": entry}):
        settings = load().effective("x")
    process = ResolvedProcess("x", settings, import_string(BUILT_IN[backend]))
    row = FORMATS[to]

    (workload,) = per_process([process], {"x": "x"}, [], row.carries, supervise=row.supervises)

    own = OTHERS.get(backend, "SIGTERM")
    if own != "SIGTERM" and row.supervises and "STOP_SIGNAL" not in row.carries:
        assert "STOP_SIGNAL" in workload.needs
    assert workload.stop_signal == ("SIGTERM" if workload.supervised else own)
    assert workload.command == (["x=1"] if workload.supervised else ["x"])
    assert workload.grace == GRACE


@pytest.mark.parametrize("to", PER_PROCESS)
@pytest.mark.parametrize(
    ("backend", "args"),
    [
        ("gunicorn", {"bind": "127.0.0.1:8000"}),
        ("waitress", {"listen": "127.0.0.1:8000"}),
        ("shell", ["sleep", "9"]),
    ],
)
def test_exported_files_contain_the_stop_signal_and_the_grace_period(
    backend: str, args: Any, to: str, tmp_path: Path
) -> None:
    entry = {"BACKEND": backend, "ARGS": args, "STOP_TIMEOUT": TIMEOUT}

    command, signal, grace = told(to, tmp_path, entry)

    supervised = "x=1" in command
    assert signal == (OTHERS.get(backend, "SIGTERM") if not supervised else "SIGTERM") or (
        to == "procfile"
    )
    # A unit that passes sockets to a server runs it under a supervisor.
    assert supervised == (
        (to == "systemd-split" and backend != "shell")
        or (backend == "waitress" and "STOP_SIGNAL" not in FORMATS[to].carries and to != "procfile")
        # As PID 1, a program without a handler for SIGTERM ignores it.
        or (backend == "shell" and FORMATS[to].in_container)
    )
    assert grace in (None, GRACE)


def test_only_huey_and_waitress_have_their_own_stop_signal() -> None:
    classes = {name: import_string(path) for name, path in BUILT_IN.items()}

    signals = {name: one.stop_signal for name, one in classes.items()}
    assert {name: one for name, one in signals.items() if one != "SIGTERM"} == OTHERS


def chain(timeouts: dict[str, tuple[float, list[str]]]) -> list[ResolvedProcess]:
    processes = {
        name: {
            "BACKEND": "shell",
            "ARGS": ["sleep", "9"],
            "STOP_TIMEOUT": timeout,
            "AFTER": after,
            "TYPE": "oneshot" if name.startswith("once") else "service",
        }
        for name, (timeout, after) in timeouts.items()
    }
    with configured(processes):
        return resolve(load(), processes)


@pytest.mark.parametrize(
    ("timeouts", "seconds"),
    [
        ({"a": (3, [])}, 8),
        ({"a": (3.2, []), "b": (2, [])}, 9),
        # A process stops only once those that come after it have stopped.
        ({"a": (3, []), "b": (2, ["a"])}, 10),
        ({"a": (3, []), "b": (2, ["a"]), "c": (9, [])}, 14),
        ({"a": (1, []), "b": (5, ["a"]), "c": (2, ["a", "b"])}, 13),
        # A oneshot has finished by then, unless there is nothing else to stop.
        ({"once": (60, []), "a": (3, ["once"])}, 8),
        ({"once": (60, [])}, 65),
    ],
)
def test_the_grace_period_covers_the_longest_chain_of_stop_timeouts(
    timeouts: dict[str, tuple[float, list[str]]], seconds: int
) -> None:
    (workload,) = all_in_one(chain(timeouts), "site", ["prodserver", "--all"])

    assert workload.grace == seconds


def test_the_kubernetes_grace_period_includes_the_pause_before_the_stop(tmp_path: Path) -> None:
    entry = {"BACKEND": "waitress", "ARGS": {"listen": "0.0.0.0:8000"}, "STOP_TIMEOUT": TIMEOUT}
    for to in ("kubernetes", "kubernetes-split"):
        files = exported({"x": entry}, to, tmp_path / to)
        (text,) = [one for path, one in files.items() if "kustomization" not in path]
        deployment = next(yaml.safe_load_all(text))
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == GRACE + 5
