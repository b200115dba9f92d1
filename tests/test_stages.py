"""When each process is loaded: after the oneshots that it comes after, directly or not."""

from __future__ import annotations

from typing import Any

import pytest

from django_prodserver.launch.stages import stages_of, with_services
from django_prodserver.settings.schema import ProcessSettings


def process(*after: str, **entry: Any) -> Any:
    return ProcessSettings(backend="shell", after=list(after), **entry)


def oneshot(*after: str, **entry: Any) -> Any:
    return process(*after, type="oneshot", **entry)


def refreshing(*after: str) -> Any:
    return oneshot(*after, refresh=True)


@pytest.mark.parametrize(
    ("processes", "stages"),
    [
        ({"web": process(), "worker": process("web")}, {"web": (), "worker": ()}),
        ({"one": oneshot(), "web": process()}, {"one": None, "web": ()}),
        ({"one": oneshot(), "two": oneshot("one")}, {"one": None, "two": None}),
        (
            {"two": oneshot(), "one": oneshot(), "web": process("two", "one")},
            {"two": None, "one": None, "web": ("one", "two")},
        ),
        (
            {"one": oneshot(), "web": process("one"), "worker": process("web")},
            {"one": None, "web": ("one",), "worker": ("one",)},
        ),
        # A oneshot that is not started in this run is not waited for.
        ({"web": process("one")}, {"web": ()}),
        # A oneshot that makes settings comes before all that follow it, including oneshots.
        (
            {
                "any": oneshot(),
                "key": refreshing(),
                "two": oneshot("key"),
                "three": oneshot("two", "any"),
                "web": process("three"),
            },
            {
                "any": None,
                "key": None,
                "two": ("key",),
                "three": ("any", "key", "two"),
                "web": ("any", "key", "three", "two"),
            },
        ),
    ],
)
def test_each_process_is_loaded_after_the_oneshots_before_it(
    processes: dict[str, Any], stages: dict[str, Any]
) -> None:
    assert stages_of(processes) == stages


def test_nothing_is_preloaded_for_a_stage_of_oneshots_alone() -> None:
    processes = {"key": refreshing(), "two": oneshot("key"), "web": process("two")}
    stages = stages_of(processes)

    found = {stage: with_services(stage, stages, processes) for stage in stages.values()}

    assert found == {None: False, ("key",): False, ("key", "two"): True}
