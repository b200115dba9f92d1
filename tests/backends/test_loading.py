"""Where each backend runs `ready()`, as documented, and what `ready()` knows of its process.

The documented claims are in tools/loading.py.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from subprocess import STDOUT
from typing import Any, NamedTuple, Optional

import psutil
import pytest
from django.utils.module_loading import import_string

from django_prodserver.backends import BUILT_IN
from tests.inside import free_port, free_ports
from tests.peers import get
from tests.running import Run, Site
from tools.loading import FORKED, FRESH, LEADER, LOADING, WORKERS, Loading

from .test_everything import ENTRIES, filled, missing, settings_for

FORK, SPAWN, ALONE = "fork", "spawn", "alone"

# Servers that run two workers here, so that `ready()` is counted in each.
TWO = {
    "gunicorn",
    "gunicorn-asgi",
    "granian",
    "granian-wsgi",
    "hypercorn",
    "hypercorn-wsgi",
    "uwsgi",
}
# How to make these run until they are stopped.
STAYS: dict[str, Any] = {
    "command": {"ARGS": ["tell", "--stay"], "TYPE": "service"},
    "wait-for": {"ARGS": ["path:/never/there"], "TYPE": "service"},
}
# These always finish.
ENDS = {"migrate"}


class Told(NamedTuple):
    """What `ready()` reports about the process that it runs in."""

    pid: int
    parent: int
    process: Optional[str]
    instance: Optional[str]


class Ear:
    """The reader of a FIFO to which each `ready()` writes."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for writing, too: it reads no EOF before the first writer or after the last.
        self._fd = os.open(path, os.O_RDWR)
        self._lines = open(self._fd, "rb", buffering=0)  # noqa: SIM115
        self.heard: list[Told] = []

    def hear(self, times: int) -> None:
        self._take(self._lines.readline() for _ in range(times))

    def hear_the_rest(self) -> None:
        os.set_blocking(self._fd, False)
        with suppress(BlockingIOError):
            self._take(os.read(self._fd, 1 << 16).splitlines())

    def _take(self, lines: Iterable[bytes]) -> None:
        self.heard += (Told(*json.loads(line)) for line in lines)

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.close()


def expected(name: str, one: Loading, how: str) -> Counter[str]:
    """How often `ready()` runs in which place, apart from `manage.py`."""
    places = {
        FORK: [one.by_forks],
        SPAWN: [one.by, one.then],
        ALONE: [one.by if one.executed or import_string(BUILT_IN[name]).runner else one.then],
    }
    times = {WORKERS: 1 if one.then else 2}
    return Counter({place: times.get(place, 1) for place in places[how] if place})


def entry_of(name: str, one: Loading, port: int) -> dict[str, Any]:
    entry = {"BACKEND": name, **ENTRIES[name], **STAYS.get(name, {})}
    args = entry.get("ARGS", {})
    if isinstance(args, dict):
        entry["ARGS"] = {**args, **({"workers": 2} if name in TWO else {}), **one.args}
    return filled(entry, {"PORT": str(port)})


def test_each_backend_is_in_the_loading_table() -> None:
    """tools/backends_reference.py makes the part `starts` of each page from the table."""
    assert set(LOADING) == set(BUILT_IN)


@pytest.mark.parametrize("how", [FORK, SPAWN])
def test_ready_runs_in_the_documented_processes_under_a_supervisor(
    site: Site, how: str, redis: str, postgresql: str
) -> None:
    cases = {
        f"{name}-{number}": (name, one)
        for name in LOADING
        if not missing(name) and name not in ENDS
        for number, one in enumerate(LOADING[name])
    }
    settings = settings_for(dict.fromkeys(name for name, _ in cases.values()), redis, postgresql)
    settings["INSTALLED_APPS"].append("tells")
    supervisor = {"START_METHOD": how, "SETTINGS": settings}
    site.call("os.getpid", supervisor=supervisor)
    ports = dict(zip(cases, free_ports(len(cases))))
    processes = {key: entry_of(*case, ports[key]) for key, case in cases.items()}
    places = {key: expected(*case, how) for key, case in cases.items()}

    with Ear(site.project / "ear") as listener:
        env = {"BROKER": redis, "TELL": str(site.project / "ear")}
        run = site(processes, supervisor=supervisor, env=env)
        run.wait_for("system", f"^all {len(cases)} ready after")
        listener.hear(1 + sum(sum(one.values()) for one in places.values()))
        leaders = {pid_of(run, key): key for key in cases}
        workers = {key: bool(psutil.Process(pid).children()) for pid, key in leaders.items()}
        for key, (name, _) in cases.items():
            if "PORT" in str(ENTRIES[name]) and name != "celery-flower":
                assert get(ports[key]).startswith("served by")
        assert run.end(SIGTERM) == 0
        listener.hear_the_rest()

    first, *others = listener.heard
    assert first[2:] == (None, None)
    found: dict[str, Counter[str]] = {key: Counter() for key in cases}
    for told in others:
        key = leaders.get(told.pid) or leaders[told.parent]
        found[key][LEADER if told.pid in leaders else WORKERS] += 1
        assert told[2:] == (key, f"{key}.1")
    assert found == places
    assert workers == {key: one.workers in (FORKED, FRESH) for key, (_, one) in cases.items()}


@pytest.mark.parametrize("name", LOADING)
def test_ready_runs_in_the_documented_processes_without_a_supervisor(
    site: Site, name: str, redis: str, postgresql: str
) -> None:
    if missing(name):
        pytest.skip(f"{', '.join(missing(name))} is not installed here")
    one = LOADING[name][0]
    settings = settings_for(["rq" if name == "rq-scheduler" else name], redis, postgresql)
    settings["INSTALLED_APPS"].append("tells")
    supervisor = {"SETTINGS": settings}
    site.call("os.getpid", supervisor=supervisor)
    places = expected(name, one, ALONE)

    with Ear(site.project / "ear") as listener:
        env = {"BROKER": redis, "TELL": str(site.project / "ear")}
        entry = entry_of(name, one, free_port())
        run = site({"one": entry}, "one", supervisor=supervisor, env=env, stderr=STDOUT)
        listener.hear(1 + sum(places.values()))
        # The status is left open: most processes do not handle the signal yet.
        run.end(SIGTERM)
        listener.hear_the_rest()

    first, *others = listener.heard
    assert first[2:] == (None, None)
    assert {told[2:] for told in others} <= {("one", None)}
    assert first.pid == run.pid
    assert Counter(LEADER if one.pid == run.pid else WORKERS for one in others) == places


def pid_of(run: Run, key: str) -> int:
    for text in run.said("system"):
        found = re.match(rf"{key}\.1 (?:ready after|started).*\(pid (\d+)\)", text)
        if found:
            return int(found[1])
    raise AssertionError(f"{key} was never ready")
