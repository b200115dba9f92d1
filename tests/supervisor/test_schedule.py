"""Scheduled processes: the edge plans their runs, and runs never overlap."""

from __future__ import annotations

from signal import SIGCONT, SIGTERM
from typing import Any

import pytest

from django_prodserver.supervisor.commands import (
    Kill,
    PlanRun,
    ReleaseLock,
    Spawn,
    TakeLock,
)
from django_prodserver.supervisor.events import (
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Loaded,
    LockBusy,
    LockTaken,
    LockUsed,
    ReloadRequest,
    RunPlanned,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.facts import (
    AllReady,
    AwaitRun,
    Ended,
    Output,
    Reloaded,
    Restart,
    RunsLeftOut,
    StartLimitReached,
    StartRefused,
    State,
)
from django_prodserver.supervisor.snapshot import InstanceSnapshot
from django_prodserver.supervisor.spec import Exclusion, Goal, Ref, RestartPolicy, Spec
from django_prodserver.supervisor.values import replace

from .here import Here, of

NIGHTLY = Spec("nightly.1", oneshot=True, scheduled=True)
WEB = Spec("web.1")
OK, FAILED = ExitStatus(code=0), ExitStatus(code=3)


def run(number: int, generation: int = 0) -> Ref:
    return Ref("nightly.1", generation, number)


class Nightly(Here):
    """A supervisor with a scheduled instance as its first one."""

    def __init__(self, *specs: Spec, reloads: bool = False) -> None:
        super().__init__(*(specs or (NIGHTLY,)), reloads=reloads)

    @property
    def nightly(self) -> InstanceSnapshot:
        return self.group.snapshot(self.now).instances[0]


def commands(outputs: list[Output]) -> list[Output]:
    known = (PlanRun, TakeLock, ReleaseLock, Spawn, Kill)
    return [one for one in outputs if isinstance(one, known)]


def planned(after: float = 3600.0, **more: Any) -> RunPlanned:
    return RunPlanned("nightly.1", after, **more)


def under_way(spec: Spec = NIGHTLY) -> Nightly:
    here = Nightly(spec)
    here.after()
    here.take(planned(10.0))
    here.after(10.0)
    here.take(Spawned(run(1)))
    return here


def test_a_scheduled_process_counts_as_ready_once_its_run_is_planned() -> None:
    here = Nightly()

    assert commands(here.after()) == [PlanRun("nightly.1", ended=False)]
    assert of(AllReady, here.take(planned())) == [AllReady(1, 0.0)]
    assert (here.nightly.state, here.nightly.planned) == (State.WAITING, True)
    assert here.nightly.next_start == 3600.0


def test_the_next_run_is_planned_again_every_minute() -> None:
    """The wall clock may have been set."""
    here = Nightly()
    here.after()
    here.take(planned(90.0))

    assert commands(here.after(59.0)) == []
    assert commands(here.after(1.0)) == [PlanRun("nightly.1", ended=False)]
    assert commands(here.take(planned(31.0))) == []
    assert commands(here.after(30.0)) == []
    assert commands(here.after(1.0)) == [Spawn(run(1))]


def test_the_next_run_is_planned_once_a_run_has_ended() -> None:
    here = under_way()

    ended = here.take(Exited(run(1), OK), GroupGone(run(1)))

    assert commands(ended)[-1:] == [PlanRun("nightly.1", ended=True)]
    assert here.nightly.state is State.WAITING
    assert commands([*here.take(planned(5.0)), *here.after(5.0)]) == [Spawn(run(2))]


@pytest.mark.parametrize("policy", [RestartPolicy.NEVER, RestartPolicy.ON_FAILURE])
def test_a_failed_scheduled_run_does_not_stop_the_supervisor(policy: RestartPolicy) -> None:
    here = under_way(replace(NIGHTLY, restart=policy, start_burst=1))

    told = here.take(Exited(run(1), FAILED), GroupGone(run(1)))

    (end,) = of(Ended, told)
    limits = of(StartLimitReached, told)
    assert AwaitRun() in [end.consequence, *(limit.consequence for limit in limits)]
    assert len(limits) == (policy is RestartPolicy.ON_FAILURE)
    assert commands(told)[-1:] == [PlanRun("nightly.1", ended=True)]
    assert here.group.exit_status is None


def test_a_process_that_cannot_be_started_waits_for_its_next_run() -> None:
    here = Nightly()
    here.after()
    here.take(planned(0.0))

    told = here.take(SpawnFailed(run(1), "no memory"))

    assert of(StartRefused, told) == [StartRefused("nightly.1", "no memory", AwaitRun())]
    assert commands(told) == [PlanRun("nightly.1", ended=True)]


def test_a_failed_run_is_retried_if_its_restart_policy_is_on_failure() -> None:
    here = under_way(replace(NIGHTLY, restart=RestartPolicy.ON_FAILURE, backoff_initial=4.0))

    told = here.take(Exited(run(1), FAILED), GroupGone(run(1)))

    assert of(Ended, told)[0].consequence == Restart(4.0)
    assert commands(here.after(4.0)) == [Spawn(run(2))]


def test_skipped_runs_are_reported() -> None:
    here = under_way()
    here.take(Exited(run(1), OK), GroupGone(run(1)))

    told = here.take(planned(left_out=2))

    assert of(RunsLeftOut, told) == [RunsLeftOut("nightly.1", 2)]


def test_a_requested_start_runs_the_process_at_once_and_the_schedule_continues() -> None:
    here = Nightly()
    here.after()
    here.take(planned())

    assert commands(here.take(GoalRequest("nightly", Goal.UP))) == [Spawn(run(1))]
    here.take(Spawned(run(1)), Exited(run(1), OK))
    assert commands(here.take(GroupGone(run(1)))) == [PlanRun("nightly.1", ended=True)]


def test_a_scheduled_process_does_not_run_while_it_is_stopped() -> None:
    here = Nightly()
    here.after()
    here.take(planned(10.0))

    here.take(GoalRequest("nightly", Goal.DOWN))

    assert here.nightly.state is State.STOPPED
    assert commands(here.after(3600.0)) == []
    assert commands(here.take(GoalRequest("nightly", Goal.UP))) == [
        PlanRun("nightly.1", ended=False)
    ]


def test_a_plan_that_arrives_after_a_stop_is_ignored() -> None:
    here = Nightly()
    here.after()
    here.take(GoalRequest("nightly", Goal.DOWN))

    assert here.take(planned(0.0)) == []


def test_a_scheduled_process_is_not_planned_before_its_dependency_is_ready() -> None:
    here = Nightly(replace(NIGHTLY, after=frozenset({"web.1"})), replace(WEB, notifies=True))

    assert commands(here.after()) == [Spawn(Ref("web.1", 0, 1))]
    assert here.nightly.state is State.WAITING
    assert not here.nightly.planned


def test_sigterm_during_a_run_stops_the_run_and_exits_with_status_0() -> None:
    here = under_way()

    told = here.take(Signalled(SIGTERM))

    assert commands(told) == [Kill(run(1), SIGTERM), Kill(run(1), SIGCONT, group=True)]
    here.take(Exited(run(1), ExitStatus(signal=15)), GroupGone(run(1)))
    assert here.group.exit_status == 0


def test_a_process_that_waits_for_its_next_run_does_not_delay_a_shutdown() -> None:
    here = Nightly()
    here.after()
    here.take(planned(), Signalled(SIGTERM))

    assert here.group.exit_status == 0


# ---- with a lock ----


def test_a_run_takes_its_lock_and_releases_it_as_done() -> None:
    here = Nightly(replace(NIGHTLY, exclusion=Exclusion.ONCE))
    here.after()

    assert commands(here.take(planned(0.0))) == [TakeLock("nightly.1")]
    here.take(LockTaken("nightly.1"), Spawned(run(1)), Exited(run(1), OK))
    told = commands(here.take(GroupGone(run(1))))
    assert ReleaseLock("nightly.1", done=True) in told
    assert PlanRun("nightly.1", ended=True) in told


def test_a_run_done_by_another_supervisor_counts_as_done() -> None:
    here = Nightly(replace(NIGHTLY, exclusion=Exclusion.ONCE))
    here.after()
    here.take(planned(0.0), LockBusy("nightly.1", "b has the lock"))

    assert commands(here.take(LockUsed("nightly.1"))) == [PlanRun("nightly.1", ended=True)]


def test_a_singleton_keeps_its_lock_from_run_to_run() -> None:
    here = Nightly(replace(NIGHTLY, exclusion=Exclusion.SINGLETON))

    assert commands(here.after()) == [TakeLock("nightly.1")]
    assert commands(here.take(LockTaken("nightly.1"))) == [PlanRun("nightly.1", ended=False)]
    here.take(planned(0.0), Spawned(run(1)), Exited(run(1), OK))
    assert commands(here.take(GroupGone(run(1)))) == [PlanRun("nightly.1", ended=True)]


def test_a_singleton_on_standby_plans_no_run() -> None:
    here = Nightly(replace(NIGHTLY, exclusion=Exclusion.SINGLETON))
    here.after()
    here.take(LockBusy("nightly.1", "b has the lock"))

    assert here.nightly.state is State.STANDBY
    assert commands(here.after(3600.0)) == []


# ---- reload ----


def test_a_reload_plans_the_next_run_again() -> None:
    here = Nightly(reloads=True)
    here.after()
    here.take(planned(10.0), ReloadRequest())

    told = here.take(Loaded(1, (NIGHTLY,)))

    assert commands(told) == [PlanRun("nightly.1", ended=False)]
    assert of(Reloaded, here.take(planned(10.0))) == [Reloaded(1, 0.0)]
    assert commands(here.after(10.0)) == [Spawn(run(1, generation=1))]


def test_a_reload_restarts_an_interrupted_run_and_does_not_wait_for_its_end() -> None:
    here = Nightly(reloads=True)
    here.after()
    here.take(planned(0.0), Spawned(run(1)), ReloadRequest())

    stops = here.take(Loaded(1, (NIGHTLY,)))
    follows = here.take(Exited(run(1), ExitStatus(signal=15)), GroupGone(run(1)))

    assert commands(stops) == [Kill(run(1), SIGTERM), Kill(run(1), SIGCONT, group=True)]
    assert commands(follows)[-1:] == [Spawn(run(2, generation=1))]
    assert of(Reloaded, follows) == [Reloaded(1, 0.0)]


def test_a_reload_can_turn_a_scheduled_process_into_a_plain_oneshot() -> None:
    """It becomes a plain oneshot, which counts as ready once it has finished."""
    here = Nightly(reloads=True)
    here.after()
    here.take(planned(3600.0), ReloadRequest())

    here.take(Loaded(1, (replace(NIGHTLY, scheduled=False),)))

    assert not here.nightly.planned
    assert here.nightly.state is State.STARTING
