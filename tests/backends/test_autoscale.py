"""AUTOSCALE by the queues of real workers."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from celery import VERSION

from tests.backends.test_locks import between
from tests.backends.test_queues import fill, worker
from tests.inside import DJANGO_TASKS
from tests.running import Run, Site
from tests.services import connections

HERE = {"queue": "mail"}
NAMES = ["one", "two", "three", "four"]
RULE = {"METRIC": "queue", "TARGET": 2, "MAX": 3, "INTERVAL": 5, "STABILIZATION": 6}


def release(site: Site, run: Run, *names: str) -> None:
    for name in names:
        site.release(name)
    run.wait_for_each_of(*(f"{name} done" for name in names))


def test_celery_workers_scale_up_with_the_queue_and_down_when_tasks_are_done(
    site: Site, redis: str
) -> None:
    """Each worker runs one task and prefetches one; prefetched tasks count, too."""
    broker = {"BROKER": redis}
    site.hold(*NAMES)
    fill(site, broker, *(("hold", [name], HERE) for name in NAMES))
    run = site({"worker": {**worker("mail"), "AUTOSCALE": RULE}}, env=broker)
    run.wait_for("worker.1", "one in progress")
    begun = time.monotonic()

    run.wait_for("system", r"^worker scaled from 1 to 2: queue is 4 tasks, TARGET is 2 tasks")
    run.wait_for("worker.2", "(two|three) in progress")
    assert connections(run.pid) == []
    assert time.monotonic() - begun < 30.0

    release(site, run, *NAMES)
    run.wait_for("system", r"^worker scaled from 2 to 1: queue is [012] tasks?, TARGET")
    run.wait_for("system", r"^worker\.2 stopped")
    assert run.end(signal.SIGTERM) == 0


def test_celery_workers_are_not_scaled_while_the_broker_is_unreachable(
    site: Site, redis: str
) -> None:
    if VERSION < (5, 4):
        pytest.skip("a worker of this Celery does not stop once it has lost its broker")
    rule = {**RULE, "TARGET": 0.5, "INTERVAL": 1, "STABILIZATION": 1}
    site.hold("one")
    with between(redis) as (address, gate):
        broker = {"BROKER": address}
        fill(site, broker, ("hold", ["one"], HERE))
        run = site({"worker": {**worker("mail"), "AUTOSCALE": rule}}, env=broker)
        run.wait_for("system", r"^worker scaled from 1 to 2: queue is 1 task,")

        gate.close()
        run.wait_for("system", "^worker is not scaled: queue cannot be measured: ")
        gate.open()
        release(site, run, "one")
        run.wait_for("system", r"^worker scaled from 2 to 1: queue is 0 tasks")
        assert run.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("metric", ["queue", "queue-age"])
def test_django_tasks_workers_scale_up_and_down_with_the_queue(site: Site, metric: str) -> None:
    """Each worker runs one task at a time, and prefetches none."""
    site.hold(*NAMES)
    site.send(*(("django_hold", [name], "") for name in NAMES))
    target: Any = 2 if metric == "queue" else "1s"
    rule = {**RULE, "METRIC": metric, "TARGET": target, "INTERVAL": 2, "MAX": 2}
    run = site({"worker": {"BACKEND": DJANGO_TASKS, "AUTOSCALE": rule}})
    run.wait_for("worker.1", "in progress")

    found = "4 tasks" if metric == "queue" else r"\d+\.\d+ s"
    run.wait_for("system", rf"^worker scaled from 1 to 2: {metric} is {found}")
    run.wait_for("worker.2", "in progress")
    release(site, run, *NAMES)
    run.wait_for("system", rf"^worker scaled from 2 to 1: {metric} is (0|1 task)")
    assert run.end(signal.SIGTERM) == 0
