""" "@oneshots" in AFTER: which names it stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_prodserver.settings.load import load
from django_prodserver.settings.rules import of_cycles, without_groups
from tests.inside import configured, prodserver, sleeper

ALL = "@oneshots"


def after(processes: dict[str, Any]) -> dict[str, list[str]]:
    with configured(processes):
        return dict(load({}).after)


def oneshot(*others: str, **entry: Any) -> dict[str, Any]:
    return sleeper(TYPE="oneshot", AFTER=list(others), **entry)


def service(*others: str, **entry: Any) -> dict[str, Any]:
    return sleeper(AFTER=list(others), **entry)


def test_the_oneshots_group_of_a_service_stands_for_every_oneshot() -> None:
    processes = {"migrate": oneshot(), "web": service(ALL), "static": oneshot(), "x": service()}

    assert after(processes)["web"] == ["migrate", "static"]


def test_the_oneshots_group_combines_with_names_without_duplicates() -> None:
    processes = {"migrate": oneshot(), "static": oneshot(), "db": service()}

    assert after({**processes, "web": service("static", ALL, "db")})["web"] == [
        "static",
        "migrate",
        "db",
    ]


def test_the_oneshots_group_leaves_out_oneshots_that_wait_for_the_process() -> None:
    processes = {
        "migrate": oneshot(),
        "web": service(ALL),
        "proxy": service("web"),
        "warm-up": oneshot("proxy"),
        "report": oneshot("warm-up"),
    }

    assert after(processes)["web"] == ["migrate"]


def test_the_oneshots_group_of_a_oneshot_stands_for_all_other_oneshots() -> None:
    assert after({"a": oneshot(), "b": oneshot(ALL), "c": oneshot()})["b"] == ["a", "c"]


def test_two_oneshots_with_the_oneshots_group_do_not_wait_for_each_other() -> None:
    processes = {"a": oneshot(), "b": oneshot(ALL), "c": oneshot(ALL)}

    assert after(processes) == {"a": [], "b": ["a"], "c": ["a"]}


def test_the_oneshots_group_is_empty_without_oneshots() -> None:
    assert after({"web": service(ALL)}) == {"web": []}


def test_the_starting_order_respects_the_oneshots_group() -> None:
    processes = {"web": service(ALL), "static": oneshot("migrate"), "migrate": oneshot()}

    with configured(processes):
        assert load({}).starting_order(processes) == ["migrate", "static", "web"]
        assert load({}).effective("web").after == ["static", "migrate"]


def test_the_oneshots_group_silently_leaves_out_disabled_oneshots() -> None:
    processes = {"migrate": oneshot(ENABLED=False), "static": oneshot(), "web": service(ALL)}

    rows = json.loads(prodserver(processes, "--list", "--json"))

    assert {row["name"]: row.get("after") for row in rows} == {
        "migrate": None,
        "static": None,
        "web": ["static"],
    }
    with configured(processes):
        assert load({}).not_waited_for(["static", "web"]) == {}


NAMES = ("a", "b", "c", "d", "e", "f")


@given(st.data())
@pytest.mark.timeout(60)
def test_the_oneshots_group_never_creates_a_cycle(data: st.DataObject) -> None:
    # An acyclic order, with "@oneshots" added anywhere.
    after = {
        name: data.draw(st.lists(st.sampled_from([*NAMES[:place], ALL]), unique=True))
        for place, name in enumerate(NAMES)
    }
    oneshots = [name for name in NAMES if data.draw(st.booleans())]

    found = without_groups(after, oneshots)

    assert list(of_cycles(found)) == []
    assert all(set(after[name]) - {ALL} <= set(found[name]) for name in NAMES)
    assert all(name not in found[name] for name in NAMES)
