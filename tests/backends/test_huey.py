"""The real consumer of huey, alone and supervised, with threads and with processes."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.peers import systemd
from tests.running import Site

huey: Any = pytest.importorskip("huey", reason="huey is missing")

APPS = ["huey.contrib.djhuey", "huey_jobs"]


def project(**consumer: Any) -> dict[str, Any]:
    """Settings for a project whose queue is a file."""
    queue = {"huey_class": "huey.SqliteHuey", "filename": "huey.db", "immediate": False}
    return {"SETTINGS": {"INSTALLED_APPS": APPS, "HUEY": {**queue, "consumer": consumer}}}


def limited() -> bool:
    """Whether a consumer has an option for how long a stop may take: huey 3.4."""
    from huey.consumer_options import config_keys

    return "shutdown_timeout" in config_keys


def test_instances_finish_running_tasks_and_only_one_enqueues_periodic_tasks(site: Site) -> None:
    supervisor = project()
    site.hold("one", "two")
    site.call("huey_jobs.tasks.enqueue", "one", "two", supervisor=supervisor)
    run = site({"jobs": {"BACKEND": "huey", "REPLICAS": 2}}, supervisor=supervisor)
    run.wait_for_each_of("all 2 ready", "one in progress", "two in progress")

    run.signal(signal.SIGTERM)
    run.wait_for_all(("jobs.1", "Shutting down gracefully"), ("jobs.2", "Shutting down gracefully"))
    site.release("one")
    site.release("two")

    assert run.end() == 0
    said = [line.text for line in run.lines]
    assert {"one done", "two done"} <= set(said)
    for name, periodic in (("jobs.1", "enabled"), ("jobs.2", "disabled")):
        assert any(f"Periodic tasks are {periodic}" in line for line in run.said(name))
        assert any(line.startswith(f"{name} stopped after") for line in run.said("system"))
    assert not any("Enqueueing periodic task" in line for line in run.said("jobs.2"))


def test_worker_processes_finish_redis_tasks_and_die_with_the_supervisor(
    site: Site, redis: str
) -> None:
    queue = {"url": redis, "immediate": False, "consumer": {"worker_type": "process"}}
    supervisor = {"SETTINGS": {"INSTALLED_APPS": APPS, "HUEY": queue}}
    site.hold("one", "two", "three")
    site.call("huey_jobs.tasks.enqueue", "one", "two", supervisor=supervisor)
    processes = {"jobs": {"BACKEND": "huey", "ARGS": {"workers": 2}}}
    run = site(processes, supervisor=supervisor)
    run.wait_for_each_of("all 1 ready", "one in progress", "two in progress")
    run.signal(signal.SIGTERM)
    run.wait_for("jobs.1", "Shutting down gracefully")
    site.release("one")
    site.release("two")
    assert run.end() == 0
    assert {"one done", "two done"} <= set(run.said("jobs.1"))

    site.call("huey_jobs.tasks.enqueue", "three", supervisor=supervisor)
    run = site(processes, supervisor=supervisor)
    run.wait_for_each_of("all 1 ready", "three in progress")
    assert len(run.descendants()) == 4  # The consumer, its scheduler and two workers.
    everyone = psutil.Process(run.pid).children(recursive=True)

    assert run.end(signal.SIGKILL) == -signal.SIGKILL

    if psutil.LINUX:
        assert psutil.wait_procs(everyone, timeout=60)[1] == []


@pytest.mark.skipif(not limited(), reason="this huey knows no limit")
def test_an_endless_task_is_interrupted_within_the_stop_timeout(site: Site) -> None:
    supervisor = project()
    site.hold("one", "two")
    site.call("huey_jobs.tasks.enqueue", "one", "two", supervisor=supervisor)
    processes = {
        kind: {"BACKEND": "huey", "ARGS": {"worker-type": kind}, "STOP_TIMEOUT": 3}
        for kind in ("thread", "process")
    }
    run = site(processes, supervisor=supervisor)
    run.wait_for_each_of("all 2 ready", "one in progress", "two in progress")

    assert run.end(signal.SIGTERM) == 0

    for kind in processes:
        assert any("Shutdown timeout of 1.0s elapsed" in text for text in run.said(f"{kind}.1"))
    said = {line.text for line in run.lines}
    assert {"one interrupted", "two interrupted"} <= said
    assert not {"one done", "two done"} & said


# The consumer gets its stop signal while it forks its first process.
SIGNALLED = """
    import os, signal

    def stop_once():
        if "PRODSERVER_INSTANCE" in os.environ and not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    stopped = []
    os.register_at_fork(after_in_parent=stop_once)
"""


def test_a_stop_signal_while_the_consumer_forks_its_processes_is_not_lost(site: Site) -> None:
    """Python ignores an exception in a hook that runs at a fork."""
    jobs = {"BACKEND": "huey", "ARGS": {"worker-type": "process"}}
    supervisor = {**project(), "PRELOAD": ["signalled"]}
    run = site({"jobs": jobs}, supervisor=supervisor, files={"signalled.py": SIGNALLED})

    run.wait_for("jobs.1", "All workers have stopped|Consumer exiting")

    # The supervisor has sent no signal, so it counts as an unexpected exit.
    assert run.end() == 1


@pytest.mark.skipif(not limited(), reason="this huey knows no other graceful signal")
def test_the_consumer_is_stopped_by_its_configured_graceful_signal(site: Site) -> None:
    supervisor = project(graceful_signal="TERM")
    processes = {
        "setting": {"BACKEND": "huey"},
        "args": {"BACKEND": "huey", "ARGS": {"graceful-signal": "INT"}},
    }
    run = site(processes, supervisor=supervisor)
    run.wait_for("system", "all 2 ready")

    assert run.end(signal.SIGTERM) == 0
    assert any("Received SIGTERM" in line for line in run.said("setting.1"))
    assert any("Received SIGINT" in line for line in run.said("args.1"))
    for name in processes:
        assert any("All workers have stopped" in line for line in run.said(f"{name}.1"))


def test_an_instance_reexecutes_its_command_on_sighup(site: Site) -> None:
    """It executes itself again; the second of two must still not enqueue periodic tasks."""
    supervisor = project()
    run = site({"jobs": {"BACKEND": "huey", "REPLICAS": 2}}, supervisor=supervisor)
    run.wait_for("system", "all 2 ready")
    (match,) = (re.search(r"jobs\.2 ready .*pid (\d+)", "\n".join(run.said("system"))),)
    assert match is not None

    run.kill(int(match[1]), signal.SIGHUP)
    run.wait_for("jobs.2", "Consumer will restart")
    run.wait_for("jobs.2", f"consumer started with 1 thread, PID {match[1]} ")
    run.wait_for("jobs.2", "Periodic tasks are disabled")
    run.wait_for("jobs.2", "The following commands")

    assert run.end(signal.SIGTERM) == 0


def test_huey_without_a_supervisor_behaves_like_its_own_command(site: Site, tmp_path: Path) -> None:
    supervisor = project()
    site.hold("one")
    site.call("huey_jobs.tasks.enqueue", "one", supervisor=supervisor)
    jobs = {"jobs": {"BACKEND": "huey"}}
    with systemd(tmp_path) as listener:
        run = site(jobs, "jobs", env=listener.environ, supervisor=supervisor)
        # A worker may start before the consumer has its handler for SIGINT.
        listener.wait_for_ready()
    run.wait_for("", "one in progress")
    run.signal(signal.SIGINT)
    site.release("one")

    assert run.end() == 0
    assert "one done" in run.said("")


def test_a_wrong_option_and_a_missing_app_are_refused(site: Site) -> None:
    processes = {
        "typo": {"BACKEND": "huey", "ARGS": {"werkers": 2}},
        "range": {"BACKEND": "huey", "ARGS": {"scheduler-interval": 7}},
    }
    run = site(processes, "--check", supervisor=project())
    assert run.end() == 1
    assert "run_huey: unrecognized arguments: --werkers=2. Did you mean '--workers'" in run.stderr
    assert "['range']['ARGS']: The scheduler interval must be a factor of 60" in run.stderr

    immediate = project()
    immediate["SETTINGS"]["HUEY"]["immediate"] = True
    run = site({"jobs": {"BACKEND": "huey"}}, "--check", supervisor=immediate)
    assert run.end() == 1
    assert "set HUEY['immediate'] to False" in run.stderr
    assert "Traceback" not in run.stderr

    run = site({"jobs": {"BACKEND": "huey"}}, "--check")
    assert run.end() == 1
    assert "Add 'huey.contrib.djhuey' to INSTALLED_APPS." in run.stderr


def test_the_preload_leaves_no_threads_or_open_queue_file(site: Site) -> None:
    source = """
        import sys
        import threading

        import django
        import psutil

        django.setup()
        from django_prodserver.backends.huey import HueyWorker

        HueyWorker(ARGS={}, STOP_TIMEOUT=25.0, REPLICAS=1).preload()
        me = psutil.Process()
        opened = [file.path for file in me.open_files() if "huey.db" in file.path]
        print(threading.active_count(), opened, "huey_jobs.tasks" in sys.modules)
    """
    settings = {"DJANGO_SETTINGS_MODULE": "settings"}
    program = ("-W", "ignore", "ask.py")
    run = site(
        {"jobs": {"BACKEND": "huey"}},
        "any",
        program=program,
        files={"ask.py": source},
        env=settings,
        supervisor=project(),
    )

    assert run.end() == 0
    assert run.said("") == ["1 [] True"]
