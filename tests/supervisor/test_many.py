"""With ten times as many instances, each event costs the same."""

from __future__ import annotations

import sys
from signal import SIGTERM
from types import FrameType
from typing import Any

import pytest

from django_prodserver.supervisor.commands import Spawn
from django_prodserver.supervisor.events import Exited, ExitStatus, GroupGone, Signalled, Spawned
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.spec import Ref, Spec


def calls_of_a_run(count: int, *, after: bool) -> int:
    """The number of function calls until this many instances have started and stopped."""
    ahead = frozenset({"p0.1"}) if after else frozenset()
    specs = [Spec(name=f"p{i}.1", after=ahead if i else frozenset()) for i in range(count)]
    group = Group(specs)
    calls = 0

    def count_call(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count_call)
    try:
        outputs = group.start(0.0) + group.tick(0.0)
        refs: list[Ref] = []
        while spawned := [output.ref for output in outputs if isinstance(output, Spawn)]:
            refs += spawned
            outputs = [o for ref in spawned for o in group.take(1.0, Spawned(ref))]
            assert group.deadline is not None or len(refs) == count
            outputs += group.tick(1.0)
        assert len(refs) == count
        group.take(2.0, Signalled(SIGTERM))
        for ref in reversed(refs):
            group.take(3.0, Exited(ref, ExitStatus(code=0), False, 0.0))
            group.take(3.0, GroupGone(ref))
            group.tick(3.0)
    finally:
        sys.setprofile(None)
    assert group.exit_status == 0
    return calls


@pytest.mark.parametrize("after", [False, True])
def test_the_work_per_instance_does_not_grow_with_the_number_of_instances(after: bool) -> None:
    few, many = calls_of_a_run(30, after=after), calls_of_a_run(300, after=after)

    assert many < 12 * few
