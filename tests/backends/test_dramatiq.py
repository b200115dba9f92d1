"""The real workers of dramatiq with Redis, alone and supervised."""

from __future__ import annotations

import inspect
import io
import re
import signal
from typing import Any

import psutil
import pytest

from tests.running import Site, skip_without

skip_without("django_dramatiq")

# A worker process takes no second message while it has one in progress.
ONE_EACH = {"dramatiq_queue_prefetch": "1"}


def project(redis: str, **options: Any) -> dict[str, Any]:
    broker = {
        "BROKER": "dramatiq.brokers.redis.RedisBroker",
        "OPTIONS": {"url": redis, **options},
        "MIDDLEWARE": ["dramatiq.middleware.AgeLimit", "dramatiq.middleware.Retries"],
    }
    apps = ["django_dramatiq", "dramatiq_jobs"]
    return {"SETTINGS": {"INSTALLED_APPS": apps, "DRAMATIQ_BROKER": broker}}


def test_worker_processes_finish_their_running_tasks(site: Site, redis: str) -> None:
    """Each has its own identity in Redis, which gives the messages of a dead worker to others."""
    supervisor = project(redis)
    site.hold("one", "two")
    site.call("dramatiq_jobs.tasks.enqueue", "one", "two", supervisor=supervisor)
    processes = {"jobs": {"BACKEND": "dramatiq", "ARGS": {"processes": 2, "threads": 1}}}
    run = site(processes, supervisor=supervisor, env=ONE_EACH)
    run.wait_for_all(
        ("system", "all 1 ready"),
        ("jobs.1", "one in progress"),
        ("jobs.1", "two in progress"),
    )
    begun = [re.fullmatch(r"\w+ by (\d+) as (\S+)", text) for text in run.said("jobs.1")]
    pids, brokers = zip(*(match.groups() for match in begun if match))
    assert len(set(pids)) == len(set(brokers)) == 2

    run.signal(signal.SIGTERM)
    run.wait_for_all(*[("jobs.1", "Stopping worker process")] * 2)
    site.release("one")
    site.release("two")

    assert run.end() == 0
    assert {"one done", "two done"} <= set(run.said("jobs.1"))
    assert any(line.startswith("jobs.1 stopped after") for line in run.said("system"))


def test_an_endless_task_is_abandoned_in_time_and_taken_by_another_worker(
    site: Site, redis: str
) -> None:
    supervisor = project(redis, heartbeat_timeout=2000, maintenance_chance=1_000_000)
    site.hold("one")
    site.call("dramatiq_jobs.tasks.enqueue", "one", supervisor=supervisor)
    beside = "dramatiq_jobs.tasks:beside"
    args = {"processes": 1, "threads": 1, "fork-function": beside}
    worker = {"BACKEND": "dramatiq", "ARGS": args}
    run = site({"jobs": {**worker, "STOP_TIMEOUT": 6}}, supervisor=supervisor)
    run.wait_for_all(("system", "all 1 ready"), ("jobs.1", "one in progress"))
    assert run.end(signal.SIGTERM) == 0

    run = site({"jobs": worker}, supervisor=supervisor)
    run.wait_for_all(
        ("system", "all 1 ready"),
        ("jobs.1", "one in progress"),
        ("jobs.1", "beside the workers"),
    )
    site.release("one")
    run.wait_for("jobs.1", "one done")
    assert len(run.descendants()) == 3  # The leader, its worker, and the fork function's process.
    everyone = psutil.Process(run.pid).children(recursive=True)

    assert run.end(signal.SIGKILL) == -signal.SIGKILL

    if psutil.LINUX:
        assert psutil.wait_procs(everyone, timeout=60)[1] == []


def test_log_lines_of_several_workers_are_not_interleaved(site: Site, redis: str) -> None:
    """dramatiq writes a line and its newline separately."""
    supervisor = project(redis)
    names = [f"n{number}" for number in range(4)]
    site.call("dramatiq_jobs.tasks.let_chat", names, 2000, supervisor=supervisor)
    processes = {"jobs": {"BACKEND": "dramatiq", "ARGS": {"processes": 2, "threads": 2}}}
    run = site(processes, supervisor=supervisor, env=ONE_EACH)
    run.wait_for_all(("system", "all 1 ready"), *[("jobs.1", "has said it")] * len(names))

    assert run.end(signal.SIGTERM) == 0

    whole = [text for text in run.said("jobs.1") if re.fullmatch(r"n\d says \d+ x{50}\.", text)]
    assert len(whole) == 2000 * len(names)
    assert sum("xxx" in text for text in run.said("jobs.1")) == len(whole)


def test_a_signal_handler_can_write_while_its_thread_is_writing() -> None:
    """A worker's handler does: it logs that the worker is stopping."""
    from django_prodserver.backends.hooks.dramatiq import WholeLines

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            written = super().write(text)
            if text == "ready\n":
                signal.raise_signal(signal.SIGUSR1)
            return written

    pipe = Pipe()
    stream = WholeLines(pipe)
    before = signal.signal(signal.SIGUSR1, lambda *_: stream.write("stopping\n"))
    try:
        stream.write("begun ")
        stream.flush()
        stream.write("ready\n")
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert pipe.getvalue() == "begun ready\nstopping\n"


def test_an_instance_reexecutes_its_command_on_sighup(site: Site, redis: str) -> None:
    """It executes the first word of its command line, which is not a program by itself."""
    env = {"DRAMATIQ_NPROCS": "1", "DRAMATIQ_NTHREADS": "3"}
    run = site({"jobs": {"BACKEND": "dramatiq", "ENV": env}}, supervisor=project(redis))
    run.wait_for_all(("system", "all 1 ready"), ("jobs.1", "ready for action"))
    (leader,) = run.children()

    run.kill(leader.pid, signal.SIGHUP)
    run.wait_for("jobs.1", "Running dramatiq")
    run.wait_for("jobs.1", "ready for action")

    assert run.children() == [leader]
    told = "--processes 1 --threads 3 --worker-shutdown-timeout 21000"
    assert sum(told in text for text in run.said("jobs.1")) == 2
    assert run.end(signal.SIGTERM) == 0


def test_a_worker_process_that_dies_ends_the_instance(site: Site, redis: str) -> None:
    processes = {"jobs": {"BACKEND": "dramatiq", "ARGS": {"processes": 2, "threads": 1}}}
    run = site(processes, supervisor=project(redis))
    run.wait_for_all(("system", "all 1 ready"), *[("jobs.1", "ready for action")] * 2)
    (leader,) = run.children()
    leader.children()[0].kill()

    assert run.end() == 1
    assert any("exited unexpectedly (code -9)" in text for text in run.said("jobs.1"))


def test_spawned_workers_are_ready_and_die_with_the_supervisor(site: Site, redis: str) -> None:
    command: Any = pytest.importorskip("django_dramatiq.management.commands.rundramatiq")
    if "use_spawn" not in inspect.signature(command.Command.handle).parameters:
        pytest.skip("this django-dramatiq has no --use-spawn")
    args = {"processes": 2, "threads": 1, "use-spawn": True}
    run = site({"jobs": {"BACKEND": "dramatiq", "ARGS": args}}, supervisor=project(redis))
    run.wait_for("system", "all 1 ready")
    assert (
        len(run.descendants()) == 4
    )  # The leader, two workers, and the tracker of multiprocessing.
    everyone = psutil.Process(run.pid).children(recursive=True)

    assert run.end(signal.SIGKILL) == -signal.SIGKILL

    if psutil.LINUX:
        assert psutil.wait_procs(everyone, timeout=60)[1] == []


def test_dramatiq_without_a_supervisor_behaves_like_its_own_command(site: Site, redis: str) -> None:
    supervisor = project(redis)
    site.hold("one")
    site.call("dramatiq_jobs.tasks.enqueue", "one", supervisor=supervisor)
    processes = {"jobs": {"BACKEND": "dramatiq", "ARGS": {"processes": 1}}}
    run = site(processes, "jobs", supervisor=supervisor)
    run.wait_for("", "--threads 8 --worker-shutdown-timeout 600000 django_dramatiq.setup")
    run.wait_for("", "one in progress")
    run.signal(signal.SIGTERM)
    site.release("one")

    assert run.end() == 0
    assert "one done" in run.said("")


def test_a_wrong_option_and_a_missing_app_are_refused(site: Site, redis: str) -> None:
    processes = {"jobs": {"BACKEND": "dramatiq", "ARGS": {"proceses": 2}}}
    run = site(processes, "--check", supervisor=project(redis))
    assert run.end() == 1
    assert "rundramatiq: unrecognized arguments: --proceses=2. Did you mean '--proc" in run.stderr

    run = site(processes, "--check")
    assert run.end() == 1
    assert "Add 'django_dramatiq' to INSTALLED_APPS." in run.stderr
    assert "Traceback" not in run.stderr


def test_the_preload_leaves_no_threads_or_open_connections(site: Site, redis: str) -> None:
    source = """
        import multiprocessing
        import sys
        import threading

        import django
        import psutil

        django.setup()
        from django_prodserver.backends.dramatiq import DramatiqWorker

        DramatiqWorker(ARGS={}, STOP_TIMEOUT=25.0, REPLICAS=1).preload()
        connected = psutil.Process().net_connections()
        print(threading.active_count(), connected, "dramatiq_jobs.tasks" in sys.modules)
        print(multiprocessing.get_start_method(allow_none=True))
    """.replace(
        "net_connections", "net_connections" if psutil.version_info >= (6,) else "connections"
    )
    run = site(
        {"jobs": {"BACKEND": "dramatiq"}},
        "any",
        program=("-W", "ignore", "ask.py"),
        files={"ask.py": source},
        env={"DJANGO_SETTINGS_MODULE": "settings"},
        supervisor=project(redis),
    )

    assert run.end() == 0
    assert run.said("") == ["1 [] True", "None"]
