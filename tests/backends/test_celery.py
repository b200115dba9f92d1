"""The real Celery worker and beat, supervised, over a broker of files.

One run for all tests: with that broker a worker needs five seconds and more to stop.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.functional.helpers import Run
from tests.inside import BEAT, CELERY
from tests.running import Site, sites

pytestmark = pytest.mark.timeout(90)

PROCESSES: dict[str, Any] = {
    "worker": {
        "BACKEND": CELERY,
        "APP": "workers",
        "ARGS": {"concurrency": 1, "loglevel": "info", "Q": "celery"},
        "REPLICAS": 2,
    },
    "other": {
        "BACKEND": CELERY,
        "APP": "workers",
        "ARGS": {"concurrency": 1, "loglevel": "info", "Q": "other"},
        "ENV": {"REMAP_SIGTERM": "SIGQUIT"},
    },
    "beat": {"BACKEND": BEAT, "APP": "workers", "ARGS": {"loglevel": "info"}},
}


@dataclass
class History:
    """What happened, told once, for the tests to look at."""

    run: Run
    project: Path
    status: int = -1
    # How many processes each instance had below its own.
    pools: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("celery")
    for site in sites(folder):
        site.hold("task")
        site.send(("hello", [], "celery"), ("hold", ["task"], "celery"), ("remapped", [], "other"))
        yield tell(site)


def tell(site: Site) -> History:
    """Start; two tasks are executed, one is in hand when everything is asked to stop."""
    run = site(PROCESSES, "--all", "--no-timestamps")
    waiting = {"all ready", "hello", "in hand", "remapped"}
    while waiting:
        line = run.read()
        assert line is not None, f"never: {waiting}\n" + "\n".join(run.raw)
        if line.text.startswith("all 4 ready"):
            waiting.discard("all ready")
        for word in ("hello", "in hand"):
            if line.name.startswith("worker.") and word in line.text:
                waiting.discard(word)
        if line.text.startswith("SIGTERM means"):
            waiting.discard("remapped")
    history = History(run, site.project)
    leaders = psutil.Process(run.pid).children()
    history.pools = sorted(len(leader.children()) for leader in leaders)
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    # Only now: had the signal gone to the group, the pool process would be dead.
    run.wait_for("system", "other.1 stopped")
    site.release("task")
    history.status = run.end()
    return history


def test_workers_with_replicas_have_unique_node_names(history: History) -> None:
    for name in ("worker.1", "worker.2", "other.1"):
        assert any(f"{name}@" in line and "ready" in line for line in history.run.said(name))


def test_a_task_is_executed(history: History) -> None:
    said = history.run.said("worker.1") + history.run.said("worker.2")

    assert "hello from worker.1" in said or "hello from worker.2" in said


def test_the_task_in_hand_is_finished_because_the_signal_goes_to_the_leader_only(
    history: History,
) -> None:
    lines = [(line.name.partition(".")[0], line.text) for line in history.run.lines]
    taken = next(i for i, (_, text) in enumerate(lines) if text.startswith("SIGTERM received"))

    assert lines.index(("worker", "task in hand")) < taken
    assert lines.index(("worker", "task done")) > taken


def test_remap_sigterm_in_env_is_seen_by_billiard(history: History) -> None:
    """billiard reads it when it is imported, which the project does before the fork."""
    assert "SIGTERM means SIGQUIT" in history.run.said("other.1")


def test_beat_keeps_its_schedule_in_a_file(history: History) -> None:
    assert list(history.project.glob("schedule*"))


def test_everything_stops_as_it_was_asked_to(history: History) -> None:
    assert history.status == 0
    stopped = [line for line in history.run.said("system") if " stopped after" in line]
    assert {line.split()[0] for line in stopped} == {
        "worker.1",
        "worker.2",
        "other.1",
        "beat.1",
        "all",
    }


def test_each_worker_has_a_pool_of_its_own(history: History) -> None:
    assert history.pools == [0, 1, 1, 1]


def test_alone_beat_starts_and_stops(site: Site) -> None:
    run = site({"beat": {**PROCESSES["beat"], "ARGS": {"loglevel": "debug"}}}, "beat")
    run.wait_for("", "beat: Waking up in")  # Before its first tick, SIGTERM makes it fail.

    assert run.end(signal.SIGTERM) == 0


def test_a_worker_that_is_asked_to_execute_itself_anew_gets_itself_back(site: Site) -> None:
    """On SIGHUP Celery executes sys.argv: `manage.py prodserver worker`, and not `--all`."""
    entry = {**PROCESSES["worker"], "REPLICAS": 1}
    run = site({"worker": entry}, "--all", "--no-timestamps")
    run.wait_for_each({"worker.1": r"worker\.1@\S+ ready", "system": "all 1 ready"})
    (leader,) = psutil.Process(run.pid).children()

    leader.send_signal(signal.SIGHUP)
    run.wait_for("worker.1", r"worker\.1@\S+ ready")

    assert psutil.Process(run.pid).children() == [leader]
    said = run.said("worker.1")
    assert "Restarting celery worker (manage.py prodserver worker)" in said
    assert not any("supervising" in line for line in said)
    # Twice, not to wait for it once more.
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM
