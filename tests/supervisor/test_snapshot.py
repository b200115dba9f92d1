"""The state of a group at one moment: the snapshot, as a whole value."""

from __future__ import annotations

from signal import SIGTERM
from typing import Any, Optional

from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GroupGone,
    Measured,
    Notified,
    Probed,
    Signalled,
    Spawned,
    SpawnFailed,
    WatchdogMessage,
)
from django_prodserver.supervisor.facts import (
    Ended,
    LifeState,
    Phase,
    Restart,
    State,
    StopEverything,
    WatchdogTriggered,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.snapshot import (
    GroupSnapshot,
    HealthSnapshot,
    InstanceSnapshot,
    LifeSnapshot,
)
from django_prodserver.supervisor.spec import CheckSchedule, Goal, Ref, RestartPolicy, Spec
from django_prodserver.supervisor.values import replace

WEB, AGAIN = Ref("web.1", 0, 1), Ref("web.1", 0, 2)
TRIGGER = Notified(WEB, watchdog=WatchdogMessage.TRIGGER)
SPEC = Spec(
    "web.1",
    notifies=True,
    restart=RestartPolicy.ON_FAILURE,
    backoff_initial=4.0,
    check=CheckSchedule(interval=10.0, timeout=3.0, retries=3),
    watchdog=30.0,
    max_memory=500,
)


def instance(state: State, since: float, *lives: LifeSnapshot, **more: Any) -> InstanceSnapshot:
    """The snapshot of an instance to which nothing has happened yet."""
    values: dict[str, Any] = {
        "name": "web.1",
        "process": "web",
        "oneshot": False,
        "goal": Goal.UP,
        "restarts": 0,
        "replacements": 0,
        "updating": False,
        "next_start": None,
        "last_end": None,
        "ended": None,
        "after": (),
        "checked": False,
        "added": False,
    }
    return InstanceSnapshot(state=state, since=since, lives=lives, **{**values, **more})


def instance_of_spec(*args: Any, **more: Any) -> InstanceSnapshot:
    """The snapshot of an instance of SPEC, which has a health check."""
    return instance(*args, checked=True, **more)


def health(**more: Any) -> HealthSnapshot:
    values: dict[str, Any] = {
        "ready": False,
        "reports_ready": True,
        "ready_after": None,
        "failures": 0,
        "last_failure": None,
        "fault": None,
        "memory": None,
    }
    return HealthSnapshot(**{**values, **more})


READY = health(ready=True, ready_after=2.0)


def life(
    ref: Ref,
    state: LifeState,
    since: float,
    age: float,
    *deadlines: tuple[str, float],
    health: HealthSnapshot = READY,
    message: Optional[str] = None,
) -> LifeSnapshot:
    return LifeSnapshot(ref, state, since, age, deadlines, health, message)


def spawning(spec: Spec = SPEC) -> Group:
    """The supervisor was started at 2, and the instance at 10."""
    group = Group([spec], began=2.0)
    group.start(10.0)
    group.tick(10.0)
    return group


def starting(spec: Spec = SPEC) -> Group:
    group = spawning(spec)
    group.take(10.0, Spawned(WEB))
    return group


def running(spec: Spec = SPEC) -> Group:
    group = starting(spec)
    group.take(12.0, Notified(WEB, ready=True))
    return group


def only(group: Group, now: float) -> InstanceSnapshot:
    (only,) = group.snapshot(now).instances
    return only


def test_an_instance_is_shown_with_the_last_status_message_it_sent() -> None:
    """The last status counts, even before it is ready."""
    group = starting()

    group.take(11.0, Notified(WEB, status="loading"))
    assert only(group, 11.0).lives[0].message == "loading"
    group.take(12.0, Notified(WEB, ready=True, status="serving"))
    group.take(13.0, Notified(WEB))

    assert only(group, 13.0).lives[0].message == "serving"


# ---- the group ----


def test_instances_are_shown_as_stopped_before_the_group_starts() -> None:
    group = Group([Spec("web.1"), Spec("a.b.2", oneshot=True)], began=2.0)

    assert group.snapshot(5.0) == GroupSnapshot(
        phase=Phase.STARTING,
        exit_status=None,
        age=3.0,
        instances=(
            instance(State.STOPPED, 5.0),
            instance(State.STOPPED, 5.0, name="a.b.2", process="a.b", oneshot=True),
        ),
    )


def test_a_running_group_is_shown_with_its_running_life() -> None:
    group = running(Spec("web.1", notifies=True))

    assert group.snapshot(20.0) == GroupSnapshot(
        phase=Phase.RUNNING,
        exit_status=None,
        age=18.0,
        instances=(instance(State.RUNNING, 8.0, life(WEB, LifeState.RUNNING, 8.0, 10.0)),),
    )


def test_a_stopping_group_is_shown_with_its_deadlines_and_then_as_over() -> None:
    group = running(Spec("web.1", notifies=True))
    group.take(20.0, Signalled(SIGTERM))

    assert group.snapshot(20.5) == GroupSnapshot(
        phase=Phase.STOPPING,
        exit_status=None,
        age=18.5,
        instances=(
            instance(
                State.STOPPING,
                0.5,
                life(
                    WEB,
                    LifeState.STOPPING,
                    0.5,
                    10.5,
                    ("NOTICE", 0.5),
                    ("KILL", 24.5),
                    health=health(ready_after=2.0),
                ),
                goal=Goal.DOWN,
            ),
        ),
    )

    group.take(21.0, Exited(WEB, ExitStatus(code=0)))
    group.take(21.5, GroupGone(WEB))
    end = Ended(WEB, LifeState.STOPPING, ExitStatus(code=0), after=11.0, lasted=1.0, expected=True)
    assert group.snapshot(22.0) == GroupSnapshot(
        phase=Phase.OVER,
        exit_status=0,
        age=20.0,
        instances=(instance(State.STOPPED, 0.5, goal=Goal.DOWN, last_end=end, ended=1.0),),
    )


def test_a_group_with_a_failed_instance_is_shown_as_ending() -> None:
    group = running(Spec("web.1", notifies=True))
    group.take(20.0, Exited(WEB, ExitStatus(code=3)))

    assert group.snapshot(20.25) == GroupSnapshot(
        phase=Phase.ENDING,
        exit_status=None,
        age=18.25,
        instances=(
            instance(
                State.EXITED,
                0.25,
                life(
                    WEB,
                    LifeState.SWEEPING,
                    0.25,
                    10.25,
                    ("SWEEP", 0.75),
                    health=health(ready_after=2.0),
                ),
                goal=Goal.DOWN,
                ended=0.25,
                last_end=Ended(
                    WEB,
                    LifeState.RUNNING,
                    ExitStatus(code=3),
                    after=10.0,
                    lasted=8.0,
                    consequence=StopEverything(),
                ),
            ),
        ),
    )


# ---- an instance and its lives ----


def test_a_waiting_instance_is_shown_with_its_dependencies() -> None:
    group = Group([Spec("db.1", notifies=True), Spec("web.1", after=frozenset({"db.1"}))])
    group.start(10.0)
    group.tick(10.0)

    assert group.snapshot(11.0).instances[1] == instance(State.WAITING, 1.0, after=("db",))


def test_an_instance_that_is_being_spawned_is_shown_as_starting() -> None:
    life_ = life(WEB, LifeState.SPAWNING, 1.0, 1.0, health=health())

    assert only(spawning(), 11.0) == instance_of_spec(State.STARTING, 1.0, life_)


def test_a_starting_instance_is_shown_with_its_deadlines_in_order() -> None:
    assert only(starting(), 11.0) == instance_of_spec(
        State.STARTING,
        1.0,
        life(
            WEB,
            LifeState.STARTING,
            1.0,
            1.0,
            # In the order of their deadlines.
            ("MEASURE", 9.0),
            ("READY", 59.0),
            health=health(),
        ),
    )


def test_a_running_instance_is_shown_with_its_failed_health_checks() -> None:
    group = running()
    group.tick(22.0)
    group.take(22.0, Measured(WEB, 400))
    group.take(23.0, Probed(WEB, "HTTP 500"))

    assert only(group, 25.0) == instance_of_spec(
        State.RUNNING,
        13.0,
        life(
            WEB,
            LifeState.RUNNING,
            13.0,
            15.0,
            ("MEASURE", 7.0),
            ("PROBE", 8.0),
            ("WATCHDOG", 17.0),
            health=health(
                ready=True, ready_after=2.0, failures=1, last_failure="HTTP 500", memory=400
            ),
        ),
    )


def test_an_overdue_deadline_is_shown_as_a_negative_number() -> None:
    assert only(running(Spec("web.1", notifies=True, watchdog=30.0)), 45.0).lives[0].deadlines == (
        ("WATCHDOG", -3.0),
    )


def test_an_unhealthy_instance_is_shown_as_stopping_with_its_fault() -> None:
    group = running()
    group.take(20.0, TRIGGER)

    assert only(group, 20.5) == instance_of_spec(
        State.STOPPING,
        0.5,
        life(
            WEB,
            LifeState.STOPPING,
            0.5,
            10.5,
            ("NOTICE", 0.5),
            ("KILL", 24.5),
            health=health(ready_after=2.0, fault=WatchdogTriggered()),
        ),
    )


def test_an_instance_in_backoff_is_shown_with_its_next_start_and_last_exit() -> None:
    group = running()
    group.take(20.0, Exited(WEB, ExitStatus(code=1)))
    group.take(20.5, GroupGone(WEB))

    assert only(group, 21.0) == instance_of_spec(
        State.BACKOFF,
        0.5,
        restarts=1,
        next_start=3.0,
        ended=1.0,
        last_end=Ended(
            WEB,
            LifeState.RUNNING,
            ExitStatus(code=1),
            after=10.0,
            lasted=8.0,
            consequence=Restart(4.0),
        ),
    )


def test_an_instance_that_cannot_be_spawned_is_shown_in_backoff() -> None:
    group = spawning()
    group.take(10.0, SpawnFailed(WEB, "no memory"))

    (one,) = group.snapshot(11.0).instances
    assert one == instance_of_spec(State.BACKOFF, 1.0, restarts=1, next_start=3.0)


def test_a_never_restarted_instance_that_cannot_be_spawned_is_shown_as_fatal() -> None:
    group = spawning(replace(SPEC, restart=RestartPolicy.NEVER))
    group.take(10.0, SpawnFailed(WEB, "no memory"))

    assert group.snapshot(11.0) == GroupSnapshot(
        phase=Phase.OVER,
        exit_status=1,
        age=9.0,
        instances=(instance_of_spec(State.FATAL, 1.0, goal=Goal.DOWN),),
    )


def test_a_finished_oneshot_is_shown_as_exited_with_its_exit_status() -> None:
    group = Group([Spec("web.1", oneshot=True), Spec("beat.1")])
    group.start(10.0)
    group.tick(10.0)
    group.take(10.0, Spawned(WEB))
    group.take(11.0, Exited(WEB, ExitStatus(code=0)))
    group.take(11.0, GroupGone(WEB))

    assert group.snapshot(12.0).instances[0] == instance(
        State.EXITED,
        1.0,
        oneshot=True,
        finished=True,
        ended=1.0,
        last_end=Ended(
            WEB,
            LifeState.STARTING,
            ExitStatus(code=0),
            after=1.0,
            lasted=1.0,
            expected=True,
            oneshot=True,
        ),
    )


def test_an_instance_that_is_being_updated_lists_its_current_life_first() -> None:
    group = running(Spec("web.1", notifies=True, start_first=True))
    group.restart(20.0, "web")
    group.take(20.0, Spawned(AGAIN))

    assert only(group, 21.0) == instance(
        State.RUNNING,
        9.0,
        life(WEB, LifeState.RUNNING, 9.0, 11.0),
        life(AGAIN, LifeState.STARTING, 1.0, 1.0, ("READY", 59.0), health=health()),
        updating=True,
    )

    group.take(22.0, Notified(AGAIN, ready=True))
    snapshot = only(group, 22.5)
    assert (snapshot.state, snapshot.since, snapshot.replacements) == (State.RUNNING, 10.5, 1)
    assert snapshot.lives == (
        life(AGAIN, LifeState.RUNNING, 0.5, 2.5),
        life(
            WEB,
            LifeState.STOPPING,
            0.5,
            12.5,
            ("NOTICE", 0.5),
            ("KILL", 24.5),
            health=health(ready_after=2.0),
        ),
    )


def test_an_instance_in_backoff_still_shows_its_lost_life() -> None:
    group = running(Spec("web.1", notifies=True, restart=RestartPolicy.ALWAYS, backoff_initial=8.0))
    group.take(20.0, TRIGGER)
    group.tick(45.0)
    group.tick(50.0)

    assert only(group, 51.0) == instance(
        State.BACKOFF,
        1.0,
        life(
            WEB,
            LifeState.LOST,
            1.0,
            41.0,
            health=health(ready_after=2.0, fault=WatchdogTriggered()),
        ),
        restarts=1,
        next_start=7.0,
    )
