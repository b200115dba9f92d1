"""Changes: when what an operator has asked for is done, or has failed, by the real group."""

from __future__ import annotations

from collections.abc import Sequence
from signal import SIGTERM
from typing import Any, Optional

import pytest

from django_prodserver.control.changes import REMEMBERED, Change, Changes, Progress
from django_prodserver.control.requests import Accepted, understand
from django_prodserver.supervisor.commands import Spawn
from django_prodserver.supervisor.events import (
    ChangeRequest,
    Event,
    Exited,
    ExitStatus,
    GroupGone,
    Notified,
    Operator,
    Signalled,
    Spawned,
    SpawnFailed,
)
from django_prodserver.supervisor.facts import (
    AllReady,
    Ended,
    Granted,
    Phase,
    RequestRefused,
    StateChanged,
    Updated,
)
from django_prodserver.supervisor.group import Group
from django_prodserver.supervisor.spec import Ref, RestartPolicy, Spec

OPERATOR = Operator(0, 7)
FACTS = (StateChanged, Updated, Granted, RequestRefused, Ended, AllReady)


class Operated:
    """A group with its changes, as the server has them; everything that is started is ready."""

    def __init__(self, *specs: Spec) -> None:
        self.group, self.changes = Group(specs), Changes()
        self.now = 0.0
        # Starts that are not answered.
        self.answers = True
        self.ready = True
        self._facts(self.group.start(0.0))
        self.tick()

    def take(self, *events: Event) -> None:
        for event in events:
            self._facts(self.group.take(self.now, event))
        self.tick()

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        while outputs := self.group.tick(self.now):
            self._facts(outputs)
        self.changes.settle(self.group.snapshot(self.now))

    def ask(self, verb: str, *names: str, **body: Any) -> Change:
        snapshot = self.group.snapshot(self.now)
        meant = understand(verb, {"names": list(names), **body} if names else body, snapshot, {})
        assert isinstance(meant, Accepted), meant
        change = self.changes.begin(verb, meant.names, meant.targets, snapshot)
        # Other things may be decided before the group hears of it.
        self.changes.settle(self.group.snapshot(self.now))
        assert not change.over
        self.take(ChangeRequest(change.number, OPERATOR, verb, meant.names, meant.requests))
        return change

    def exit(self, ref: Ref, code: Optional[int] = 0) -> None:
        self.take(Exited(ref, ExitStatus(code=code)), GroupGone(ref))

    def _facts(self, outputs: Sequence[object]) -> None:
        for output in outputs:
            if isinstance(output, FACTS):
                self.changes.observe(output)
            elif isinstance(output, Spawn) and self.answers:
                self.take(Spawned(output.ref))
                if self.ready:
                    self.take(Notified(output.ref, ready=True))


def service(name: str, **more: Any) -> Spec:
    return Spec(name, notifies=True, **more)


def life(name: str, number: int = 1) -> Ref:
    return Ref(name, 0, number)


def test_a_stop_is_done_once_every_process_has_ended() -> None:
    run = Operated(service("web.1"), service("web.2"), service("worker.1"))
    change = run.ask("stop", "web")

    run.exit(life("web.1"))
    assert change.progress is Progress.RUNNING
    run.exit(life("web.2"))
    assert change.progress is Progress.DONE
    assert run.group.phase is Phase.RUNNING


def test_a_start_is_done_once_its_instance_is_ready() -> None:
    run = Operated(service("web.1"))
    run.ask("stop", "web")
    run.exit(life("web.1"))
    run.ready = False
    change = run.ask("start", "web.1")

    assert change.progress is Progress.RUNNING
    run.take(Notified(life("web.1", 2), ready=True))
    assert change.progress is Progress.DONE


def test_a_start_fails_if_the_process_exits_before_it_is_ready() -> None:
    run = Operated(service("web.1"), service("mail.1", restart=RestartPolicy.NEVER))
    run.ask("stop", "mail")
    run.exit(life("mail.1"))
    run.ready = False
    change = run.ask("start", "mail")
    run.exit(life("mail.1", 2), 3)

    assert change.progress is Progress.FAILED
    assert change.message is not None
    assert change.message.startswith("mail.1 ")


def test_a_restart_is_done_once_every_new_life_is_ready() -> None:
    run = Operated(service("web.1"), service("web.2"))
    change = run.ask("restart", "web")
    run.exit(life("web.1"))
    assert change.progress is Progress.RUNNING
    run.exit(life("web.2"))

    assert change.progress is Progress.DONE
    assert [run.group.instances[name].replacements for name in ("web.1", "web.2")] == [1, 1]


def test_a_restart_fails_if_the_new_life_does_not_become_ready() -> None:
    run = Operated(service("web.1", start_first=True), service("web.2", start_first=True))
    run.ready = False
    change = run.ask("restart", "web")
    run.exit(life("web.1", 2), 1)

    assert change.progress is Progress.FAILED
    assert change.message == "web.1 was not replaced: the new one did not become ready"
    assert run.group.phase is Phase.RUNNING


def test_a_restart_of_a_starting_process_waits_for_that_start() -> None:
    run = Operated(service("db.1"), service("web.1"))
    run.ask("stop", "web")
    run.exit(life("web.1"))
    run.answers = False
    run.ask("start", "web")
    change = run.ask("restart", "web")
    assert change.progress is Progress.RUNNING

    run.take(Spawned(life("web.1", 2)), Notified(life("web.1", 2), ready=True))
    assert change.progress is Progress.DONE


def test_starting_a_finished_oneshot_runs_it_again() -> None:
    run = Operated(Spec("migrate.1", oneshot=True), service("web.1"))
    run.exit(life("migrate.1"))
    change = run.ask("start", "migrate")
    assert change.progress is Progress.RUNNING
    run.exit(life("migrate.1", 2))

    assert change.progress is Progress.DONE


@pytest.mark.parametrize(("verb", "names"), [("start", ["web"]), ("stop", ["mail"])])
def test_a_change_to_the_current_state_is_done_at_once_with_nothing_to_do(
    verb: str, names: list[str]
) -> None:
    run = Operated(service("web.1"), service("mail.1"))
    run.ask("stop", "mail")
    run.exit(life("mail.1"))
    change = run.ask(verb, *names)

    assert (change.progress, change.message) == (Progress.DONE, "nothing to do")


def test_scaling_up_waits_until_the_new_instances_are_ready() -> None:
    run = Operated(service("web.1"))
    run.ready = False
    change = run.ask("scale", counts={"web": 3})
    run.take(Notified(life("web.2"), ready=True))
    assert change.progress is Progress.RUNNING
    run.take(Notified(life("web.3"), ready=True))

    assert change.progress is Progress.DONE


def test_scaling_down_stops_the_instances_with_the_highest_numbers() -> None:
    run = Operated(service("web.1"), service("web.2"), service("web.3"))
    change = run.ask("scale", counts={"web": 1})
    run.exit(life("web.3"))
    assert change.progress is Progress.RUNNING
    run.exit(life("web.2"))

    assert change.progress is Progress.DONE
    assert run.group.instances["web.1"].alive


def test_a_change_fails_if_a_later_request_reverses_it() -> None:
    run = Operated(service("web.1"), service("mail.1"))
    stop = run.ask("stop", "web")
    run.ask("start", "web")
    assert (stop.progress, stop.message) == (
        Progress.FAILED,
        "web.1 was started again meanwhile",
    )

    run.ready = False
    restart = run.ask("restart", "mail")
    run.exit(life("mail.1"))
    run.ask("stop", "mail")
    assert (restart.progress, restart.message) == (
        Progress.FAILED,
        "mail.1 was stopped meanwhile",
    )


def test_a_restart_request_that_arrives_after_a_stop_signal_fails() -> None:
    run = Operated(service("web.1"))
    snapshot = run.group.snapshot(run.now)
    meant = understand("restart", {"names": ["web"]}, snapshot, {})
    assert isinstance(meant, Accepted)
    change = run.changes.begin("restart", meant.names, meant.targets, snapshot)
    run.take(Signalled(SIGTERM))
    run.take(ChangeRequest(change.number, OPERATOR, "restart", meant.names, meant.requests))

    assert (change.progress, change.message) == (
        Progress.FAILED,
        "web: everything is being stopped",
    )


def test_a_scale_up_fails_if_everything_stops_before_it_is_ready() -> None:
    run = Operated(service("web.1"))
    run.ready = False
    change = run.ask("scale", counts={"web": 2})
    run.take(Signalled(SIGTERM))

    assert change.progress is Progress.FAILED
    assert change.message == "everything is being stopped"


def test_a_shutdown_is_done_once_no_process_is_left() -> None:
    run = Operated(service("web.1"))
    change = run.ask("shutdown")
    assert run.group.phase is Phase.STOPPING
    run.exit(life("web.1"))

    assert change.progress is Progress.DONE
    assert run.group.exit_status == 0


def test_a_shutdown_request_while_everything_stops_waits_for_the_last_exit() -> None:
    run = Operated(service("web.1"))
    run.take(Signalled(SIGTERM))
    change = run.ask("shutdown")
    assert run.group.phase is Phase.STOPPING, "it is no second SIGTERM, which would kill"
    run.exit(life("web.1"))

    assert change.progress is Progress.DONE


def test_a_start_fails_if_the_system_refuses_to_spawn_the_process() -> None:
    run = Operated(service("web.1"), service("mail.1"))
    run.ask("stop", "mail")
    run.exit(life("mail.1"))
    run.answers = False
    change = run.ask("start", "mail")
    run.take(SpawnFailed(life("mail.1", 2), "no memory"))

    assert change.progress is Progress.FAILED


def test_only_the_latest_finished_changes_are_remembered() -> None:
    run = Operated(service("web.1"))
    numbers = [run.ask("start", "web").number for _ in range(REMEMBERED + 5)]

    with pytest.raises(KeyError):
        run.changes[numbers[0]]
    assert run.changes[numbers[-1]].over


def test_the_document_of_a_change_has_its_verb_names_and_state() -> None:
    run = Operated(service("web.1"))
    change = run.ask("stop", "web.1")

    assert change.document() == {
        "change": 1,
        "verb": "stop",
        "names": ["web.1"],
        "state": "running",
        "message": None,
    }
