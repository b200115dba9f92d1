"""Locks: an instance starts once it has its lock, and releases it once it no longer needs it."""

from __future__ import annotations

from signal import SIGCONT, SIGKILL, SIGQUIT, SIGTERM

import pytest

from django_prodserver.supervisor.commands import CancelSpawn, Kill, ReleaseLock, Spawn, TakeLock
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Loaded,
    LockBusy,
    LockLost,
    LockTaken,
    LockUsed,
    ReloadRequest,
    RestartRequest,
    Signalled,
    Spawned,
)
from django_prodserver.supervisor.facts import (
    AllFinished,
    AllReady,
    AwaitsLock,
    DoneElsewhere,
    Ended,
    HasLock,
    Killing,
    LifeState,
    LockGone,
    Output,
    Phase,
    Reloaded,
    StandBy,
    Started,
    State,
    Stopping,
    WithoutLock,
)
from django_prodserver.supervisor.spec import Exclusion, Goal, Ref, RestartPolicy, Spec
from django_prodserver.supervisor.values import replace

from .here import Here, of

BEAT = Spec("beat.1", stop_timeout=25.0, exclusion=Exclusion.SINGLETON)
MIGRATE = Spec("migrate.1", oneshot=True, exclusion=Exclusion.ONCE)
WEB = Spec("web.1", after=frozenset({"migrate.1"}))
FIRST, SECOND = Ref("beat.1", 0, 1), Ref("beat.1", 0, 2)
MIGRATION = Ref("migrate.1", 0, 1)
BUSY = "b has the lock"


def commands(outputs: list[Output]) -> list[Output]:
    known = (TakeLock, ReleaseLock, Spawn, Kill, CancelSpawn)
    return [one for one in outputs if isinstance(one, known)]


def running(spec: Spec = BEAT) -> Here:
    here = Here(spec)
    here.after()
    here.take(LockTaken(spec.name), Spawned(Ref(spec.name, 0, 1)))
    return here


def standing_by() -> Here:
    here = Here(BEAT)
    here.after()
    here.take(LockBusy("beat.1", BUSY))
    return here


# ---- starting ----


def test_a_singleton_starts_once_it_holds_its_lock() -> None:
    here = Here(BEAT)

    assert commands(here.after()) == [TakeLock("beat.1")]
    assert here.state("beat.1") is State.WAITING
    assert commands(here.take(LockTaken("beat.1"))) == [Spawn(FIRST)]
    # Only an instance that has waited for its lock reports that it has it.
    assert of(HasLock, here.told) == []


def test_a_singleton_takes_its_lock_once_its_dependencies_are_ready() -> None:
    here = Here(replace(BEAT, after=frozenset({"db.1"})), Spec("db.1"))

    assert commands(here.after()) == [Spawn(Ref("db.1", 0, 1))]
    assert commands(here.take(Spawned(Ref("db.1", 0, 1)))) == [TakeLock("beat.1")]


def test_a_singleton_that_runs_elsewhere_stands_by_and_counts_as_ready() -> None:
    here = Here(BEAT)
    here.after()

    told = here.take(LockBusy("beat.1", BUSY))

    assert of(AwaitsLock, told) == [AwaitsLock("beat.1", Exclusion.SINGLETON, BUSY)]
    assert here.state("beat.1") is State.STANDBY
    assert of(AllReady, told) == [AllReady(1, 0.0)]
    assert here.group.phase is Phase.RUNNING


def test_the_reason_why_a_singleton_stands_by_is_reported_once() -> None:
    here = standing_by()

    assert here.take(LockBusy("beat.1", BUSY)) == []
    assert of(AwaitsLock, here.take(LockBusy("beat.1", "no answer"))) == [
        AwaitsLock("beat.1", Exclusion.SINGLETON, "no answer")
    ]


def test_a_singleton_on_standby_starts_when_it_gets_the_lock() -> None:
    here = standing_by()

    told = here.take(LockTaken("beat.1"))

    assert of(HasLock, told) == [HasLock("beat.1")]
    assert commands(told) == [Spawn(FIRST)]


# ---- keeping the lock, and releasing it ----


def test_a_singleton_keeps_its_lock_between_its_lives() -> None:
    here = running(replace(BEAT, restart=RestartPolicy.ALWAYS))

    told = here.take(Exited(FIRST, ExitStatus(code=1)), GroupGone(FIRST))

    assert commands([*told, *here.after(1.0)]) == [Spawn(SECOND)]


def test_a_stopped_singleton_releases_its_lock_once_its_process_group_is_gone() -> None:
    here = running()

    asked = commands(here.take(GoalRequest("beat", Goal.DOWN)))
    exited = commands(here.take(Exited(FIRST, ExitStatus(code=0))))

    assert asked == [Kill(FIRST, SIGTERM), Kill(FIRST, SIGCONT, group=True)]
    assert exited == []
    assert commands(here.take(GroupGone(FIRST))) == [ReleaseLock("beat.1", done=False)]


def test_a_singleton_that_survives_sigkill_keeps_its_lock_until_it_is_gone() -> None:
    here = running()
    here.take(GoalRequest("beat", Goal.DOWN))

    told = commands([*here.after(25.0), *here.after(5.0)])

    assert told == [Kill(FIRST, SIGKILL, group=True)]
    assert of(ReleaseLock, here.take(Exited(FIRST, ExitStatus(signal=9)), GroupGone(FIRST))) == [
        ReleaseLock("beat.1", done=False)
    ]


def test_a_singleton_on_standby_stops_waiting_for_its_lock_when_stopped() -> None:
    here = standing_by()

    assert commands(here.take(GoalRequest("beat", Goal.DOWN))) == [
        ReleaseLock("beat.1", done=False)
    ]
    assert here.state("beat.1") is State.STOPPED
    assert here.take(LockTaken("beat.1")) == []
    assert commands(here.take(GoalRequest("beat", Goal.UP))) == [TakeLock("beat.1")]


def test_a_restart_of_a_singleton_on_standby_changes_nothing() -> None:
    here = standing_by()

    assert commands(here.take(RestartRequest("beat"))) == []
    assert here.state("beat.1") is State.STANDBY
    assert commands(here.take(LockTaken("beat.1"))) == [Spawn(FIRST)]


def test_sigterm_stops_the_supervisor_while_a_singleton_stands_by() -> None:
    here = standing_by()

    here.take(Signalled(SIGTERM))

    assert here.group.exit_status == 0


def test_cancelling_a_start_does_not_release_the_lock() -> None:
    here = Here(BEAT)
    here.after()
    here.take(LockTaken("beat.1"))

    assert commands(here.take(GoalRequest("beat", Goal.DOWN))) == [CancelSpawn(FIRST)]


# ---- losing it ----


@pytest.mark.parametrize("policy", RestartPolicy)
def test_a_singleton_that_has_lost_its_lock_stops_and_stands_by(policy: RestartPolicy) -> None:
    here = running(replace(BEAT, restart=policy))

    lost = here.take(LockLost("beat.1", "gone"))
    ended = here.take(Exited(FIRST, ExitStatus(code=0)), GroupGone(FIRST))

    assert of(Stopping, lost) == [Stopping(FIRST, WithoutLock("gone"))]
    (end,) = of(Ended, ended)
    assert end.consequence == StandBy()
    # The rest of its process group must not go on, either.
    assert commands(ended) == [Kill(FIRST, SIGKILL, group=True)]
    assert here.state("beat.1") is State.STANDBY
    assert commands(here.take(LockTaken("beat.1"))) == [Spawn(SECOND)]
    assert here.group.instances["beat.1"].restarts == 0


def test_a_singleton_that_lost_its_lock_is_killed_after_three_seconds() -> None:
    here = running()
    here.take(LockLost("beat.1", "gone"))

    assert commands(here.after(2.9)) == []
    assert commands(here.after(0.1)) == [Kill(FIRST, SIGKILL, group=True)]
    here.take(Exited(FIRST, ExitStatus(signal=9)), GroupGone(FIRST))
    here.take(Signalled(SIGTERM))
    assert here.group.exit_status == 0


def test_a_pending_start_is_cancelled_when_the_lock_is_lost() -> None:
    here = Here(BEAT)
    here.after()
    here.take(LockTaken("beat.1"))

    lost = here.take(LockLost("beat.1", "gone"))

    assert commands(lost) == [CancelSpawn(FIRST)]


def test_a_life_that_starts_after_the_lock_is_lost_has_three_seconds_to_stop() -> None:
    here = Here(BEAT)
    here.after()
    here.take(LockTaken("beat.1"), LockLost("beat.1", "gone"))

    asked = here.take(Spawned(FIRST))

    assert commands(asked)[0] == Kill(FIRST, SIGTERM)
    assert commands(here.after(2.9)) == []
    assert commands(here.after(0.1)) == [Kill(FIRST, SIGKILL, group=True)]


@pytest.mark.parametrize(("before", "left"), [(1.0, 3.0), (20.0, 3.0), (23.0, 2.0)])
def test_a_lost_lock_shortens_a_stop_that_is_already_under_way(before: float, left: float) -> None:
    here = running(replace(BEAT, escalation_signal=SIGQUIT))
    here.take(RestartRequest("beat"))
    here.after(before)

    assert commands(here.take(LockLost("beat.1", "gone"))) == []

    # It gets the escalation signal at 0.7 of its stop timeout, unless it has had it already.
    again = [Kill(FIRST, SIGQUIT)] if before < 17.5 else []
    assert commands(here.after(left - 0.1))[:1] == again
    killed = here.after(0.1)
    assert commands(killed) == [Kill(FIRST, SIGKILL, group=True)]
    assert of(Killing, killed) == [Killing(FIRST, before + left)]


def test_a_singleton_does_not_restart_without_its_lock() -> None:
    here = running(replace(BEAT, restart=RestartPolicy.ALWAYS))
    here.take(Exited(FIRST, ExitStatus(code=1)), GroupGone(FIRST))

    here.take(LockLost("beat.1", "gone"))

    assert commands(here.after(60.0)) == []
    assert commands(here.take(LockTaken("beat.1"))) == [Spawn(SECOND)]


def test_a_oneshot_keeps_running_when_its_lock_is_lost() -> None:
    here = running(MIGRATE)

    assert here.take(LockLost("migrate.1", "gone")) == [LockGone("migrate.1", "gone")]
    assert here.state("migrate.1") is State.STARTING


# ---- once among all supervisors ----


def test_a_finished_oneshot_releases_its_lock_as_done() -> None:
    here = running(MIGRATE)

    ended = here.take(Exited(MIGRATION, ExitStatus(code=0)), GroupGone(MIGRATION))

    assert commands(ended) == [ReleaseLock("migrate.1", done=True)]


def test_a_failed_oneshot_releases_its_lock_as_not_done() -> None:
    here = running(MIGRATE)

    ended = here.take(Exited(MIGRATION, ExitStatus(code=1)), GroupGone(MIGRATION))

    assert of(ReleaseLock, ended) == [ReleaseLock("migrate.1", done=False)]
    assert here.group.exit_status == 1


def test_a_oneshot_that_finished_elsewhere_counts_as_finished() -> None:
    here = Here(MIGRATE, WEB)
    here.after()
    waits = here.take(LockBusy("migrate.1", BUSY))

    done = here.take(LockUsed("migrate.1"))

    assert of(AwaitsLock, waits) == [AwaitsLock("migrate.1", Exclusion.ONCE, BUSY)]
    assert of(DoneElsewhere, done) == [DoneElsewhere("migrate.1")]
    assert commands(done) == [Spawn(Ref("web.1", 0, 1))]
    assert here.state("migrate.1") is State.EXITED
    assert of(AllReady, here.take(Spawned(Ref("web.1", 0, 1)))) == [AllReady(2, 0.0)]


def test_dependents_do_not_start_while_a_oneshot_runs_elsewhere() -> None:
    here = Here(MIGRATE, WEB)
    here.after()

    assert commands(here.take(LockBusy("migrate.1", BUSY))) == []
    assert here.state("migrate.1") is State.WAITING
    assert here.group.phase is Phase.STARTING


def test_the_supervisor_exits_with_0_if_all_oneshots_finished_elsewhere() -> None:
    here = Here(MIGRATE)
    here.after()

    done = here.take(LockUsed("migrate.1"))

    assert of(AllFinished, done) == [AllFinished(1, 0.0)]
    assert here.group.exit_status == 0


def test_a_retry_of_a_failed_oneshot_keeps_the_lock() -> None:
    here = running(replace(MIGRATE, restart=RestartPolicy.ON_FAILURE))

    told = here.take(Exited(MIGRATION, ExitStatus(code=1)), GroupGone(MIGRATION))

    assert commands([*told, *here.after(1.0)]) == [Spawn(Ref("migrate.1", 0, 2))]


def test_a_oneshot_that_finished_elsewhere_can_be_started_on_request() -> None:
    here = Here(MIGRATE, Spec("web.1"))
    here.after()
    here.take(Spawned(Ref("web.1", 0, 1)), LockUsed("migrate.1"))

    assert commands(here.take(GoalRequest("migrate", Goal.DOWN))) == []
    assert commands(here.take(GoalRequest("migrate", Goal.UP))) == [TakeLock("migrate.1")]


def test_a_reload_completes_while_a_singleton_stands_by() -> None:
    here = Here(BEAT, reloads=True)
    here.after()
    here.take(LockBusy("beat.1", BUSY), ReloadRequest())

    told = here.take(Loaded(1, (BEAT,)))

    assert of(Reloaded, told) == [Reloaded(1, 0.0)]
    assert here.state("beat.1") is State.STANDBY
    assert commands(here.take(LockTaken("beat.1"))) == [Spawn(Ref("beat.1", 1, 1))]


def test_a_reload_keeps_the_lock_from_life_to_life() -> None:
    here = Here(BEAT, reloads=True)
    here.after()
    here.take(LockTaken("beat.1"), Spawned(FIRST), ReloadRequest())

    stops = here.take(Loaded(1, (BEAT,)))
    follows = here.take(Exited(FIRST, ExitStatus(code=0)), GroupGone(FIRST))

    assert commands(stops) == [Kill(FIRST, SIGTERM), Kill(FIRST, SIGCONT, group=True)]
    assert commands(follows) == [Spawn(Ref("beat.1", 1, 2))]


def test_a_reload_can_add_a_lock_to_an_instance() -> None:
    here = Here(replace(BEAT, exclusion=Exclusion.NONE), reloads=True)
    here.after()
    here.take(Spawned(FIRST), ReloadRequest(), Loaded(1, (BEAT,)))

    told = here.take(Exited(FIRST, ExitStatus(code=0)), GroupGone(FIRST))

    assert commands(told) == [TakeLock("beat.1")]
    assert commands(here.take(LockTaken("beat.1"))) == [Spawn(Ref("beat.1", 1, 2))]


def test_a_reload_can_remove_the_lock_of_an_instance() -> None:
    here = Here(BEAT, reloads=True)
    here.after()
    here.take(LockTaken("beat.1"), Spawned(FIRST), ReloadRequest())
    here.take(Loaded(1, (replace(BEAT, exclusion=Exclusion.NONE),)))

    told = here.take(Exited(FIRST, ExitStatus(code=0)), GroupGone(FIRST))

    assert of(ReleaseLock, told) == [ReleaseLock("beat.1", done=False)]
    assert of(Spawn, told) == [Spawn(Ref("beat.1", 1, 2))]


def test_the_start_of_a_singleton_is_reported_like_any_other_start() -> None:
    here = running()

    assert of(Started, here.told) == [Started(FIRST)]
    assert here.group.instances["beat.1"].life is not None
    assert here.group.instances["beat.1"].lives[0].state is LifeState.RUNNING


def test_a_singleton_that_a_reload_removes_keeps_its_lock_until_its_lost_life_is_gone() -> None:
    other = Spec("web.1")
    here = Here(BEAT, other, reloads=True)
    here.after()
    here.take(LockTaken("beat.1"), Spawned(FIRST), Spawned(Ref("web.1", 0, 1)), ReloadRequest())
    here.take(Loaded(1, (other,)))
    here.take(Exited(Ref("web.1", 0, 1), ExitStatus(code=0)), GroupGone(Ref("web.1", 0, 1)))
    here.take(Spawned(Ref("web.1", 1, 2)))

    told = [*here.after(25.0), *here.after(5.0)]
    gone = here.take(Exited(FIRST, ExitStatus(signal=9)), GroupGone(FIRST))

    assert of(Reloaded, told) == [Reloaded(1, 30.0)]
    assert of(ReleaseLock, here.told) == gone == [ReleaseLock("beat.1", done=False)]
