"""A reload: every process moves to another load of the project, step by step, or none does."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

import pytest

from django_prodserver.supervisor.commands import (
    AdoptGeneration,
    CancelSpawn,
    DropGeneration,
    Kill,
    LoadGeneration,
    Spawn,
    Unlisten,
)
from django_prodserver.supervisor.events import (
    ChangeRequest,
    Event,
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Loaded,
    LoadFailed,
    Notified,
    Operator,
    PreloadFailed,
    ReloadRequest,
    RestartRequest,
    ScaleRequest,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.facts import (
    Granted,
    Output,
    Phase,
    Refusal,
    ReloadBegun,
    Reloaded,
    ReloadFailed,
    RequestRefused,
    State,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.report import reload_failure
from django_prodserver.supervisor.spec import Goal, Ref, RestartPolicy, Spec

HANGUP = Signalled(SIGHUP)


def spec(name: str, after: Iterable[str] = (), **more: Any) -> Spec:
    return Spec(name, after=frozenset(after), **{"stop_timeout": 1.0, "notifies": True, **more})


def oneshot(name: str, **more: Any) -> Spec:
    return spec(name, oneshot=True, notifies=False, **more)


class Site:
    """A group whose lives do what they should, unless a test says that they do not.

    `seen` has the steps of the reload and the messages about it, in order: `+web.1/1.2` is the
    second life of web.1, which runs generation 1, and `-web.1/0.1` a stop signal.
    """

    def __init__(
        self,
        *specs: Spec,
        at_once: bool = False,
        hang: Iterable[str] = (),
        stuck: Iterable[str] = (),
    ) -> None:
        self.group = Group(specs, reloads=True, at_once=at_once)
        self.now = 0.0
        self.seen: list[str] = []
        # Each (name, generation): never ready, failing, refused, or starts that are never answered.
        self.hang = {(name, 0) for name in hang}
        self.fail: set[tuple[str, int]] = set()
        self.refuse: set[tuple[str, int]] = set()
        self.stuck = {(name, 0) for name in stuck}
        self._carry_out(self.group.start(0.0))
        self.tell()
        self.seen.clear()

    def tell(self, *events: Event, after: float = 0.0) -> list[str]:
        """Take these events and do all that follows at once; returns what was seen."""
        self.now += after
        before = len(self.seen)
        for event in events:
            self._carry_out(self.group.take(self.now, event))
        self._carry_out(self.group.tick(self.now))
        while any(one.due(self.now) for one in self.group.instances.values()):
            self._carry_out(self.group.tick(self.now))
        return self.seen[before:]

    def reload(self, *specs: Spec) -> list[str]:
        """Request a reload that loads these."""
        self.tell(HANGUP)
        self.seen.clear()
        return self.tell(Loaded(self.newest, specs))

    @property
    def newest(self) -> int:
        return self.group._newest_generation

    @property
    def states(self) -> dict[str, str]:
        """The state of each instance, with the generation of its current life."""
        found = {}
        for name, one in self.group.instances.items():
            generation = "" if one.life is None else f"/{one.life.ref.generation}"
            found[name] = f"{one.state.name}{generation}"
        return found

    def _carry_out(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            for event in self._answers(output):
                self._carry_out(self.group.take(self.now, event))

    def _answers(self, output: Output) -> Iterable[Event]:
        if isinstance(output, Spawn):
            self.seen.append(f"+{_named(output.ref)}")
            yield from self._begun(output.ref)
        elif isinstance(output, CancelSpawn):
            yield SpawnFailed(output.ref, "cancelled")
        elif isinstance(output, Kill) and output.signal in (SIGTERM, SIGKILL):
            self.seen.append(f"{'-' if output.signal is SIGTERM else '!'}{_named(output.ref)}")
            life = self._life(output.ref)
            if life is not None and life.alive:
                signal = None if output.signal is SIGTERM else 9
                code = 0 if signal is None else None
                yield Exited(output.ref, ExitStatus(code=code, signal=signal))
            yield GroupGone(output.ref)
        elif isinstance(output, LoadGeneration):
            self.seen.append(f"load {output.generation}")
        elif isinstance(output, AdoptGeneration):
            self.seen.append(f"adopt {output.generation}")
        elif isinstance(output, DropGeneration):
            self.seen.append(f"drop {output.generation}")
        elif isinstance(output, Unlisten):
            self.seen.append(f"unlisten {output.process}")
        elif isinstance(output, ReloadFailed):
            rolled_back = "; rolled back" if output.rolled_back else ""
            self.seen.append(f"failed: {reload_failure(output.why)}{rolled_back}")
        elif isinstance(output, Reloaded):
            self.seen.append(f"reloaded {output.generation}")

    def _begun(self, ref: Ref) -> Iterable[Event]:
        what = ref.name, ref.generation
        if what in self.stuck:
            return
        if what in self.refuse:
            yield SpawnFailed(ref, "no memory")
            return
        yield Spawned(ref)
        if what in self.fail:
            yield Exited(ref, ExitStatus(code=3))
            yield GroupGone(ref)
        elif self.group.instances[ref.name].spec.oneshot:
            yield Exited(ref, ExitStatus(code=0))
            yield GroupGone(ref)
        elif what not in self.hang:
            yield Notified(ref, ready=True)

    def _life(self, ref: Ref) -> Any:
        lives = (life for one in self.group.instances.values() for life in one.lives)
        return next((life for life in lives if life.ref == ref), None)


def _named(ref: Ref) -> str:
    return f"{ref.name}/{ref.generation}.{ref.number}"


WEB = spec("web.1", start_first=True)
WORKER = spec("worker.1")
MIGRATE = oneshot("migrate.1")


# ---- what is done, in order ----


def test_the_project_is_loaded_before_anything_changes() -> None:
    site = Site(WEB, WORKER)

    assert site.tell(HANGUP) == ["load 1"]
    assert site.states == {"web.1": "RUNNING/0", "worker.1": "RUNNING/0"}


def test_a_reload_replaces_each_process_in_turn_start_first_or_stop_first() -> None:
    site = Site(WEB, WORKER)

    assert site.reload(WEB, WORKER) == [
        *("+web.1/1.2", "-web.1/0.1"),
        *("-worker.1/0.1", "+worker.1/1.2"),
        *("adopt 1", "reloaded 1"),
    ]
    assert site.states == {"web.1": "RUNNING/1", "worker.1": "RUNNING/1"}
    assert site.group.generation == 1


def test_a_second_reload_can_follow_the_first() -> None:
    site = Site(WEB)
    site.reload(WEB)

    assert site.reload(WEB) == ["+web.1/2.3", "-web.1/1.2", "adopt 2", "reloaded 2"]


@pytest.mark.parametrize("late", [False, True])
def test_a_reload_cancels_a_pending_restart_of_a_process_it_replaces(late: bool) -> None:
    web = spec("web.1", start_first=True, restart=RestartPolicy.ALWAYS)
    site = Site(web, WORKER)
    site.tell(HANGUP)
    first, second = Ref("web.1", 0, 1), Ref("web.1", 0, 2)
    site.stuck.add(("web.1", 0))
    site.tell(Exited(first, ExitStatus(signal=9)), GroupGone(first))
    site.tell(after=1.0)
    assert site.seen == ["load 1", "+web.1/0.2"]

    site.tell(Loaded(1, (web, WORKER)))
    if late:
        site.stuck.clear()
        site.tell(Spawned(second))

    assert site.states == {"web.1": "RUNNING/1", "worker.1": "RUNNING/1"}
    assert site.seen[-2:] == ["adopt 1", "reloaded 1"]


def test_a_reload_leaves_no_reference_cycles_behind() -> None:
    site = Site(WEB, WORKER, MIGRATE)
    gc.collect()
    gc.disable()
    try:
        site.reload(WEB, WORKER, MIGRATE)
        site.reload(WEB, WORKER)

        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_reload_runs_oneshots_first_and_dependents_after_dependencies() -> None:
    web = spec("web.1", after={"api.1"}, start_first=True)
    api = spec("api.1", after={"migrate.1"}, start_first=True)
    site = Site(web, api, MIGRATE)

    assert site.reload(web, api, MIGRATE) == [
        "+migrate.1/1.2",
        *("+api.1/1.2", "-api.1/0.1"),
        *("+web.1/1.2", "-web.1/0.1"),
        *("adopt 1", "reloaded 1"),
    ]
    assert site.states["migrate.1"] == "EXITED/1"


def test_all_instances_of_a_process_are_replaced_one_by_one() -> None:
    webs = [spec(f"web.{number}", start_first=True, holds=True) for number in (1, 2)]
    site = Site(*webs)

    assert site.reload(*webs)[:4] == ["+web.1/1.2", "-web.1/0.1", "+web.2/1.2", "-web.2/0.1"]


def test_a_reload_can_replace_all_processes_at_once() -> None:
    api = spec("api.1", after={"worker.1"})
    site = Site(api, WORKER, at_once=True)

    assert site.reload(api, WORKER) == [
        *("-worker.1/0.1", "-api.1/0.1"),
        *("+api.1/1.2", "+worker.1/1.2"),
        *("adopt 1", "reloaded 1"),
    ]
    assert site.states == {"api.1": "RUNNING/1", "worker.1": "RUNNING/1"}


def test_a_failure_rolls_back_all_processes_replaced_at_once() -> None:
    site = Site(spec("web.1"), WORKER, at_once=True)
    site.hang = {("web.1", 1)}
    site.fail = {("worker.1", 1)}

    assert site.reload(spec("web.1"), WORKER)[:4] == [
        *("-web.1/0.1", "-worker.1/0.1"),
        *("+web.1/1.2", "+worker.1/1.2"),
    ]
    site.tell(Notified(Ref("web.1", 1, 2), ready=True))
    assert site.seen[4:] == [
        *("+worker.1/0.3", "-web.1/1.2", "+web.1/0.3"),
        "drop 1",
        "failed: worker.1 exited with status 3 after 0.00 s, before it was ready; rolled back",
    ]
    assert site.states == {"web.1": "RUNNING/0", "worker.1": "RUNNING/0"}


def test_an_at_once_reload_does_not_wait_for_a_process_that_is_never_ready() -> None:
    waits, replaces = Site(WORKER, hang=["worker.1"]), Site(WORKER, hang=["worker.1"], at_once=True)

    assert waits.tell(HANGUP) == []
    assert replaces.tell(HANGUP) == ["load 1"]
    assert replaces.tell(Loaded(1, (WORKER,))) == [
        *("-worker.1/0.1", "+worker.1/1.2", "adopt 1", "reloaded 1"),
    ]


def test_an_at_once_reload_waits_for_a_running_update() -> None:
    """Otherwise the life that is to replace another one would be forgotten."""
    web = spec("web.1", start_first=True)
    site = Site(web, at_once=True)
    site.hang = {("web.1", 0)}
    assert site.tell(RestartRequest("web")) == ["+web.1/0.2"]

    assert site.tell(HANGUP) == []

    assert site.tell(Notified(Ref("web.1", 0, 2), ready=True)) == ["-web.1/0.1", "load 1"]
    assert site.tell(Loaded(1, (web,)))[:1] == ["+web.1/1.3"]


def test_an_at_once_reload_waits_for_a_running_oneshot_to_finish() -> None:
    web, migrate = spec("web.1", after={"migrate.1"}), Ref("migrate.1", 0, 1)
    site = Site(MIGRATE, web, at_once=True, stuck=["migrate.1"])

    assert site.tell(Spawned(migrate), HANGUP) == []
    assert site.tell(Exited(migrate, ExitStatus(code=0)), GroupGone(migrate)) == [
        *("load 1", "+web.1/0.1"),
    ]
    assert site.tell(Loaded(1, (WORKER, spec("web.1")))) == [
        *("-web.1/0.1", "+worker.1/1.1", "+web.1/1.2"),
        *("adopt 1", "reloaded 1"),
    ]
    assert site.states == {"worker.1": "RUNNING/1", "web.1": "RUNNING/1"}


def test_a_reload_starts_new_processes_and_stops_removed_ones_last() -> None:
    site = Site(spec("old.1", holds=True), WEB)

    assert site.reload(WEB, spec("new.1")) == [
        *("+web.1/1.2", "-web.1/0.1", "+new.1/1.1"),
        *("unlisten old", "-old.1/0.1"),
        *("adopt 1", "reloaded 1"),
    ]
    assert site.states == {"web.1": "RUNNING/1", "new.1": "RUNNING/1"}


def test_a_reload_can_add_and_remove_replicas() -> None:
    site = Site(spec("web.1"), spec("web.2"))

    # web.2, which the new settings do not have, is not replaced first.
    assert site.reload(spec("web.1")) == [
        *("-web.1/0.1", "+web.1/1.2", "-web.2/0.1"),
        *("adopt 1", "reloaded 1"),
    ]
    assert site.states == {"web.1": "RUNNING/1"}

    site.reload(spec("web.1"), spec("web.2"), spec("web.3"))
    assert [*site.states.values()] == ["RUNNING/2"] * 3


def test_a_reload_applies_changed_settings_of_a_process() -> None:
    site = Site(WORKER)

    site.reload(spec("worker.1", stop_timeout=9.0, restart=RestartPolicy.ALWAYS))

    assert site.group.instances["worker.1"].spec.stop_timeout == 9.0


def test_a_reload_keeps_the_scaling_and_stops_of_an_operator() -> None:
    site = Site(WEB, WORKER)
    site.tell(ScaleRequest("web", 2), GoalRequest("worker", Goal.DOWN))

    site.reload(WEB, WORKER)

    assert site.states == {"web.1": "RUNNING/1", "web.2": "RUNNING/1", "worker.1": "STOPPED/0"}
    assert site.tell(GoalRequest("worker", Goal.UP)) == ["+worker.1/1.2"]


def test_a_reload_closes_the_held_socket_of_a_process_stopped_by_an_operator() -> None:
    held = spec("web.1", holds=True)
    site = Site(held, WORKER)
    site.tell(GoalRequest("web", Goal.DOWN))

    assert site.reload(held, WORKER)[0] == "unlisten web"
    site.tell(GoalRequest("web", Goal.UP))
    assert site.tell(GoalRequest("web", Goal.DOWN))[0] == "unlisten web"


@pytest.mark.parametrize("fails", [True, False])
def test_an_instance_added_during_a_reload_ends_up_on_the_same_generation(fails: bool) -> None:
    site = Site(WEB, WORKER)
    site.hang = {("worker.1", 1)}
    site.reload(WEB, WORKER)
    site.tell(ScaleRequest("web", 2))
    assert site.states["web.2"] == "RUNNING/0"

    worker = Ref("worker.1", 1, 2)
    if fails:
        site.tell(Exited(worker, ExitStatus(code=3)), GroupGone(worker))
    else:
        site.tell(Notified(worker, ready=True))

    generation = 0 if fails else 1
    assert {*site.states.values()} == {f"RUNNING/{generation}"}


def test_a_queued_restart_of_a_removed_process_is_dropped() -> None:
    site = Site(WEB, WORKER)
    site.hang = {("web.1", 1)}
    site.reload(WEB)
    site.tell(RestartRequest("worker"))

    seen = site.tell(Notified(Ref("web.1", 1, 2), ready=True))

    assert seen[-2:] == ["adopt 1", "reloaded 1"]
    assert site.states == {"web.1": "RUNNING/1"}


def test_a_restart_requested_during_a_reload_runs_after_the_reload() -> None:
    site = Site(WEB, WORKER)
    site.hang = {("web.1", 1)}
    site.reload(WEB, WORKER)
    assert site.tell(RestartRequest("worker")) == []

    seen = site.tell(Notified(Ref("web.1", 1, 2), ready=True))

    assert seen[-4:] == ["adopt 1", "reloaded 1", "-worker.1/1.2", "+worker.1/1.3"]


def test_repeated_reload_requests_queue_only_one_more_reload() -> None:
    site = Site(WEB)
    site.tell(HANGUP, HANGUP, HANGUP)
    site.seen.clear()

    seen = site.tell(Loaded(1, (WEB,)))
    assert seen[-3:] == ["adopt 1", "reloaded 1", "load 2"]
    assert site.tell(Loaded(2, (WEB,)))[-2:] == ["adopt 2", "reloaded 2"]


def test_a_reload_waits_until_every_process_has_been_ready() -> None:
    site = Site(WEB)
    site.group = Group([spec("web.1"), spec("worker.1")], reloads=True)
    site.hang = {("worker.1", 0)}
    site._carry_out(site.group.start(0.0))
    site.tell()
    site.seen.clear()

    assert site.tell(HANGUP) == []
    assert site.tell(Notified(Ref("worker.1", 0, 1), ready=True)) == ["load 1"]


def test_a_reload_repairs_a_process_that_keeps_failing_at_startup() -> None:
    site = Site()
    specs = [spec("web.1", restart=RestartPolicy.ALWAYS), spec("worker.1", after={"web.1"})]
    site.group = Group(specs, reloads=True)
    site.fail = {("web.1", 0)}
    site._carry_out(site.group.start(0.0))
    site.tell()
    assert site.group.instances["web.1"].state is State.BACKOFF
    site.seen.clear()

    assert site.tell(HANGUP) == ["load 1"]
    assert site.tell(Loaded(1, tuple(specs)))[-1] == "reloaded 1"
    assert site.states == {"web.1": "RUNNING/1", "worker.1": "RUNNING/1"}
    assert site.group.phase is Phase.RUNNING


def test_a_reload_does_not_start_new_instances_of_a_stopped_process() -> None:
    site = Site(WEB, spec("worker.1"))
    site.tell(GoalRequest("worker", Goal.DOWN))

    site.reload(WEB, spec("worker.1"), spec("worker.2"))

    assert site.states["worker.2"] == "STOPPED"


# ---- what fails ----


def test_a_project_that_cannot_be_loaded_changes_nothing() -> None:
    site = Site(WEB, WORKER)
    site.tell(HANGUP)

    failed = site.tell(LoadFailed(1, "SyntaxError: invalid syntax"))

    assert failed == ["drop 1", "failed: SyntaxError: invalid syntax"]
    assert site.states == {"web.1": "RUNNING/0", "worker.1": "RUNNING/0"}
    assert site.reload(WEB, WORKER)[-1] == "reloaded 2"


def test_a_failed_oneshot_ends_a_reload_before_any_process_is_replaced() -> None:
    site = Site(MIGRATE, spec("web.1", after={"migrate.1"}))
    site.fail = {("migrate.1", 1)}

    assert site.reload(MIGRATE, spec("web.1", after={"migrate.1"})) == [
        "+migrate.1/1.2",
        "drop 1",
        "failed: migrate.1 exited with status 3 after 0.00 s",
    ]
    assert site.group.phase is Phase.RUNNING
    assert site.group.instances["migrate.1"].finished
    assert site.group.instances["web.1"].state is State.RUNNING


@pytest.mark.parametrize("start_first", [True, False])
def test_a_failed_new_life_rolls_back_all_processes_replaced_so_far(
    start_first: bool,
) -> None:
    specs = [spec(name, start_first=start_first) for name in ("a.1", "b.1", "c.1")]
    site = Site(*specs)
    site.fail = {("b.1", 1)}

    seen = site.reload(*specs)

    assert seen[-2:] == [
        "drop 1",
        "failed: b.1 exited with status 3 after 0.00 s, before it was ready; rolled back",
    ]
    assert site.states == dict.fromkeys(("a.1", "b.1", "c.1"), "RUNNING/0")
    assert not any(one.startswith("+c.1") for one in seen)
    assert site.group.phase is Phase.RUNNING


@pytest.mark.parametrize("start_first", [True, False])
def test_a_process_that_is_not_ready_in_time_is_rolled_back(start_first: bool) -> None:
    web = spec("web.1", start_first=start_first, ready_timeout=3.0)
    site = Site(web)
    site.hang = {("web.1", 1)}
    site.reload(web)

    seen = site.tell(after=3.0)

    assert seen[-2:] == ["drop 1", "failed: web.1 was not ready within 3 s; rolled back"]
    assert site.states == {"web.1": "RUNNING/0"}


@pytest.mark.parametrize("start_first", [True, False])
def test_a_process_that_cannot_be_started_is_rolled_back(start_first: bool) -> None:
    web = spec("web.1", start_first=start_first)
    site = Site(web)
    site.refuse = {("web.1", 1)}

    seen = site.reload(web)

    assert seen[-2:] == ["drop 1", "failed: web.1 could not be started: no memory; rolled back"]
    assert site.states == {"web.1": "RUNNING/0"}


def test_a_rollback_removes_all_new_processes_if_one_of_them_fails() -> None:
    site = Site(WEB)
    site.fail = {("new.1", 1)}

    seen = site.reload(spec("other.1"), spec("new.1"), WEB)

    assert "-other.1/1.1" in seen
    assert site.states == {"web.1": "RUNNING/0"}


def test_a_load_failure_during_the_replacement_rolls_back_the_reload() -> None:
    site = Site(MIGRATE, spec("web.1", after={"migrate.1"}))
    site.stuck = {("web.1", 1)}
    site.reload(MIGRATE, spec("web.1", after={"migrate.1"}))

    seen = site.tell(PreloadFailed("No module named 'x'.", 1))

    assert seen[-2:] == ["drop 1", "failed: No module named 'x'; rolled back"]
    assert site.states["web.1"] == "RUNNING/0"


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_reload_completes_or_rolls_back_if_an_old_life_dies_meanwhile(succeeds: bool) -> None:
    web = spec("web.1", start_first=True, restart=RestartPolicy.ALWAYS)
    site = Site(web)
    site.hang = {("web.1", 1)}
    site.reload(web)
    site.tell(Exited(Ref("web.1", 0, 1), ExitStatus(signal=9)), GroupGone(Ref("web.1", 0, 1)))

    if succeeds:
        assert site.tell(Notified(Ref("web.1", 1, 2), ready=True))[-1] == "reloaded 1"
        assert site.states == {"web.1": "RUNNING/1"}
    else:
        site.tell(Exited(Ref("web.1", 1, 2), ExitStatus(code=3)), GroupGone(Ref("web.1", 1, 2)))
        assert site.seen[-1].startswith("failed: web.1 exited with status 3")
        assert site.states == {"web.1": "RUNNING/0"}


def test_a_failure_of_the_old_code_in_a_rollback_stops_everything() -> None:
    site = Site(spec("a.1"), spec("b.1"))
    site.fail = {("b.1", 1), ("a.1", 0)}

    seen = site.reload(spec("a.1"), spec("b.1"))

    assert seen[-3:] == ["+a.1/0.3", "failed: everything is being stopped", "-b.1/0.3"]
    assert site.group.exit_status == 3


# ---- requests ----


def test_a_stop_signal_ends_a_running_reload() -> None:
    site = Site(WEB, WORKER)
    site.hang = {("web.1", 1)}
    site.reload(WEB, WORKER)

    seen = site.tell(Signalled(SIGTERM))

    assert seen[0] == "failed: everything is being stopped"
    assert site.group.exit_status == 0


def test_a_stop_drops_a_loading_generation_before_it_closes_held_sockets() -> None:
    """The load would bind them again, and clients that connect then would be reset."""
    site = Site(spec("web.1", holds=True))
    site.tell(HANGUP)

    seen = site.tell(Signalled(SIGTERM))

    assert seen[:3] == ["drop 1", "failed: everything is being stopped", "unlisten web"]


def test_a_loaded_generation_that_no_reload_expects_is_dropped() -> None:
    site = Site(WEB)
    site.tell(HANGUP)

    assert site.tell(Loaded(7, (WEB,))) == ["drop 7"]


@pytest.mark.parametrize("reloads", [True, False])
def test_a_reload_request_is_refused_only_if_reloads_are_not_supported(reloads: bool) -> None:
    group = Group([spec("web.1")], reloads=reloads)
    asked = ChangeRequest(5, Operator(0, 1), "reload", (), (ReloadRequest(),))

    outputs = group.handle_request(0.0, asked)

    refused = RequestRefused("reload", Refusal.NO_RELOAD, 5)
    assert outputs == [Granted(asked) if reloads else refused]


def test_a_reload_failure_lists_the_numbers_of_all_its_requests() -> None:
    site = Site(WEB)
    asked = [
        ChangeRequest(number, Operator(0, 1), "reload", (), (ReloadRequest(),))
        for number in (5, 6, 7)
    ]
    outputs: list[Output] = []
    for one in asked:
        outputs += site.group.take(0.0, one)
    assert ReloadBegun(1) in outputs

    outputs = site.group.take(0.0, LoadFailed(1, "no"))

    assert ReloadFailed(1, "no", numbers=(5,)) in outputs
    assert ReloadBegun(2) in outputs
    assert ReloadFailed(2, "no", numbers=(6, 7)) in site.group.take(0.0, LoadFailed(2, "no"))
