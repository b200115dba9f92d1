"""Values are immutable and small; they are equal if both their types and their fields are."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from django_prodserver.settings.schema import (
    AutoscaleSettings,
    HealthCheckSettings,
    ReadySettings,
    SupervisorSettings,
)
from django_prodserver.supervisor import (
    commands,
    events,
    facts,
    group,
    health,
    instance,
    life,
    pump,
    report,
    snapshot,
    spec,
    values,
)
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.facts import LifeState, State
from django_prodserver.supervisor.spec import (
    Autoscale,
    CheckSchedule,
    Goal,
    ReadyProbe,
    Ref,
    RestartPolicy,
    Spec,
)
from django_prodserver.supervisor.values import Value, assert_never, items, replace


class Point(Value):
    unit: ClassVar[str] = "mm"

    x: int
    y: int = 0


class Point3(Point):
    z: int = 0


class Size(Value):
    x: int
    y: int = 0


class Named(Point):
    """Adds no field."""

    @property
    def name(self) -> str:
        return f"{self.x}/{self.y}"


# ---- making a value ----


@pytest.mark.parametrize(
    "point", [Point(1, 2), Point(1, y=2), Point(x=1, y=2), Point(y=2, x=1)], ids=str
)
def test_fields_are_given_by_position_or_by_name(point: Point) -> None:
    assert (point.x, point.y) == (1, 2)


def test_a_field_that_is_not_given_has_its_default() -> None:
    assert items(Point(1)) == (1, 0)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others allocate differently")
def test_reading_the_fields_does_not_retain_memory() -> None:
    """A tuple made from a generator would: up to 2,000 of each length are kept for reuse."""
    point = Point(1)
    before = sys.getallocatedblocks()
    for _ in range(1000):
        items(point)

    assert sys.getallocatedblocks() - before < 100


def test_an_explicit_none_overrides_a_default() -> None:
    assert items(Size(1, y=None)) == (1, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ((), {}, "Point needs x"),
        ((), {"y": 1}, "Point needs x"),
        ((1, 2, 3), {}, "Point takes x, y, each once"),
        ((1,), {"x": 1}, "Point takes x, y, each once"),
        ((1,), {"z": 1}, "Point takes x, y, each once"),
        ((1,), {"unit": "m"}, "Point takes x, y, each once"),
    ],
    ids=str,
)
def test_missing_duplicate_and_unknown_fields_are_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any], error: str
) -> None:
    with pytest.raises(TypeError, match=f"^{error}$"):
        Point(*args, **kwargs)


def test_a_class_variable_is_not_a_field() -> None:
    assert (Point.unit, Point(1).unit, items(Point(1))) == ("mm", "mm", (1, 0))


def test_inherited_fields_come_first_and_keep_their_defaults() -> None:
    assert items(Point3(1)) == (1, 0, 0)
    assert items(Point3(1, 2, 3)) == (1, 2, 3)
    assert repr(Point3(1, z=3)) == "Point3(x=1, y=0, z=3)"


def test_a_subclass_leaves_the_fields_of_its_base_as_they_are() -> None:
    assert items(Point(1, 2)) == (1, 2)
    assert items(Named(1, 2)) == (1, 2)
    assert Named(1, 2).name == "1/2"


# ---- operations on a value ----


def test_a_field_can_be_neither_set_nor_deleted() -> None:
    point = Point(1, 2)

    with pytest.raises(AttributeError, match=r"^Point is immutable$"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"^Point is immutable$"):
        del point.x
    assert point == Point(1, 2)


def test_no_attribute_can_be_added_to_a_value() -> None:
    with pytest.raises(AttributeError, match=r"^Point is immutable$"):
        Point(1).z = 2


@pytest.mark.parametrize("value", [Point(1), Point3(1), Named(1)], ids=str)
def test_a_value_has_slots_and_no_dict(value: Value) -> None:
    assert not hasattr(value, "__dict__")


def test_values_are_equal_if_type_and_fields_are() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != Size(1, 2)
    assert Point(1, 2) != Named(1, 2)
    assert Point(1, 2) != (1, 2)


def test_equal_values_are_one_item_of_a_set() -> None:
    assert {Point(1, 2), Point(1, 2), Size(1, 2), Point(2, 1)} == {
        *(Point(1, 2), Size(1, 2), Point(2, 1))
    }


def test_a_value_with_an_unhashable_field_is_unhashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point([]))  # type: ignore[arg-type]


def test_the_repr_of_a_value_shows_its_fields() -> None:
    assert repr(Ref("web.1", 0, 1)) == "Ref(name='web.1', generation=0, number=1)"


def test_replace_returns_a_copy_with_some_fields_changed() -> None:
    point = Point3(1, 2, 3)

    assert replace(point, y=5) == Point3(1, 5, 3)
    assert replace(point) == point
    assert point == Point3(1, 2, 3)
    with pytest.raises(TypeError, match=r"^Point3 takes x, y, z, each once$"):
        replace(point, w=1)


@pytest.mark.parametrize(
    "value",
    [
        Point3(1, 2, 3),
        ExitStatus(signal=9),
        Spec("web.1", check=CheckSchedule(), after=frozenset({"db.1"})),
    ],
    ids=str,
)
def test_a_value_can_be_pickled_and_copied(value: Value) -> None:
    for copied in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert copied == value
        assert type(copied) is type(value)


def test_assert_never_raises_an_assertion_error() -> None:
    with pytest.raises(AssertionError, match=r"^unexpected: 1$"):
        assert_never(1)  # type: ignore[arg-type]


# ---- the values of the supervisor ----

MODULES = (
    *(commands, events, facts, group, health, instance, life),
    *(pump, report, snapshot, spec, values),
)


def kinds() -> Iterator[type[Value]]:
    """All value classes of the supervisor."""
    for module in MODULES:
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Value):
                yield kind


@pytest.mark.parametrize("kind", dict.fromkeys(kinds()))
def test_every_value_of_the_supervisor_has_slots_and_no_dict(kind: type[Value]) -> None:
    value = kind.__new__(kind)

    assert not hasattr(value, "__dict__")
    with pytest.raises(AttributeError, match="is immutable"):
        value.anything = 1


def test_the_supervisor_imports_almost_nothing() -> None:
    """A supervisor is small because it imports little, above all nothing that dataclasses need."""
    program = (
        "import collections, enum, signal, sys, typing\n"
        "before = set(sys.modules)\n"
        f"import {', '.join(module.__name__ for module in MODULES)}\n"
        "print(*sorted(set(sys.modules) - before))"
    )

    result = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)

    imported = {name.partition(".")[0] for name in result.stdout.decode().split()}
    # In Python 3.9 `typing` imports `re`, so it was there before.
    assert imported - {"__future__", "heapq", "_heapq"} == {"django_prodserver"}


@pytest.mark.parametrize(
    ("status", "shell"),
    [
        (ExitStatus(code=0), 0),
        (ExitStatus(code=255), 255),
        (ExitStatus(signal=15), 143),
        (ExitStatus(signal=9), 137),
    ],
    ids=str,
)
def test_an_exit_status_is_converted_to_the_number_that_a_shell_reports(
    status: ExitStatus, shell: int
) -> None:
    assert status.shell == shell


def test_the_states_are_those_of_supervisord_and_three_more() -> None:
    """http://supervisord.org/subprocess.html#process-states"""
    assert {state.name for state in State} == {
        *("STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL"),
        *("WAITING", "STANDBY", "KILLING"),
    }


def test_the_states_of_a_life_are_those_of_the_design() -> None:
    assert [state.name for state in LifeState] == [
        *("SPAWNING", "CANCELLING", "DISCARDING"),
        *("STARTING", "RUNNING", "STOPPING", "KILLING", "SWEEPING", "GONE", "LOST"),
    ]


def test_the_defaults_of_a_spec_are_those_of_the_settings() -> None:
    settings = SupervisorSettings()
    assert Spec("web.1") == Spec(
        "web.1",
        stop_timeout=settings.stop_timeout,
        ready_timeout=settings.ready_timeout,
        restart=RestartPolicy(settings.restart),
        backoff_initial=settings.backoff.initial,
        backoff_max=settings.backoff.max,
        start_burst=settings.start_limit.burst,
        start_interval=settings.start_limit.interval,
    )
    check = HealthCheckSettings()
    assert CheckSchedule() == CheckSchedule(
        check.interval, check.timeout, check.retries, check.start_period
    )
    scaled = AutoscaleSettings(metric="cpu", target=1.0, max=4)
    assert Autoscale("cpu", 1.0, 1, 4) == Autoscale(
        "cpu", 1.0, scaled.min, 4, scaled.interval, scaled.stabilization
    )
    assert ReadyProbe() == ReadyProbe(timeout=ReadySettings().timeout)


def test_policies_and_goals_are_spelt_as_in_the_settings() -> None:
    assert [policy.value for policy in RestartPolicy] == ["never", "on-failure", "always"]
    assert [goal.value for goal in Goal] == ["up", "down"]


@pytest.mark.parametrize(
    ("name", "process"), [("web.1", "web"), ("web.12", "web"), ("a.b.1", "a.b"), ("web", "web")]
)
def test_the_process_of_an_instance_is_derived_from_its_name(name: str, process: str) -> None:
    assert Spec(name).process == process
