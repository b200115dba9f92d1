"""Startups: what a start waited for, from the facts of real groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from django_prodserver.control.analysis import document
from django_prodserver.control.documents import About
from django_prodserver.control.startup import Imported, Load, Preload, Stage, Startups
from django_prodserver.supervisor.commands import Spawn
from django_prodserver.supervisor.events import (
    Event,
    Exited,
    ExitStatus,
    GoalRequest,
    GroupGone,
    Loaded,
    LoadFailed,
    Notified,
    ReloadRequest,
    RestartRequest,
    ScaleRequest,
    Spawned,
)
from django_prodserver.supervisor.facts import Fact
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.spec import Goal, Ref, RestartPolicy, Spec
from django_prodserver.supervisor.values import Value

# The program begins at 100, begins to load the project at 101, and has done so at 104.
BEGAN, CONTROL, LOADED = 100.0, 101.0, 104.0
FORKED: dict[str, Stage] = {"migrate": None, "web": ("migrate",), "worker": ("migrate",)}
MIGRATE = Spec("migrate.1", oneshot=True)


def after(*names: str, **more: Any) -> Any:
    return {"after": frozenset(names), "notifies": True, **more}


def preload(seconds: float, *slowest: Imported) -> Preload:
    return Preload(0.0, seconds, len(slowest), sum((one.own for one in slowest), 0.0), slowest)


class Site:
    """A group, and what is observed of it. What is spawned begins when it is told to."""

    def __init__(self, *specs: Spec, stages: Optional[dict[str, Stage]] = None) -> None:
        self.now = LOADED
        self.group = Group(specs, BEGAN, reloads=True)
        self.startups = Startups()
        self.spawned: list[Ref] = []
        self.startups.begin(0, BEGAN)
        self.startups.planned(0, specs, FORKED if stages is None else stages)
        self.startups.loaded(0, Load(None, CONTROL, preload(LOADED - CONTROL)))
        self.take(self.group.start(self.now))
        self.tick()

    def take(self, outputs: Sequence[Value]) -> None:
        for output in outputs:
            if isinstance(output, Spawn):
                self.spawned.append(output.ref)
            elif isinstance(output, Fact.__args__):  # type: ignore[attr-defined]
                self.startups.observe(self.now, output)  # type: ignore[arg-type]

    def tick(self) -> None:
        while self.group.deadline is not None and self.group.deadline <= self.now:
            self.take(self.group.tick(self.now))

    def at(self, now: float, *events: Event) -> None:
        self.now = now
        for event in events:
            self.take(self.group.take(now, event))
        self.tick()

    def fork(self, now: float, name: str) -> Ref:
        (ref,) = (ref for ref in self.spawned if ref.name == name)
        self.spawned.remove(ref)
        self.at(now, Spawned(ref))
        return ref

    def ready(self, begin: float, name: str, now: float) -> Ref:
        """Let its life begin, and become ready."""
        ref = self.fork(begin, name)
        self.at(now, Notified(ref, ready=True))
        return ref

    def finish(self, begin: float, name: str, now: float, status: int = 0) -> Ref:
        ref = self.fork(begin, name)
        self.end(now, ref, status)
        return ref

    def end(self, now: float, ref: Ref, status: int = 0) -> None:
        self.at(now, Exited(ref, ExitStatus(code=status)), GroupGone(ref))

    def load(self, stage: Stage, began: float, ended: float, *slowest: Imported) -> None:
        self.startups.loaded(0, Load(stage, began, preload(ended - began, *slowest)))

    @property
    def document(self) -> dict[str, Any]:
        snapshot = self.group.snapshot(self.now)
        about = About(run="a1")
        return document(self.startups, snapshot, self.now, about, lambda s: f"{self.now + s:+g}")

    @property
    def chain(self) -> list[tuple[str, float, float]]:
        """The last part first: its name, when it was done, how long it took."""
        return [
            (link["name"] or link["kind"], link["done"], link["seconds"])
            for link in self.document["chain"]
        ]

    def instance(self, name: str) -> dict[str, Any]:
        (found,) = (one for one in self.document["instances"] if one["name"] == name)
        return dict(found)


ROOT = [("preload for oneshots", 4.0, 3.0), ("program", 1.0, 1.0)]


def test_the_chain_leads_from_the_last_instance_to_the_start_of_the_program() -> None:
    site = Site(MIGRATE, Spec("web.1", **after("migrate.1")))
    site.finish(104.5, "migrate.1", 106.0)
    site.load(("migrate",), 106.5, 108.0)
    site.ready(108.5, "web.1", 109.0)

    assert site.document["ready"] == 9.0
    assert site.chain == [
        ("web.1", 9.0, 1.0),
        ("preload after migrate", 8.0, 1.5),
        ("migrate.1", 6.0, 2.0),
        *ROOT,
    ]
    assert site.instance("web.1") == {
        "name": "web.1",
        "after": ["migrate"],
        "waited_for": ["migrate.1", "preload after migrate"],
        "first": {"waiting": 4.0, "asked": 6.0, "started": 8.5, "ready": 9.0, "lives": 1},
        "last": {"waiting": 4.0, "asked": 6.0, "started": 8.5, "ready": 9.0, "lives": 1},
    }


def test_the_chain_follows_the_slower_branch_of_a_diamond() -> None:
    site = Site(
        Spec("db.1", notifies=True),
        Spec("left.1", **after("db.1")),
        Spec("right.1", **after("db.1")),
        Spec("web.1", **after("left.1", "right.1")),
    )
    site.ready(104.0, "db.1", 105.0)
    site.ready(105.0, "right.1", 106.0)
    site.ready(105.0, "left.1", 108.0)
    site.ready(108.0, "web.1", 109.0)

    assert site.chain == [
        ("web.1", 9.0, 1.0),
        ("left.1", 8.0, 3.0),
        ("db.1", 5.0, 1.0),
        *ROOT,
    ]
    assert site.instance("right.1")["waited_for"] == ["db.1"]


def test_an_instance_without_dependencies_waited_only_for_the_preload() -> None:
    site = Site(Spec("quick.1", notifies=True), Spec("slow.1", notifies=True))
    site.ready(104.0, "quick.1", 105.0)
    site.ready(104.0, "slow.1", 107.0)

    assert site.chain == [("slow.1", 7.0, 3.0), *ROOT]
    assert site.instance("slow.1")["waited_for"] == []


def test_a_spawned_process_does_not_wait_for_a_running_preload() -> None:
    site = Site(MIGRATE, Spec("web.1", **after("migrate.1")), stages={"migrate": None})
    site.finish(104.0, "migrate.1", 105.0)
    site.load(("migrate",), 105.0, 108.0)
    site.ready(105.0, "web.1", 107.0)

    assert site.chain == [("web.1", 7.0, 2.0), ("migrate.1", 5.0, 1.0), *ROOT]


def test_a_preload_waited_for_the_dependencies_of_the_first_process_using_it() -> None:
    site = Site(
        MIGRATE,
        Spec("cache.1", **after("migrate.1")),
        Spec("web.1", **after("cache.1")),
        Spec("worker.1", **after("cache.1", "migrate.1")),
        stages={"migrate": None, "web": ("migrate",), "worker": ("migrate",)},
    )
    site.finish(104.0, "migrate.1", 105.0)
    site.ready(105.0, "cache.1", 106.0)
    site.load(("migrate",), 106.0, 108.0)
    site.ready(108.0, "web.1", 109.0)
    site.ready(108.0, "worker.1", 110.0)

    assert site.chain == [
        ("worker.1", 10.0, 2.0),
        ("preload after migrate", 8.0, 2.0),
        ("cache.1", 6.0, 1.0),
        ("migrate.1", 5.0, 1.0),
        *ROOT,
    ]


def test_the_startup_time_includes_failed_lives_and_backoff() -> None:
    again = {"restart": RestartPolicy.ON_FAILURE, "backoff_initial": 2.0}
    site = Site(Spec("web.1", notifies=True, **again))
    site.finish(104.0, "web.1", 105.0, status=1)
    site.at(107.0)
    site.ready(107.0, "web.1", 109.0)

    assert site.chain == [("web.1", 9.0, 5.0), *ROOT]
    assert site.instance("web.1")["first"] == {
        "waiting": None,
        "asked": 4.0,
        "started": 7.0,
        "ready": 9.0,
        "lives": 2,
    }


def test_a_restart_is_recorded_as_the_last_start_and_not_the_first() -> None:
    again = {"restart": RestartPolicy.ON_FAILURE, "backoff_initial": 2.0}
    site = Site(Spec("web.1", notifies=True, **again))
    ref = site.ready(104.0, "web.1", 105.0)
    before = site.chain
    site.end(160.0, ref, 3)
    site.at(162.0)
    site.ready(162.5, "web.1", 163.0)

    found = site.instance("web.1")
    assert site.chain == before
    assert found["first"]["ready"] == 5.0
    assert found["last"] == {
        "waiting": None,
        "asked": 62.0,
        "started": 62.5,
        "ready": 63.0,
        "lives": 1,
    }


def test_an_overlapping_replacement_counts_as_requested_when_it_starts() -> None:
    site = Site(Spec("web.1", notifies=True, start_first=True))
    old = site.ready(104.0, "web.1", 105.0)
    site.at(120.0, RestartRequest("web"))
    site.ready(121.0, "web.1", 122.0)
    site.end(123.0, old)

    last = site.instance("web.1")["last"]
    assert (last["asked"], last["started"], last["ready"]) == (21.0, 21.0, 22.0)


def test_an_instance_added_after_the_start_is_not_in_the_chain() -> None:
    site = Site(Spec("web.1", notifies=True))
    site.ready(104.0, "web.1", 105.0)
    site.at(150.0, ScaleRequest("web", 2))
    site.ready(150.0, "web.2", 152.0)

    assert site.chain == [("web.1", 5.0, 1.0), *ROOT]
    assert site.instance("web.2")["first"]["ready"] == 52.0


def test_an_instance_added_during_the_start_is_in_the_chain() -> None:
    site = Site(Spec("web.1", notifies=True))
    site.at(104.0, ScaleRequest("web", 2))
    site.ready(104.0, "web.1", 105.0)
    site.ready(104.0, "web.2", 107.0)

    assert site.chain == [("web.2", 7.0, 3.0), *ROOT]


def test_the_analysis_lists_instances_that_are_not_ready_yet() -> None:
    site = Site(MIGRATE, Spec("web.1", **after("migrate.1")), Spec("worker.1", notifies=True))
    site.ready(104.0, "worker.1", 105.0)
    site.fork(104.0, "migrate.1")

    found = site.document
    assert found["ready"] is None
    assert found["missing"] == [
        "migrate.1 is STARTING: not ready",
        "web.1 is WAITING: waits for migrate",
    ]
    assert site.chain == [("worker.1", 5.0, 1.0), *ROOT]
    waiting = {"waiting": 4.0, "asked": None, "started": None, "ready": None, "lives": 0}
    assert site.instance("web.1")["first"] == waiting


def test_an_instance_that_fails_permanently_is_not_in_the_chain() -> None:
    site = Site(Spec("web.1", notifies=True), Spec("worker.1", notifies=True))
    site.ready(104.0, "worker.1", 105.0)
    site.finish(104.0, "web.1", 106.0, status=3)

    assert site.document["ready"] is None
    assert site.document["missing"] == ["everything is being stopped"]
    assert site.chain == [("worker.1", 5.0, 1.0), *ROOT]


def test_a_process_that_an_operator_stopped_is_not_waited_for() -> None:
    site = Site(Spec("db.1", notifies=True), Spec("web.1", **after("db.1")))
    site.at(105.0, GoalRequest("db", Goal.DOWN))
    site.ready(105.0, "web.1", 106.0)

    assert site.chain == [("web.1", 6.0, 1.0), *ROOT]
    assert site.instance("web.1")["waited_for"] == []


def reloading(*specs: Spec) -> Site:
    """Everything is ready, and a reload has loaded the project again."""
    site = Site(*specs)
    for spec in specs:
        site.ready(104.0, spec.name, 105.0)
    site.at(200.0, ReloadRequest())
    site.startups.planned(1, specs, {})
    site.startups.loaded(1, Load((), 200.5, preload(1.5, Imported("new", 0.5, 1.0))))
    return site


def test_after_a_reload_the_chain_describes_the_reload() -> None:
    specs = [Spec(name, notifies=True, start_first=True) for name in ("web.1", "worker.1")]
    site = reloading(*specs)
    site.at(202.0, Loaded(1, tuple(specs)))
    site.ready(202.0, "web.1", 203.0)
    assert site.document["generation"] == 0
    site.end(204.0, Ref("web.1", 0, 1))
    site.ready(204.5, "worker.1", 206.0)
    site.end(206.5, Ref("worker.1", 0, 1))

    found = site.document
    assert (found["generation"], found["began_at"], found["ready"]) == (1, "+200", 6.5)
    assert site.chain == [
        ("worker.1", 6.0, 1.5),
        ("web.1", 3.0, 1.0),
        ("preload", 2.0, 1.5),
        ("program", 0.5, 0.5),
    ]
    assert found["preloads"] == [
        {
            "name": "preload",
            "began": 0.5,
            "done": 2.0,
            "modules": 1,
            "importing": 0.5,
            "slowest": [{"module": "new", "own": 0.5, "seconds": 1.0}],
        }
    ]


def test_a_failed_reload_keeps_the_analysis_of_the_running_generation() -> None:
    site = reloading(Spec("web.1", notifies=True, start_first=True))
    before = site.document

    site.at(202.0, LoadFailed(1, "cannot be imported"))

    assert {**site.document, "began_at": ""} == {**before, "began_at": ""}
    site.startups.loaded(1, Load((), 202.0, preload(1.0)))
    assert site.document["generation"] == 0


def test_loading_a_stage_again_keeps_its_first_recorded_times() -> None:
    site = Site(Spec("web.1", notifies=True))
    site.ready(104.0, "web.1", 105.0)
    before = site.document["preloads"]

    site.load(None, 300.0, 310.0)

    assert site.document["preloads"] == before
