"""Documents: what clients read of a group, as whole values."""

from __future__ import annotations

from signal import SIGTERM
from typing import Any, Optional

import pytest

from django_prodserver.control.documents import About, not_ready, status
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Notified,
    Probed,
    ScaleRequest,
    Signalled,
    Spawned,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.spec import CheckSchedule, Goal, Ref, RestartPolicy, Spec

WEB, WORKER = Ref("web.1", 0, 1), Ref("worker.1", 0, 1)
ABOUT = About("26.11.0", 7, "a1", "/srv/site", {"web": "gunicorn"}, {"web": 1, "worker": 1})


def document(group: Group, now: float) -> dict[str, Any]:
    """Moments are `+` and seconds from the start of the supervisor."""
    return status(
        group.snapshot(now),
        ABOUT,
        lambda ref: 100 + ref.number,
        lambda seconds: f"{now + seconds:+g}",
    )


def instance(group: Group, now: float, name: str = "web.1") -> dict[str, Any]:
    processes = document(group, now)["processes"]
    (found,) = [one for process in processes for one in process["instances"] if one["name"] == name]
    return dict(found)


def running(**more: Any) -> Group:
    group = Group([Spec("web.1", notifies=True, **more)])
    group.start(1.0)
    group.tick(1.0)
    group.take(1.0, Spawned(WEB))
    group.take(3.0, Notified(WEB, ready=True))
    return group


def test_the_status_document_describes_a_running_process() -> None:
    assert document(running(), 10.0) == {
        "api": 1,
        "run": "a1",
        "version": "26.11.0",
        "pid": 7,
        "project": "/srv/site",
        "generation": 0,
        "reloading": False,
        "phase": "running",
        "started_at": "+0",
        "as_wanted": True,
        "processes": [
            {
                "name": "web",
                "type": "service",
                "backend": "gunicorn",
                "replicas": 1,
                "configured_replicas": 1,
                "ready_replicas": 1,
                "after": [],
                "autoscale": None,
                "instances": [
                    {
                        "name": "web.1",
                        "goal": "up",
                        "state": "RUNNING",
                        "ready": True,
                        "as_wanted": True,
                        "changed": None,
                        "since": "+3",
                        "restarts": 0,
                        "replacements": 0,
                        "updating": False,
                        "reason": None,
                        "next_start_at": None,
                        "last_exit": None,
                        "pid": 101,
                        "generation": 0,
                        "started_at": "+1",
                        "ready_at": "+3",
                        "message": None,
                        "check": None,
                        "cpu_seconds": None,
                        "memory_bytes": None,
                    }
                ],
            }
        ],
    }


def test_a_process_in_backoff_shows_its_reason_and_next_start() -> None:
    group = running(restart=RestartPolicy.ON_FAILURE, backoff_initial=4.0)
    group.take(10.0, Exited(WEB, ExitStatus(code=3)))
    group.take(10.0, GroupGone(WEB))
    found = instance(group, 11.0)

    assert (found["state"], found["as_wanted"], found["pid"]) == ("BACKOFF", False, None)
    assert found["reason"] == "exited with status 3 after 9.00 s"
    assert found["next_start_at"] == "+14"
    assert found["restarts"] == 1
    assert found["last_exit"] == {
        "status": 3,
        "signal": None,
        "expected": False,
        "reason": None,
        "at": "+10",
    }


def test_a_process_that_an_operator_stopped_is_as_wanted() -> None:
    group = running()
    group.take(5.0, GoalRequest("web", Goal.DOWN))
    assert instance(group, 5.0)["as_wanted"] is False

    group.take(6.0, Exited(WEB, ExitStatus(code=0)))
    group.take(6.0, GroupGone(WEB))
    found = instance(group, 7.0)
    assert (found["goal"], found["state"], found["changed"]) == ("down", "STOPPED", "stopped")
    assert (found["as_wanted"], found["reason"]) == (True, "stopped on request")
    assert document(group, 7.0)["as_wanted"] is True


def test_an_instance_added_by_scaling_is_marked_as_added_until_it_is_removed() -> None:
    group = running()
    group.take(5.0, ScaleRequest("web", 2))
    group.tick(5.0)
    group.take(5.0, Spawned(Ref("web.2", 0, 1)))
    assert instance(group, 5.0, "web.2")["changed"] == "added"
    (process,) = document(group, 5.0)["processes"]
    assert (process["replicas"], process["configured_replicas"]) == (2, 1)

    group.take(6.0, ScaleRequest("web", 1))
    group.take(6.0, Exited(Ref("web.2", 0, 1), ExitStatus(code=0)))
    group.take(6.0, GroupGone(Ref("web.2", 0, 1)))
    (process,) = document(group, 7.0)["processes"]
    assert [one["name"] for one in process["instances"]] == ["web.1"]
    assert not_ready(group.snapshot(7.0), "web") == []


def test_while_everything_stops_no_instance_is_marked_as_changed() -> None:
    group = running()
    group.take(5.0, Signalled(SIGTERM))

    found = document(group, 5.0)
    assert found["phase"] == "stopping"
    assert found["processes"][0]["instances"][0]["changed"] is None


@pytest.mark.parametrize(
    ("failure", "said"), [("HTTP 503", "failed its health check: HTTP 503"), ("", None)]
)
def test_a_failed_health_check_is_shown_as_the_reason(failure: str, said: Optional[str]) -> None:
    group = running(check=CheckSchedule(interval=5.0, retries=3))
    assert instance(group, 4.0)["check"] == {"ok": True, "failures": 0, "message": None}
    group.tick(8.0)
    group.take(8.0, Probed(WEB, failure))

    found = instance(group, 9.0)
    assert found["reason"] == said
    assert found["check"]["ok"] is (not failure)
    assert found["as_wanted"] is True, "it is not unhealthy before all retries have failed"


def test_a_waiting_process_names_the_process_it_waits_for() -> None:
    group = Group([Spec("migrate.1", oneshot=True), Spec("web.1", after=frozenset({"migrate.1"}))])
    group.start(0.0)

    assert instance(group, 1.0)["reason"] == "waits for migrate"


# ---- ready and healthy ----


def test_each_instance_that_is_not_ready_is_listed_with_its_reason() -> None:
    group = Group([Spec("web.1", notifies=True), Spec("mail.1", after=frozenset({"web.1"}))])
    group.start(0.0)
    group.tick(0.0)

    snapshot = group.snapshot(0.0)
    assert not_ready(snapshot) == [
        "web.1 is STARTING: not ready",
        "mail.1 is WAITING: waits for web",
    ]
    assert not_ready(snapshot, "mail") == ["mail.1 is WAITING: waits for web"]


def test_a_stopped_process_counts_as_not_ready_only_if_it_is_named() -> None:
    group = running()
    group.take(5.0, GoalRequest("web", Goal.DOWN))
    group.take(6.0, Exited(WEB, ExitStatus(code=0)))
    group.take(6.0, GroupGone(WEB))

    snapshot = group.snapshot(7.0)
    assert not_ready(snapshot) == []
    assert not_ready(snapshot, "web") == ["web.1 is STOPPED: stopped on request"]


def test_a_oneshot_that_has_finished_is_ready() -> None:
    group = Group([Spec("migrate.1", oneshot=True), Spec("web.1")])
    group.start(0.0)
    group.tick(0.0)
    group.take(0.0, Spawned(Ref("migrate.1", 0, 1)))
    group.take(1.0, Exited(Ref("migrate.1", 0, 1), ExitStatus(code=0)))

    assert not_ready(group.snapshot(1.0), "migrate") == []
