"""The real cluster of django-q2, over the ORM and over Redis, alone and supervised."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.peers import systemd
from tests.running import Site

CLUSTER: dict[str, Any] = {"cluster": {"BACKEND": "django-q2"}}
# A leader, its sentinel, two workers, a monitor and a pusher.
FAMILY = 6


linux_only = pytest.mark.skipif(
    not psutil.LINUX, reason="only Linux lets processes die with their parent"
)


def project(**broker: Any) -> dict[str, Any]:
    """The settings of a project with django-q2, besides the processes."""
    cluster = {"name": "tests", "workers": 2, "timeout": 60, "retry": 120, **broker}
    settings = {"INSTALLED_APPS": ["django_q"], "Q_CLUSTER": cluster}
    return {"supervisor": {"SETTINGS": settings}}


ORM = project(orm="default")


def test_a_cluster_executes_tasks_and_finishes_the_running_task_on_sigterm(site: Site) -> None:
    site.hold("task")
    site.call("q2_jobs.enqueue", ["jobs.hold.hold", "task"], ["rq_jobs.hello"], **ORM)
    run = site({"cluster": {**CLUSTER["cluster"], "REPLICAS": 2}}, **ORM)
    run.wait_for_each_of("all 2 ready", "task in progress", "hello from cluster")

    run.signal(signal.SIGTERM)
    run.wait_for_each({f"cluster.{number}": "stopping cluster processes" for number in (1, 2)})
    site.release("task")

    assert run.end() == 0
    both = run.said("cluster.1") + run.said("cluster.2")
    assert "task done" in both
    assert sum("has stopped" in line for line in both) == 2
    assert sum(" stopped after" in line for line in run.said("system")) == 3


@linux_only
@pytest.mark.parametrize("killed", ["supervisor", "leader", "sentinel"])
def test_no_process_survives_if_the_supervisor_leader_or_sentinel_is_killed(
    site: Site, killed: str
) -> None:
    """Workers that are left alone would wait for a dead sentinel."""
    site.hold("task")
    site.call("q2_jobs.enqueue", ["jobs.hold.hold", "task"], **ORM)
    run = site(CLUSTER, **ORM)
    run.wait_for_each_of("all 1 ready", "task in progress")
    (leader,) = run.children()
    (sentinel,) = leader.children()
    family = [leader, sentinel, *sentinel.children()]
    assert len(family) == FAMILY

    victim = {"supervisor": psutil.Process(run.pid), "leader": leader, "sentinel": sentinel}[killed]
    victim.kill()

    assert run.end() == {"supervisor": -9, "leader": 128 + 9, "sentinel": 1}[killed]
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_cluster_without_a_supervisor_reports_ready_and_exits_with_0(
    site: Site, redis: str, tmp_path: Path
) -> None:
    """Over Redis, and started by systemd."""
    over_redis = project(redis=redis)
    site.call("q2_jobs.enqueue", ["jobs.hold.say", "hello"], **over_redis)
    with systemd(tmp_path) as listener:
        run = site(CLUSTER, "cluster", env=listener.environ, **over_redis)
        listener.wait_for_ready()
    run.wait_for("", "hello")

    assert run.end(signal.SIGTERM) == 0
    assert any("has stopped" in line for line in run.said(""))


def test_a_cluster_with_run_once_exits_with_0_after_its_tasks(site: Site) -> None:
    site.call("q2_jobs.enqueue", ["jobs.hold.say", "hello"], **ORM)
    run = site({"cluster": {**CLUSTER["cluster"], "ARGS": {"run-once": True}}}, "cluster", **ORM)

    assert run.end() == 0
    assert "hello" in run.said("")
    assert any("has stopped" in line for line in run.said(""))


def test_arguments_that_qcluster_does_not_accept_are_refused_by_check(
    site: Site,
) -> None:
    run = site({"cluster": {**CLUSTER["cluster"], "ARGS": {"run-onse": True}}}, "--check", **ORM)

    assert run.end() == 1
    where = "PRODUCTION_PROCESSES['cluster']['ARGS']"
    complaint = "unrecognized arguments: --run-onse. Did you mean '--run-once'?"
    assert run.stderr == f"CommandError: {where}: qcluster: {complaint}\n"


@pytest.mark.parametrize("names", [(), ("cluster",)])
def test_a_cluster_takes_the_name_of_its_queue_from_its_env(
    site: Site, names: tuple[str, ...], tmp_path: Path
) -> None:
    """django-q2 reads the name when Django is set up, so this takes a fresh interpreter."""
    settings = project(orm="default", ALT_CLUSTERS={"long": {"workers": 1}})
    site.call("q2_jobs.enqueue", ["jobs.hold.say", "short"], **settings)
    env = {"Q_CLUSTER_NAME": "long"}
    site.call("q2_jobs.enqueue", ["jobs.hold.say", "long"], env=env, **settings)
    entry = {"cluster": {**CLUSTER["cluster"], "ENV": env}}
    with systemd(tmp_path) as listener:
        run = site(entry, *names, env=listener.environ, **settings)
        # Up to 1.10 it may exit with 1 when it is stopped after `running` and before it is ready.
        listener.wait_for_ready()
        run.wait_for_each_of(r"Q Cluster .* \[long\] running", "Processed 'jobs.hold.say'")

        assert run.end(signal.SIGTERM) == 0
    said = run.said("" if names else "cluster.1")
    assert "long" in said
    assert "short" not in said
    reason = "its ENV sets Q_CLUSTER_NAME, which has already been read"
    assert names or f"starting cluster by spawn: {reason}" in run.said("system")


def test_the_log_warns_that_a_forked_cluster_ignores_its_queue_name(site: Site) -> None:
    entry = {**CLUSTER["cluster"], "ENV": {"Q_CLUSTER_NAME": "long"}, "START_METHOD": "fork"}
    site.call("q2_jobs.enqueue", **ORM)
    run = site({"cluster": entry}, **ORM)
    run.wait_for(
        "system", "cluster will not see the Q_CLUSTER_NAME of its ENV, which has already been read"
    )
    run.wait_for("system", "all 1 ready")

    assert run.end(signal.SIGTERM) == 0
    assert any("[tests] running" in line for line in run.said("cluster.1"))
