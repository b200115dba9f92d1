"""The real db_worker of django-tasks, alone and supervised."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.inside import DJANGO_TASKS
from tests.running import Site

TASKS = {"tasks": {"BACKEND": DJANGO_TASKS}}


def test_a_worker_executes_tasks_and_finishes_the_running_task_on_sigterm(site: Site) -> None:
    """One signal only: a second would abort the task."""
    site.hold("task")
    site.send(("django_hello", [], ""), ("django_hold", ["task"], ""))
    run = site(TASKS)
    run.wait_for_each({"system": "all 1 ready", "tasks.1": "hello from tasks.1"})
    run.wait_for("tasks.1", "task in progress")

    run.signal(signal.SIGTERM)
    run.wait_for("tasks.1", "shutting down gracefully")
    site.release("task")

    assert run.end() == 0
    assert "task done" in run.said("tasks.1")
    assert any(line.startswith("tasks.1 stopped after") for line in run.said("system"))
    # DEBUG is on: with reloading there would be a second worker, below the first.
    assert sum("Starting worker" in line for line in run.said("tasks.1")) == 1
    assert not any("Watching for file changes" in line for line in run.said("tasks.1"))


def test_an_idle_worker_without_a_supervisor_stops_on_sigterm(site: Site) -> None:
    site.send()
    run = site(TASKS, "tasks")
    run.wait_for("", "Starting worker")

    assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("args", [{"max-tasks": 1}, {"batch": True}])
def test_a_worker_exits_with_0_after_max_tasks_or_its_batch(
    site: Site, args: dict[str, Any]
) -> None:
    site.hold("task")
    site.send(("django_hold", ["task"], ""))
    run = site({"tasks": {"BACKEND": DJANGO_TASKS, "ARGS": args}}, "tasks")
    run.wait_for("", "task in progress")
    site.release("task")

    assert run.end() == 0
    assert "task done" in run.said("")
    assert sum("exiting gracefully" in line for line in run.said("")) == 1


def test_a_worker_recycles_only_with_max_tasks_or_batch(site: Site) -> None:
    cases: list[tuple[Any, bool]] = [
        ({}, False),
        ({"max-tasks": 1}, True),
        ({"batch": True}, True),
        ({"batch": False}, False),
        (["--max-t", "1"], True),
        ({"max-tasks": "many"}, False),
        ({"unknown": 1}, False),
        ({"help": True}, False),
    ]
    source = f"""
        import django

        from django_prodserver.backends.django_tasks import DjangoTasksWorker

        django.setup()
        for args in {[args for args, _ in cases]!r}:
            worker = DjangoTasksWorker(ARGS=args, STOP_TIMEOUT=25.0, REPLICAS=1)
            print(worker.recycles())
    """
    settings = {"DJANGO_SETTINGS_MODULE": "settings"}
    program = ("-W", "ignore", "ask.py")
    run = site(TASKS, "any", program=program, files={"ask.py": source}, env=settings)

    assert run.end() == 0
    assert run.said("") == [str(recycles) for _, recycles in cases]
