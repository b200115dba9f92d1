"""The real Celery worker and beat, supervised, over a broker of files.

All tests share one run, because with that broker a worker takes at least five seconds to stop.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import celery
import psutil
import pytest

from django_prodserver.backends.celery import CeleryWorker
from tests.inside import BEAT, CELERY, free_port
from tests.peers import Systemd, systemd
from tests.running import Run, Site, folder_for_all_users

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
    """What happened in the one run, for the tests to check."""

    run: Run
    project: Path
    status: int = -1
    # The number of processes below each instance's own.
    pools: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    folder = tmp_path_factory.mktemp("celery")
    with Site(folder) as site:
        site.hold("task")
        site.send(("hello", [], "celery"), ("hold", ["task"], "celery"), ("remapped", [], "other"))
        yield tell(site)


def tell(site: Site) -> History:
    """Start; two tasks are executed, and one is in progress when everything is stopped."""
    run = site(PROCESSES, "--all", "--no-timestamps")
    waiting = {"all ready", "hello", "in progress", "remapped"}
    while waiting:
        line = run.read()
        assert line is not None, f"never: {waiting}\n" + "\n".join(run.raw)
        if line.text.startswith("all 4 ready"):
            waiting.discard("all ready")
        for word in ("hello", "in progress"):
            if line.name.startswith("worker.") and word in line.text:
                waiting.discard(word)
        if line.text.startswith("SIGTERM means"):
            waiting.discard("remapped")
    history = History(run, site.project)
    leaders = run.children()
    history.pools = sorted(len(leader.children()) for leader in leaders)
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    # Only now: had the signal gone to the process group, the pool process would be dead.
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


def test_the_running_task_finishes_because_only_the_leader_is_signalled(
    history: History,
) -> None:
    lines = [(line.name.partition(".")[0], line.text) for line in history.run.lines]
    taken = next(i for i, (_, text) in enumerate(lines) if text.startswith("SIGTERM received"))

    assert lines.index(("worker", "task in progress")) < taken
    assert lines.index(("worker", "task done")) > taken


def test_remap_sigterm_in_env_takes_effect_in_billiard(history: History) -> None:
    """billiard reads REMAP_SIGTERM on import, and the project imports it before the fork."""
    assert "SIGTERM means SIGQUIT" in history.run.said("other.1")


def test_beat_keeps_its_schedule_in_a_file(history: History) -> None:
    assert list(history.project.glob("schedule*"))


def test_all_instances_stop_on_sigterm_with_status_0(history: History) -> None:
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


def test_beat_without_a_supervisor_starts_and_stops(site: Site) -> None:
    run = site({"beat": {**PROCESSES["beat"], "ARGS": {"loglevel": "debug"}}}, "beat")
    run.wait_for("", "beat: Waking up in")  # Before its first tick, SIGTERM makes it fail.

    assert run.end(signal.SIGTERM) == 0


def test_a_worker_reexecutes_its_own_command_on_sighup(site: Site) -> None:
    """On SIGHUP Celery executes sys.argv: `manage.py prodserver worker` here, without `--all`."""
    entry = {**PROCESSES["worker"], "REPLICAS": 1}
    run = site({"worker": entry}, "--all", "--no-timestamps")
    run.wait_for_each({"worker.1": r"worker\.1@\S+ ready", "system": "all 1 ready"})
    (leader,) = run.children()

    leader.send_signal(signal.SIGHUP)
    run.wait_for("worker.1", r"worker\.1@\S+ ready")

    assert run.children() == [leader]
    said = run.said("worker.1")
    assert "Restarting celery worker (manage.py prodserver worker)" in said
    assert not any("supervising" in line for line in said)
    # Two SIGTERMs, so as not to wait for the worker again.
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_options_added_by_the_app_and_celery_settings_are_accepted_in_args(site: Site) -> None:
    source = """
        import click
        from workers import app

        app.user_options["worker"].add(click.Option(["--licence"], type=int))
        app.user_options["preload"].add(click.Option(["--region"]))
    """
    words = ["--licence=7", "--region=eu", "worker.prefetch_multiplier=4"]
    files = {"licensed.py": source}
    good, bad = alone(APP="licensed.app"), alone(APP="licensed.app")
    good["worker"]["ARGS"], bad["worker"]["ARGS"] = words, ["--licence=none"]

    assert site(good, "--check", files=files).end() == 0
    run = site(bad, "--check", files=files)

    assert run.end() == 1
    assert "'--licence': 'none' is not a valid integer" in run.stderr


@pytest.fixture(name="listener")
def listener_fixture(tmp_path: Path) -> Iterator[Systemd]:
    with systemd(tmp_path) as listener:
        yield listener


def alone(**entry: Any) -> dict[str, Any]:
    args = {**PROCESSES["worker"]["ARGS"], **entry.pop("ARGS", {})}
    return {"worker": {**PROCESSES["worker"], "REPLICAS": 1, "ARGS": args, **entry}}


def test_a_worker_pings_the_watchdog_only_while_its_main_loop_runs(
    site: Site, listener: Systemd
) -> None:
    """With `-P solo` a running task blocks the main loop, but not the timer's thread."""
    site.hold("task")
    entry = alone(ARGS={"P": "solo", "without-heartbeat": True})
    run = site(entry, "worker", env=listener.environ)
    listener.wait_for_ready()
    assert [listener.hear() for _ in range(2)] == [b"WATCHDOG=1"] * 2

    site.send(("hold", ["task"], "celery"))
    run.wait_for("", "task in progress")
    assert listener.hears_nothing()
    site.release("task")
    assert listener.hear() == b"WATCHDOG=1"

    run.signal(signal.SIGSTOP)
    os.waitpid(run.pid, os.WUNTRACED)
    assert listener.hears_nothing()
    run.signal(signal.SIGCONT)
    assert listener.hear() == b"WATCHDOG=1"
    assert run.end(signal.SIGTERM) == 0


def test_a_worker_pings_the_watchdog_while_it_waits_for_its_broker(
    site: Site, listener: Systemd
) -> None:
    source = f"""
        from celery import Celery

        app = Celery("unreachable", broker="amqp://127.0.0.1:{free_port()}")
    """
    files = {"unreachable.py": source}
    run = site(alone(APP="unreachable.app"), "worker", env=listener.environ, files=files)

    assert [listener.hear() for _ in range(3)] == [b"WATCHDOG=1"] * 3

    assert run.end(signal.SIGTERM) == 0


def test_a_worker_that_does_not_ping_the_watchdog_is_replaced(site: Site) -> None:
    entry = alone(ARGS={"P": "solo"}, WATCHDOG=4, STOP_TIMEOUT=1, RESTART="on-failure")
    run = site(entry)
    run.wait_for_each({"worker.1": r"worker\.1@\S+ ready", "system": "all 1 ready"})
    (hung,) = run.children()

    hung.suspend()
    run.wait_for("system", r"worker\.1 .*no WATCHDOG=1 for 4 s")
    run.wait_for("worker.1", r"worker\.1@\S+ ready")

    assert not hung.is_running()
    # Two SIGTERMs, so as not to wait for the worker.
    run.signal(signal.SIGTERM)
    run.wait_for("system", "SIGTERM received")
    assert run.end(signal.SIGTERM) == 128 + signal.SIGTERM


def test_beat_pings_the_watchdog_while_no_task_is_due(site: Site, listener: Systemd) -> None:
    run = site({"beat": PROCESSES["beat"]}, "beat", env=listener.environ)

    heard = [listener.hear() for _ in range(4)]

    assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    assert run.end(signal.SIGTERM) == 0


def test_no_pings_are_sent_without_a_watchdog(site: Site, listener: Systemd) -> None:
    environ = {"NOTIFY_SOCKET": listener.environ["NOTIFY_SOCKET"]}
    run = site({"beat": PROCESSES["beat"]}, "beat", env=environ)

    assert listener.hear() == b"READY=1"
    assert listener.hears_nothing()

    assert run.end(signal.SIGTERM) == 0


@pytest.mark.skipif(celery.VERSION < (5, 5), reason="a warm shutdown cannot be cut short")
def test_the_escalation_signal_returns_a_hanging_task_to_the_broker(site: Site, redis: str) -> None:
    """Over Redis, where the main thread wakes twice a second while it waits for the pool.

    With a broker of files it blocks in Thread.join() right after it logs "Stopping Pool". If a
    signal arrives just before the join, CPython does not run its handler until the next signal
    interrupts the join.
    """
    env = {"BROKER": redis}
    source = """
        import logging

        from celery.worker import request
        from workers import app

        logging.getLogger("celery").setLevel("DEBUG")
        request.__optimize__()  # It has looked at the level when it was imported.
    """
    site.hold("task")
    site.send(("hold_late", ["task"], "celery"), env=env)
    run = site(alone(APP="talkative.app"), "worker", env=env, files={"talkative.py": source})
    # The worker cancels only tasks that the pool has reported as started.
    run.wait_for_each_of("task in progress", "Task accepted")
    run.signal(signal.SIGTERM)
    run.wait_for("", "Stopping Pool")

    assert run.end(signal.Signals[str(CeleryWorker.escalation_signal)]) == 0

    assert "task done" not in run.said("")
    execute_again(site, env)


def test_a_task_is_executed_again_if_its_worker_ignores_the_escalation_signal(
    site: Site, redis: str
) -> None:
    # With Redis, a message that is not acknowledged within a second goes to another worker.
    env = {"BROKER": redis, "VISIBILITY_TIMEOUT": "1"}
    source = """
        import signal

        from celery.signals import worker_shutting_down
        from workers import app

        @worker_shutting_down.connect(weak=False)
        def miss_the_second_step(**kwargs):
            signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    """
    site.hold("task")
    site.send(("hold_late", ["task"], "celery"), env=env)
    entry = alone(APP="missing.app", STOP_TIMEOUT=2)
    run = site(entry, env=env, files={"missing.py": source})
    run.wait_for_each({"worker.1": "task in progress", "system": "all 1 ready"})

    assert run.end(signal.SIGTERM) == 1

    system = run.said("system")
    assert "worker.1 is still running; sending it SIGQUIT" in system
    assert "worker.1 did not stop within 2 s; killing it and its process group" in system
    execute_again(site, env)


def execute_again(site: Site, env: dict[str, str]) -> None:
    """The next worker gets the held task and finishes it."""
    run = site(alone(), "worker", env=env)
    run.wait_for("", "task in progress")
    site.release("task")
    run.wait_for("", "task done")
    assert run.end(signal.SIGTERM) == 0


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux lets processes die with their parent")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
def test_worker_pool_and_beat_that_change_their_user_die_with_their_parents() -> None:
    """A change of user clears the parent death signal; an embedded beat is not a pool process."""
    with folder_for_all_users() as folder, Site(folder / "site") as site:
        user = {"uid": "nobody", "gid": "nogroup", "loglevel": "info"}
        # The in-memory scheduler: this user may not be able to import modules that write a file.
        beat = {**user, "scheduler": "celery.beat:Scheduler"}
        worker = {**beat, "concurrency": 1, "beat": None}
        run = site(
            {
                "worker": {"BACKEND": CELERY, "APP": "workers", "ARGS": worker},
                "beat": {"BACKEND": BEAT, "APP": "workers", "ARGS": beat},
            },
            env={"HOME": str(folder)},
        )
        for path in [folder, *folder.rglob("*")]:
            os.chmod(path, 0o777)
        run.wait_for("system", "all 2 ready")
        pids = re.findall(r"\d+(?=\)$)", "\n".join(run.said("system")), re.MULTILINE)
        leaders = [psutil.Process(int(pid)) for pid in pids]
        descendants = [*leaders, *(child for one in leaders for child in one.children())]
        uid = pwd.getpwnam("nobody").pw_uid
        assert {process.uids().effective for process in descendants} == {uid}
        assert len(descendants) == 4

        assert run.end(signal.SIGKILL) == -signal.SIGKILL

        assert psutil.wait_procs(descendants, timeout=60)[1] == []


NEEDED = """
import importlib.metadata, os, sys
from django_prodserver.backends.hooks import celery as hooks

entry_points = importlib.metadata.entry_points
hooks.preload("worker")
print(sorted({"flower", "click_repl", "pygments", "psutil"} & sys.modules.keys()))
print(importlib.metadata.entry_points is entry_points)
from celery.utils import debug
print(debug.ps().pid == os.getpid())
import psutil
print(type(debug.ps()) is psutil.Process)
"""


def test_modules_that_a_worker_rarely_needs_are_imported_on_first_use() -> None:
    done = subprocess.run([sys.executable, "-c", NEEDED], check=True, capture_output=True)

    # Python 3.9 finds entry points in another way, which the hook leaves alone.
    imported = [] if sys.version_info >= (3, 10) else ["flower"]
    assert done.stdout.decode().split("\n") == [str(imported), "True", "True", "True", ""]
