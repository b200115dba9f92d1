"""The real worker and scheduler of RQ, as django-rq starts them, alone and supervised."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from tests.peers import systemd
from tests.running import Site

linux_only = pytest.mark.skipif(
    not psutil.LINUX, reason="only Linux lets processes die with their parent"
)


# Both as RQ logs it up to 2.0, and as it does since.
STARTED = re.compile(r"Worker (?:rq:worker:)?(\S+?):? started with PID")


def project(redis: str) -> dict[str, Any]:
    """The settings of a project with django-rq, besides the processes."""
    queues = {name: {"URL": redis} for name in ("default", "high")}
    return {"supervisor": {"SETTINGS": {"INSTALLED_APPS": ["django_rq"], "RQ_QUEUES": queues}}}


def worker(**entry: Any) -> dict[str, Any]:
    return {"worker": {"BACKEND": "rq", **entry}}


def test_workers_execute_jobs_and_finish_the_running_job_on_sigterm(site: Site, redis: str) -> None:
    """One signal only: a second would kill the job. Each worker has a unique name."""
    site.hold("job")
    jobs = [["default", "hold", "job"], ["high", "hello"]]
    site.call("rq_jobs.enqueue", *jobs, **project(redis))
    run = site(worker(ARGS=["high", "default"], REPLICAS=2), **project(redis))
    run.wait_for_each_of("all 2 ready", "hello from worker", "job in progress")

    run.signal(signal.SIGTERM)
    run.wait_for_each({f"worker.{number}": "warm shut down requested" for number in (1, 2)})
    site.release("job")

    assert run.end() == 0
    both = run.said("worker.1") + run.said("worker.2")
    assert "job done" in both
    names = {match[1] for line in both if (match := STARTED.search(line))}
    assert {name.rpartition(".")[0] for name in names} == {"worker.1", "worker.2"}
    assert sum(" stopped after" in line for line in run.said("system")) == 3


@linux_only
def test_the_work_horse_and_the_scheduler_die_with_their_worker(site: Site, redis: str) -> None:
    """A work horse is in its own process group, which a supervisor would not find.

    The next worker gets another name: RQ would refuse that of the dead one.
    """
    site.hold("first", "second")
    jobs = [["default", "hold", "first"], ["default", "hold", "second"]]
    site.call("rq_jobs.enqueue", *jobs, **project(redis))
    entry = worker(ARGS={"with-scheduler": True}, RESTART="on-failure")
    run = site(entry, **project(redis))
    run.wait_for_each_of("all 1 ready", "first in progress", "Scheduler for default started")
    (leader,) = run.children()
    scheduler, horse = leader.children()
    assert os.getpgid(horse.pid) != leader.pid == os.getpgid(scheduler.pid)

    leader.kill()
    run.wait_for_each_of("restart", "worker.1 ready", "second in progress")
    assert psutil.wait_procs([scheduler, horse], timeout=60)[1] == []
    descendants = psutil.Process(run.pid).children(recursive=True)
    assert len(descendants) >= 2

    assert run.end(signal.SIGKILL) == -signal.SIGKILL
    assert psutil.wait_procs(descendants, timeout=60)[1] == []


@pytest.mark.parametrize("args", [["--burst"], ["--max-jobs=1"], ["--max-idle-time=1"]])
def test_a_worker_without_a_supervisor_exits_with_0_at_its_limit_of_jobs(
    site: Site, redis: str, args: list[str], tmp_path: Path
) -> None:
    """If systemd started it, it reports that it is ready."""
    site.hold("job")
    site.call("rq_jobs.enqueue", ["high", "hold", "job"], **project(redis))
    with systemd(tmp_path) as listener:
        run = site(worker(ARGS=["high", *args]), "worker", env=listener.environ, **project(redis))
        listener.wait_for_ready()
    run.wait_for("", "job in progress")
    site.release("job")

    assert run.end() == 0
    assert "job done" in run.said("")


def test_an_idle_worker_without_a_supervisor_stops_on_sigterm(site: Site, redis: str) -> None:
    """The signal may also arrive while it writes a log line."""
    run = site(worker(), "worker", **project(redis))
    run.wait_for("", "leaning registries")

    assert run.end(signal.SIGTERM) == 0


def test_arguments_that_rq_would_refuse_are_refused_by_check(site: Site, redis: str) -> None:
    elsewhere = project(redis)
    settings = elsewhere["supervisor"]["SETTINGS"]
    settings["RQ_QUEUES"]["far"] = {"URL": redis.replace("/0", "/1")}
    processes = {
        "option": {"BACKEND": "rq", "ARGS": ["--bust"]},
        "queue": {"BACKEND": "rq", "ARGS": ["hihg"]},
        "name": {"BACKEND": "rq", "ARGS": {"name": "me"}, "REPLICAS": 2},
        "mixed": {"BACKEND": "rq", "ARGS": ["default", "far"]},
        "scheduler": {"BACKEND": "rq-scheduler", "ARGS": {"queue": "defualt"}},
        "interval": {"BACKEND": "rq-scheduler", "ARGS": {"interval": "often"}},
    }
    run = site(processes, "--check", **elsewhere)

    assert run.end() == 1
    where = "PRODUCTION_PROCESSES['{}']['ARGS']: "
    complaints = run.stderr.replace("CommandError: ", "").splitlines()
    # The message is RQ's own.
    (mixed,) = (one for one in complaints if one.startswith(where.format("mixed")))
    assert "Queues must have the same redis connection" in mixed
    complaints.remove(mixed)
    assert complaints == [
        where.format("option")
        + "rqworker: unrecognized arguments: --bust. Did you mean '--burst'?",
        where.format("queue") + "rqworker: RQ_QUEUES has no queue 'hihg'. Did you mean 'high'?",
        where.format("name")
        + "rqworker: --name me would be the name of 2 workers, and RQ refuses the second. "
        "Leave it out: each has a name of its own.",
        where.format("scheduler")
        + "rqscheduler: RQ_QUEUES has no queue 'defualt'. Did you mean 'default'?",
        where.format("interval")
        + "rqscheduler: argument --interval/-i: invalid int value: 'often'",
    ]


def test_a_worker_recycles_only_with_burst_max_jobs_or_max_idle_time(
    site: Site, redis: str
) -> None:
    cases: list[tuple[Any, bool]] = [
        ({}, False),
        (["default", "--burst"], True),
        ({"max-jobs": 1}, True),
        ({"max-idle-time": 1}, True),
        ({"burst": False}, False),
        ({"max-jobs": "many"}, False),
        ({"help": True}, False),
    ]
    source = f"""
        import django

        from django_prodserver.backends.rq import RQWorker

        django.setup()
        for args in {[args for args, _ in cases]!r}:
            worker = RQWorker(ARGS=args, STOP_TIMEOUT=25.0, REPLICAS=1)
            print(worker.recycles())
    """
    program = ("-W", "ignore", "ask.py")
    env = {"DJANGO_SETTINGS_MODULE": "settings"}
    run = site(
        worker(), "any", program=program, files={"ask.py": source}, env=env, **project(redis)
    )

    assert run.end() == 0
    assert run.said("") == [str(recycles) for _, recycles in cases]


# ---- rq-scheduler ----


def test_a_scheduled_job_is_executed_once_by_two_schedulers(site: Site, redis: str) -> None:
    """Each scheduler holds the lock only while it looks for due jobs."""
    site.hold("job")
    site.call("rq_jobs.schedule", ["high", "hello"], **project(redis))
    processes = {
        **worker(ARGS=["high", "default"]),
        "scheduler": {"BACKEND": "rq-scheduler", "ARGS": {"interval": 1}, "REPLICAS": 2},
    }
    run = site(processes, **project(redis))
    run.wait_for_each_of("all 3 ready", "hello from worker.1")
    site.call("rq_jobs.schedule", ["default", "hold", "job"], **project(redis))
    run.wait_for_each_of("job in progress")

    run.signal(signal.SIGTERM)
    run.wait_for_each_of("scheduler.1 stopped", "scheduler.2 stopped", "warm shut down requested")
    site.release("job")

    assert run.end() == 0
    assert run.said("worker.1").count("hello from worker.1") == 1
    assert run.said("worker.1").count("job done") == 1
    with Redis.from_url(redis) as client:
        assert client.keys("rq:scheduler_lock") == []
        assert client.zcard("rq:scheduler:scheduled_jobs") == 0


def test_a_scheduler_without_a_supervisor_reports_ready_and_exits_with_0(
    site: Site, redis: str, tmp_path: Path
) -> None:
    entry = {"scheduler": {"BACKEND": "rq-scheduler"}}
    with systemd(tmp_path) as listener:
        run = site(entry, "scheduler", env=listener.environ, **project(redis))
        listener.wait_for_ready()

    assert run.end(signal.SIGTERM) == 0
    assert any("Shutting down RQ scheduler" in line for line in run.said(""))
