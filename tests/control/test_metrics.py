"""Metrics: one group in, what Prometheus reads out."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from django_prodserver.control.documents import About
from django_prodserver.control.exposition import COUNTER, rendered
from django_prodserver.control.measured import Checked, Usage
from django_prodserver.control.metrics import (
    OF_INSTANCES,
    OF_PROCESSES,
    OF_THE_SUPERVISOR,
    Metric,
    Readings,
    families,
)
from django_prodserver.control.tally import Tally
from django_prodserver.logs.counts import Counts
from django_prodserver.logs.lines import whole
from django_prodserver.supervisor.events import (
    ChangeRequest,
    Exited,
    ExitStatus,
    GroupGone,
    Notified,
    Operator,
    ScaleRequest,
    Spawned,
)
from django_prodserver.supervisor.facts import State
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.hints import Any
from django_prodserver.supervisor.spec import CheckSchedule, Ref, RestartPolicy, Spec

NOW = 1_000_000.0
WEB = Ref("web.1", 0, 1)
USAGE = Usage(1.5, 300, 200, 100, 10, 3, 2)

Values = dict[str, dict[tuple[tuple[str, str], ...], float]]


def group() -> Group:
    check = CheckSchedule(interval=5.0, timeout=1.0, retries=3, start_period=0.0)
    made = Group(
        [
            Spec("web.1", notifies=True, restart=RestartPolicy.ALWAYS, check=check),
            Spec("web.2", notifies=True, restart=RestartPolicy.ALWAYS, check=check),
            Spec("migrate.1", oneshot=True),
        ]
    )
    made.start(0.0)
    for now in (0.0, 1.0, 2.0):
        made.tick(now)
    made.take(3.0, Spawned(WEB))
    made.take(4.0, Notified(WEB, ready=True))
    made.take(4.0, Spawned(Ref("migrate.1", 0, 1)))
    made.take(6.0, Exited(Ref("migrate.1", 0, 1), ExitStatus(code=0), False, 0.0))
    return made


def readings(of: Group, **more: Any) -> Readings:
    counts = Counts()
    counts.of("web.1", "stdout").add(whole(b"one\ntwo\n"), 1)
    about = About(version="26.11.0", python="3.13.0", django="6.1", loaded_in=0.5)
    more = {"usage": {"web.1": USAGE}, "checked": {"web.1": Checked(7, 0.25)}, **more}
    return Readings(NOW, about, of.snapshot(10.0), Tally(), counts, USAGE, **more)


def values(of: Readings) -> Values:
    """By metric and labels; Prometheus' own library has read them."""
    found: Values = {}
    for family in text_string_to_metric_families("".join(map(rendered, families(of)))):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(of: Readings, metric: str, **labels: str) -> float:
    return values(of)[metric][tuple(sorted(labels.items()))]


def test_a_running_instance_is_up_and_ready() -> None:
    now = readings(group())
    web = {"process": "web", "name": "web.1"}

    assert value(now, "prodserver_instance_up", **web) == 1
    assert value(now, "prodserver_instance_ready", **web) == 1
    assert value(now, "prodserver_instance_ready", process="web", name="web.2") == 0
    assert value(now, "prodserver_process_replicas", process="web") == 2
    assert value(now, "prodserver_process_ready_replicas", process="web") == 1
    assert value(now, "prodserver_instance_startup_seconds", **web) == 1.0
    assert value(now, "prodserver_instance_start_time_seconds", **web) == NOW - 7.0


def test_an_instance_has_one_state() -> None:
    states = values(readings(group()))["prodserver_instance_state"]
    of_web = {
        dict(labels)["state"]: one for labels, one in states.items() if ("name", "web.1") in labels
    }

    assert of_web == {state.name: int(state is State.RUNNING) for state in State}


def test_a_oneshot_exports_the_time_of_its_last_success() -> None:
    oneshots = values(readings(group()))["prodserver_oneshot_last_success_timestamp_seconds"]

    assert oneshots == {(("name", "migrate.1"), ("process", "migrate")): NOW - 4.0}


def test_measured_usage_checks_and_log_lines_are_exported() -> None:
    now = readings(group())
    web = {"process": "web", "name": "web.1"}

    told = {
        "cpu_seconds_total": 1.5,
        "resident_memory_bytes": 300,
        "proportional_memory_bytes": 200,
        "unique_memory_bytes": 100,
        "open_fds": 10,
        "threads": 3,
        "processes": 2,
    }
    assert {one: value(now, f"prodserver_instance_{one}", **web) for one in told} == told
    assert value(now, "prodserver_checks_total", **web, result="succeeded") == 7
    assert value(now, "prodserver_check_failures_total", **web) == 0
    assert value(now, "prodserver_check_duration_seconds", **web) == 0.25
    assert value(now, "prodserver_log_lines_total", **web, stream="stdout") == 2
    assert value(now, "prodserver_log_bytes_total", **web, stream="stdout") == 8
    assert value(now, "prodserver_log_lines_cut_total", **web, stream="stdout") == 1


def test_values_that_the_system_does_not_provide_are_left_out() -> None:
    hidden = Usage(1.5, 300, None, None, None, 3)
    found = values(readings(group(), usage={"web.1": hidden}))

    assert "prodserver_instance_unique_memory_bytes" not in found
    assert "prodserver_instance_open_fds" not in found
    assert len(found["prodserver_instance_resident_memory_bytes"]) == 1


def test_an_instance_removed_by_scaling_is_no_longer_exported() -> None:
    made = group()

    def names_with(count: int) -> set[str]:
        asked = ScaleRequest("web", count)
        made.take(7.0, ChangeRequest(count, Operator(0, 1), "scale", ("web",), (asked,)))
        made.tick(7.0)
        ups = values(readings(made))["prodserver_instance_up"]
        return {dict(labels)["name"] for labels in ups}

    assert names_with(3) == {"migrate.1", "web.1", "web.2", "web.3"}
    added = Ref("web.3", 0, 1)
    made.take(7.0, Spawned(added))
    names_with(2)
    made.take(8.0, Exited(added, ExitStatus(code=0), False, 0.0))
    made.take(8.0, GroupGone(added))
    assert names_with(2) == {"migrate.1", "web.1", "web.2"}


# ---- conventions ----


def tables() -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Each metric with all of its labels."""
    for table, labels in (
        (OF_THE_SUPERVISOR, ()),
        (OF_PROCESSES, ("process",)),
        (OF_INSTANCES, ("process", "name")),
    ):
        for metric in table:
            yield metric, (*labels, *metric.labels)


def test_metric_names_and_help_follow_the_conventions_of_prometheus() -> None:
    for metric, _ in tables():
        assert metric.name.endswith("_total") == (metric.kind == COUNTER), metric.name
        assert metric.help[0].isupper(), metric.name
        assert metric.help.endswith("."), metric.name


def test_metrics_are_unique_and_have_their_declared_labels() -> None:
    labels = {metric.name: set(all_of_them) for metric, all_of_them in tables()}
    assert len(labels) == len(list(tables()))

    for name, samples in values(readings(group())).items():
        short = name.removeprefix("prodserver_").removeprefix("process_")
        assert {frozenset(key for key, _ in one) for one in samples} == {frozenset(labels[short])}
