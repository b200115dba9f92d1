"""A month with a process that crashes all the time: it takes seconds, and nothing grows."""

from __future__ import annotations

import pickle
import pickletools
from collections import Counter
from signal import SIGTERM
from typing import Optional

import pytest

from django_prodserver.supervisor.events import Event, ExitStatus
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.pump import run
from django_prodserver.supervisor.spec import CheckSchedule, Ref, RestartPolicy, Spec

from .world import Behaviour, Child, World

DAY = 24 * 60 * 60
DAYS = 30

CRASHING = Child(
    Spec(
        "worker.1",
        restart=RestartPolicy.ALWAYS,
        notifies=True,
        backoff_initial=0.5,
        backoff_max=30.0,
        start_burst=10,
        start_interval=60.0,
    ),
    (Behaviour(exits_after=0.25, status=ExitStatus(code=1)),),
)
STEADY = Child(
    Spec("web.1", connects=True, check=CheckSchedule(interval=120.0)),
    (Behaviour(connects_after=0.5),),
)


def pieces(supervisor: Group) -> int:
    """The number of objects in its state; a number counts once, however large it is."""
    return sum(1 for _ in pickletools.genops(pickle.dumps(supervisor)))


class ForgetfulWorld(World):
    """Keeps what is alive; of the past it keeps only the numbers of log lines and of lives."""

    supervisor: Group

    def __init__(self) -> None:
        super().__init__(
            [CRASHING, STEADY],
            [(DAYS * DAY, SIGTERM)],
            jitters=(0.0, 0.25, 1.0, 0.5),
        )
        self.said: Counter[str] = Counter()
        self.begun: Counter[str] = Counter()
        # For each day, the largest state of the supervisor at the start of a life.
        self.most: Counter[int] = Counter()

    def did(self, what: str) -> None:
        if what.startswith("say "):
            self.said[what.split()[1]] += 1
        super().did(what)

    def spawn(self, ref: Ref) -> None:
        self.begun[ref.name] += 1
        day = int(self.now() // DAY) + 1
        # Not for each life: counting takes much longer than a life. 31 meets each jitter in turn.
        if day in (1, 2, DAYS) and self.begun[ref.name] % 31 == 1:
            self.most[day] = max(self.most[day], pieces(self.supervisor))
        super().spawn(ref)

    def wait(self, timeout: Optional[float]) -> list[Event]:
        for past in (self.trace, self.told, self.history, self.kills):
            past.clear()
        for pid in self.reaped:
            del self.pids[self.leaders[pid].ref], self.leaders[pid], self.members_of[pid]
        self.reaped.clear()
        return super().wait(timeout)


@pytest.mark.timeout(600)
def test_the_supervisor_state_does_not_grow_in_a_month_of_crashes() -> None:
    world = ForgetfulWorld()
    world.supervisor = supervisor = Group([CRASHING.spec, STEADY.spec])

    assert run(supervisor, world, world.observers) == 0

    # Its backoff is 30 s less a random part, so it is started about 3,200 times a day.
    assert world.begun["worker.1"] > DAYS * DAY / 31
    assert world.begun["web.1"] == 1
    assert world.said["worker.1"] >= world.begun["worker.1"] - 1
    assert supervisor.instances["worker.1"].restarts > DAYS * DAY / 31
    assert world.most[DAYS] == world.most[2] <= world.most[1]
    assert not world.alive
