"""Which processes are spawned, and what the log says about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.launch.process import ResolvedProcess
from django_prodserver.launch.resolve import resolve
from django_prodserver.launch.start_method import said_of_start_methods, to_fork, to_spawn
from django_prodserver.settings.load import load
from tests.inside import configured, sleeper

READ_ALREADY = {"BACKEND": f"{__name__}.App", "ENV": {"COLOUR": "red"}}


class App(BaseServerBackend):
    """An app of Django, which has read the environment when Django was set up."""

    is_an_app = True
    import_time_variables = frozenset({"COLOUR", "SIZE"})

    def start_server(self, *args: str) -> None: ...


def resolved(**processes: Any) -> list[ResolvedProcess]:
    with configured(processes):
        return resolve(load(), processes)


def decided(threads: Sequence[str], **processes: Any) -> tuple[list[str], list[str]]:
    found = resolved(**processes)
    return to_spawn(found, threads), [
        record.message for record in said_of_start_methods(found, threads)
    ]


FORK, SPAWN = sleeper(START_METHOD="fork"), sleeper(START_METHOD="spawn")


def test_without_threads_only_those_are_spawned_that_want_it() -> None:
    assert decided([], a=sleeper(), b=FORK, c=SPAWN) == (["c"], [])
    assert [one.name for one in to_fork(resolved(a=sleeper(), b=FORK, c=SPAWN))] == ["a", "b"]


def test_threads_make_auto_spawn() -> None:
    both = "starting by spawn: the preload left the threads 'x', 'y' running"
    assert decided(["x", "y"], a=sleeper(), b=sleeper()) == (["a", "b"], [both])

    some = "starting a, b by spawn: the preload left the thread 'x' running"
    assert decided(["x"], a=sleeper(), b=sleeper(), c=SPAWN) == (["a", "b", "c"], [some])


def test_each_thread_is_named_that_a_fork_will_not_have() -> None:
    spawned, said = decided(["x", "y"], a=FORK)

    assert spawned == []
    assert said == [
        f"the preload left the thread {name!r} running, which no process will have: "
        "start it in the processes instead"
        for name in ("x", "y")
    ]


def test_a_variable_that_is_read_already_makes_auto_spawn(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "starting app by spawn: its ENV sets COLOUR, which is read already"
    assert decided([], app=READ_ALREADY) == (["app"], [said])

    monkeypatch.setenv("COLOUR", "red")
    assert decided([], app=READ_ALREADY) == ([], [])


def test_a_fork_does_not_see_a_variable_that_is_read_already() -> None:
    env = {"COLOUR": "red", "SIZE": "1", "OTHER": "2"}
    said = "app will not see the COLOUR, SIZE of its ENV, which is read already"

    assert decided([], app={**READ_ALREADY, "ENV": env, "START_METHOD": "fork"}) == ([], [said])
