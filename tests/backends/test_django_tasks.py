"""The real db_worker of django-tasks, alone and supervised."""

from __future__ import annotations

import signal

import pytest

from tests.inside import DJANGO_TASKS
from tests.running import Site

pytestmark = pytest.mark.timeout(40)

TASKS = {"tasks": {"BACKEND": DJANGO_TASKS}}


def test_it_executes_a_task_and_finishes_the_one_in_hand(site: Site) -> None:
    """One signal only: a second would abort the task."""
    site.hold("task")
    site.send(("django_hello", [], ""), ("django_hold", ["task"], ""))
    run = site(TASKS)
    run.wait_for_each({"system": "all 1 ready", "tasks.1": "hello from tasks.1"})
    run.wait_for("tasks.1", "task in hand")

    run.signal(signal.SIGTERM)
    run.wait_for("tasks.1", "shutting down gracefully")
    site.release("task")

    assert run.end() == 0
    assert "task done" in run.said("tasks.1")
    assert any(line.startswith("tasks.1 stopped after") for line in run.said("system"))
    # DEBUG is on: with reloading there would be a second worker, below the first.
    assert sum("Starting worker" in line for line in run.said("tasks.1")) == 1
    assert not any("Watching for file changes" in line for line in run.said("tasks.1"))


def test_alone_it_stops_when_it_is_idle(site: Site) -> None:
    site.send()
    run = site(TASKS, "tasks")
    run.wait_for("", "Starting worker")

    assert run.end(signal.SIGTERM) == 0
