"""Faulty templates: how they behave, and what is forked from them.

`python -m tests.functional.template_faults BEHAVIOUR FOLDER` is a template with that behaviour.
Through FOLDER, the templates of one test know what earlier ones did.
"""

from __future__ import annotations

import marshal
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Callable, NoReturn, Optional

from django_prodserver.posix import child
from django_prodserver.posix.program import Code, Program, Stage
from django_prodserver.posix.template import serve as template
from django_prodserver.posix.template.channel import Channel
from django_prodserver.posix.template.order import inherited
from django_prodserver.posix.template.plan import Loaded
from django_prodserver.posix.template.protocol import VERSION
from django_prodserver.posix.template.serve import serve
from django_prodserver.posix.template.wire import pack
from django_prodserver.supervisor.spec import process_of
from tests.functional.errand_tasks import TASKS

# "web" is forked from the first stage, "late" from the stage that is loaded after a oneshot.
LATE: Stage = ("make",)
PROGRAMS = {"web": Program("web"), "late": Program("late", stage=LATE)}
EXECUTED = {"late": Program("late", execute=("sh", "-c", "echo executed; sleep 1000"), stage=LATE)}


def wait_for_ever() -> NoReturn:
    while True:
        signal.pause()


def live(lives: Path, instance: str) -> None:
    with lives.open("a") as file:
        file.write(f"{instance}\n")
    sys.stdout.write("alive\n")
    sys.stdout.flush()
    wait_for_ever()


class Project:
    """Implements `posix.starting.Project`, with two files in its folder.

    `late` says how a stage loads; `lives` gets the name of each instance that runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, stage: Stage) -> Loaded:
        with (self._folder / "attempts").open("a") as attempts:
            attempts.write("x")
        how = (self._folder / "late").read_text()
        if how == "killed once":
            (self._folder / "late").write_text("well")
        if how.startswith("killed"):
            os.kill(os.getpid(), SIGKILL)
        if how == "raises":
            raise SystemExit("no such table")
        if how == "hangs":
            (self._folder / "pid").write_text(str(os.getpid()))
            wait_for_ever()
        if how == "executes":
            return Loaded(EXECUTED)
        return Loaded(PROGRAMS, error="it is broken." if how == "broken" else None)

    def program_of(self, instance: str) -> Program:
        return PROGRAMS[process_of(instance)].of(instance)

    def code_of(self, instance: str) -> Code:
        lives = self._folder / "lives"
        return Code(lambda: live(lives, instance), ["manage.py", "prodserver", instance])

    def run_errand(self, task: str, request: bytes) -> Iterable[bytes]:
        # The streams that pytest may have put there do not write to descriptors 1 and 2.
        vars(sys).update(stdout=None, stderr=None)
        child.open_streams()
        return [TASKS[task](marshal.loads(request))]


class Template:
    """What behaviours are made of."""

    def __init__(self, channel: Channel, supervisor: int, run: str, folder: Path) -> None:
        self.channel = channel
        self.supervisor = supervisor
        self.run = run
        self.folder = folder

    def loaded(self) -> None:
        self.channel.send("protocol", VERSION)
        self.channel.send("loaded", Loaded(PROGRAMS))

    def serve(self) -> NoReturn:
        serve(self.channel, self.supervisor, self.run, Project(self.folder))

    def serve_with(self, answer: Callable[..., None]) -> NoReturn:
        """Serve, with `answer` in place of the method that answers a request to fork."""
        template._Template._answer = answer  # type: ignore[method-assign]
        self.loaded()
        self.serve()


def well(here: Template) -> None:
    here.loaded()
    here.serve()


def dies_before(here: Template) -> None:
    here.serve_with(lambda *asked, **kind: os._exit(3))


def dies_between(here: Template) -> None:
    def answer(self: object, number: int, become: Callable[[], NoReturn], group: bool) -> None:
        template._fork_twice(become)
        os._exit(3)

    here.serve_with(answer)


def dies_after(here: Template) -> None:
    def answer(self: object, number: int, become: Callable[[], NoReturn], group: bool) -> None:
        here.channel.send("forked", number, template._fork_twice(become))
        os._exit(3)

    here.serve_with(answer)


def is_killed_while_it_forks(here: Template) -> None:
    def answer(self: object, number: int, become: Callable[[], NoReturn], group: bool) -> None:
        parent = os.getpid()

        def kill_and_go_on() -> NoReturn:
            os.kill(parent, SIGKILL)
            become()

        template._fork_twice(kill_and_go_on)

    here.serve_with(answer)


def never_answers(here: Template) -> None:
    here.serve_with(lambda *asked, **kind: wait_for_ever())


def stops(here: Template) -> None:
    here.serve_with(lambda *asked, **kind: os.kill(os.getpid(), signal.SIGSTOP))


def never_loads(here: Template) -> None:
    wait_for_ever()


def dies_once_it_is_loaded(here: Template) -> None:
    here.loaded()
    os._exit(3)


def is_of_another_version(here: Template) -> None:
    here.channel.send("protocol", VERSION + 1)
    here.channel.send("loaded", "what nobody understands")
    wait_for_ever()


def closes_its_channel(here: Template) -> None:
    here.loaded()
    here.channel.close()
    wait_for_ever()


def closes_it_when_asked(here: Template) -> None:
    def answer(*asked: object, **kind: object) -> NoReturn:
        here.channel.close()
        wait_for_ever()

    here.serve_with(answer)


def is_refused(here: Template) -> None:
    """Every fork fails, for lack of a descriptor."""

    def answer(
        self: template._Template, number: int, become: Callable[[], NoReturn], group: bool
    ) -> None:
        with no_descriptor():
            right(self, number, become, group)

    right = template._Template._answer
    here.serve_with(answer)


def answers_after_the_death(here: Template) -> None:
    """Its child is killed, and reaped by the supervisor, before the supervisor knows of it."""

    def answer(self: object, number: int, become: Callable[[], NoReturn], group: bool) -> None:
        pid = template._fork_twice(become)
        if not (here.folder / "killed").exists():
            (here.folder / "killed").touch()
            os.kill(pid, SIGKILL)
            while Path(f"/proc/{pid}").exists():
                os.sched_yield()
        here.channel.send("forked", number, pid)

    here.serve_with(answer)


def says(packet: bytes) -> Callable[[Template], None]:
    def say(here: Template) -> None:
        here.loaded()
        end = socket.socket(fileno=os.dup(here.channel.fileno()))
        end.send(packet)
        wait_for_ever()

    return say


def sends(*message: object) -> Callable[[Template], None]:
    def send(here: Template) -> None:
        here.loaded()
        here.channel.send(*message, fds=[0, 1])
        wait_for_ever()

    return send


GARBLED = {
    "says nothing": says(b""),
    "says an empty message": says(b"."),
    "says letters": says(b"hello"),
    "says half a message": says(b"." + pack(("loaded", Loaded(PROGRAMS)))[:-3]),
    "says no word": says(b"." + pack(1)),
    "says nothing at all": says(b"." + pack(())),
    "says an unknown value": says(b"." + pack(["x"]).replace(b"x", b"\xff")),
    "sends an unknown word": sends("hello"),
    "sends too little": sends("forked", 1),
    "sends another type": sends("forked", "1", 2),
}
BEHAVIOURS: dict[str, Callable[[Template], None]] = {
    **{
        one.__name__: one
        for one in (
            *(well, dies_before, dies_between, dies_after, is_killed_while_it_forks),
            *(never_answers, stops, never_loads, dies_once_it_is_loaded, is_of_another_version),
            *(closes_its_channel, closes_it_when_asked, is_refused, answers_after_the_death),
        )
    },
    **GARBLED,
}


@contextmanager
def no_descriptor(spare: int = 0, pid: int = 0) -> Iterator[None]:
    """Let a process, by default this one, open only `spare` more descriptors."""
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(one) for one in os.listdir(f"/proc/{pid or 'self'}/fd")}
    lowest = next(number for number in range(len(used) + 1) if number not in used)
    free = [number for number in range(lowest, lowest + 100) if number not in used]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[spare], limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def main(name: str, folder: str) -> NoReturn:
    order = inherited()
    assert order is not None
    run, stage = order.run, order.stage
    here = Template(order.channel, os.getppid(), run, Path(folder))
    if stage == LATE:
        loaded: Optional[Loaded] = Project(here.folder).load(stage)
        here.channel.send("protocol", VERSION)
        here.channel.send("loaded", loaded)
        here.serve()
    BEHAVIOURS[name](here)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
