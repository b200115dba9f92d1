"""The real worker of procrastinate, alone and supervised, over PostgreSQL."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

import pytest

from tests.running import Site
from tests.services import database


def worker(**entry: Any) -> dict[str, Any]:
    return {"worker": {"BACKEND": "procrastinate", **entry}}


def over(postgresql: str) -> dict[str, Any]:
    """The settings that the project needs, with its database at this address."""
    return {
        "SETTINGS": {
            "INSTALLED_APPS": ["procrastinate.contrib.django"],
            "DATABASES": {"default": database(postgresql)},
            "PROCRASTINATE_IMPORT_PATHS": ["procrastinate_jobs"],
        }
    }


NOWHERE = over("postgresql://tests@127.0.0.1:1/tests")


def enqueue(site: Site, supervisor: Any, *jobs: tuple[str, dict[str, Any]]) -> None:
    site.call("procrastinate_jobs.enqueue", *jobs, supervisor=supervisor)


def wait_until_it_listens(postgresql: str, workers: int = 1) -> None:
    """Stopped earlier, a worker may never exit: seen with 3.6 on Python 3.9, in 1 of 10 runs.

    There, a task that is cancelled while it connects may miss the cancellation.
    """
    psycopg: Any = import_module("psycopg")
    with psycopg.connect(postgresql, autocommit=True) as connection:
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen %'"
        while connection.execute(listening).fetchone()[0] < workers:
            """PostgreSQL sends no event when a client begins to listen."""


def test_replicas_finish_their_running_jobs(site: Site, postgresql: str) -> None:
    """One signal only: a second would end the workers at once."""
    supervisor = over(postgresql)
    site.hold("one", "two")
    jobs = [("hello", {}), ("hold", {"name": "one"}), ("hold", {"name": "two"})]
    enqueue(site, supervisor, *jobs)
    run = site(worker(REPLICAS=2), supervisor=supervisor)
    run.wait_for_each_of("all 2 ready", "hello from", "one in progress", "two in progress")
    wait_until_it_listens(postgresql, workers=2)

    run.signal(signal.SIGTERM)
    run.wait_for_all(*((f"worker.{i}", "Waiting for job to finish") for i in (1, 2)))
    site.release("one")
    site.release("two")

    assert run.end() == 0
    for name in ("worker.1", "worker.2"):
        said = run.said(name)
        assert sum(text in ("one done", "two done") for text in said) == 1
        assert all(f"from {name} in {name}" in text for text in said if "hello from" in text)
    assert sum(" stopped after" in text for text in run.said("system")) == 3


def test_a_worker_passes_procrastinates_own_health_check(site: Site, postgresql: str) -> None:
    supervisor = over(postgresql)
    enqueue(site, supervisor)
    os.mkfifo(site.project / "well")
    check = (
        f"{sys.executable} -W ignore manage.py procrastinate healthchecks >checked && echo >well"
    )
    health = {"COMMAND": ["sh", "-c", check], "INTERVAL": 0.1, "TIMEOUT": 30}
    run = site(worker(HEALTHCHECK=health), supervisor=supervisor)
    run.wait_for("system", "^all 1 ready")

    with open(site.project / "well"):
        pass
    wait_until_it_listens(postgresql)

    assert "Worker App: OK" in (site.project / "checked").read_text()
    assert run.end(signal.SIGTERM) == 0


def test_a_job_that_hangs_is_aborted_in_time(site: Site, postgresql: str) -> None:
    supervisor = over(postgresql)
    enqueue(site, supervisor, ("forever", {}))
    run = site(worker(STOP_TIMEOUT=4), supervisor=supervisor)
    run.wait_for_each({"system": "all 1 ready", "worker.1": "forever in progress"})
    wait_until_it_listens(postgresql)

    assert run.end(signal.SIGTERM) == 0
    assert any("still running after graceful timeout" in text for text in run.said("worker.1"))


def test_a_worker_without_a_supervisor_executes_a_job_and_stops(
    site: Site, postgresql: str
) -> None:
    supervisor = over(postgresql)
    enqueue(site, supervisor, ("hello", {}))
    run = site(worker(ARGS={"n": "mine"}), "worker", supervisor=supervisor)
    run.wait_for("", "hello from mine in")
    wait_until_it_listens(postgresql)

    assert run.end(signal.SIGTERM) == 0


def test_a_worker_with_one_shot_exits_with_0_once_no_job_is_left(
    site: Site, postgresql: str
) -> None:
    supervisor = over(postgresql)
    enqueue(site, supervisor, ("hello", {}))
    run = site(worker(ARGS=["--one-shot"]), "worker", supervisor=supervisor)

    assert run.end() == 0
    assert any("hello from" in text for text in run.said(""))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"ARGS": {"queue": "mail"}},
            "procrastinate: unrecognized arguments: --queue=mail. Did you mean '--queues'?",
        ),
        (
            {"ARGS": {"concurrency": "two"}},
            "procrastinate: argument -c/--concurrency: invalid int value: 'two'",
        ),
        (
            {"ENV": {"PROCRASTINATE_WORKER_CONCURRENCY": "two"}},
            "a variable PROCRASTINATE_* is wrong: invalid literal for int() with base 10: 'two'",
        ),
    ],
    ids=["unknown", "value", "environment"],
)
def test_a_wrong_option_is_refused(site: Site, entry: Any, message: str) -> None:
    run = site(worker(**entry), "--check", supervisor=NOWHERE)

    assert run.end() == 1
    assert f"PRODUCTION_PROCESSES['worker']['ARGS']: {message}" in run.stderr


def test_a_database_other_than_postgresql_is_refused(site: Site) -> None:
    supervisor = {"SETTINGS": {"INSTALLED_APPS": ["procrastinate.contrib.django"]}}

    run = site(worker(), "--check", supervisor=supervisor)

    assert run.end() == 1
    assert (
        "needs PostgreSQL, but DATABASES['default'] does not use it. PROCRASTINATE_DATA"
        in run.stderr
    )


def test_settings_and_environment_of_the_project_override_our_default_arguments(site: Site) -> None:
    """The program prints the arguments of a worker, and whether it is restarted when it exits."""
    source = """
        import threading

        import django
        import psutil
        from django.conf import settings

        from django_prodserver.backends.procrastinate import ProcrastinateWorker

        django.setup()

        def tell(**config):
            worker = ProcrastinateWorker(STOP_TIMEOUT=25.0, REPLICAS=1, **config)
            worker.instance = "worker.1"
            print(*worker.prep_server_args()[3:], worker.recycles())

        tell()
        tell(ENV={"PROCRASTINATE_WORKER_NAME": "own"})
        tell(ARGS=["--one-shot"])
        tell(ARGS={"unknown": True})
        settings.PROCRASTINATE_WORKER_DEFAULTS = {"shutdown_graceful_timeout": 3, "wait": False}
        tell()
        tell(ARGS={"wait": True})
        ProcrastinateWorker(STOP_TIMEOUT=25.0, REPLICAS=1).preload()
        print(threading.active_count(), len(psutil.Process().connections()))
    """
    run = site(
        worker(),
        program=("-W", "ignore", "ask.py"),
        files={"ask.py": source},
        env={"DJANGO_SETTINGS_MODULE": "settings"},
        supervisor=NOWHERE,
    )

    assert run.end() == 0, run.stderr
    name, limit = "--name=worker.1", "--shutdown-graceful-timeout=23"
    assert [text for text in run.said("") if "Adding tasks" not in text] == [
        f"{name} {limit} False",
        f"{limit} False",
        f"{name} {limit} --one-shot True",
        f"{name} {limit} --unknown False",
        f"{name} True",
        f"{name} --wait False",
        "1 0",
    ]
