"""The seam between lives and what starts them: this process, or a template on request.

A starter answers by the `Birth` of the life, at once or later: with the pid of its leader, which is
a child of this process, or with why there is none. An `Errand` is started and answered likewise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from django_prodserver.control.startup import Preload
from django_prodserver.supervisor.events import ExitStatus, PreloadFailed
from django_prodserver.supervisor.hints import Callable, NoReturn, Optional, Protocol, Union

from . import child, interpreter
from .child import Ties
from .log import Log
from .loop import Loop
from .program import Code, Program, Programs, Stage
from .signals import SignalPipe
from .template.plan import Loaded


class Birth:
    """A life that is to begin. `begun` is called once, and never after it was cancelled."""

    __slots__ = ("begun", "generation", "program", "ties")

    def __init__(
        self,
        program: Program,
        ties: Ties,
        begun: Callable[[Union[int, str]], None],
        generation: int = 0,
    ) -> None:
        self.program = program
        self.ties = ties
        # Takes a pid, or why there is none in the system's own words.
        self.begun = begun
        self.generation = generation


class Errand:
    """A task that is to be done by a fork of what has loaded the project; see `errands`.

    `begun` is called once, and never after it was cancelled.
    """

    __slots__ = ("answer", "begun", "request", "task", "ties")

    def __init__(
        self,
        task: str,
        request: bytes,
        ties: Ties,
        answer: int,
        begun: Callable[[Union[int, str]], None],
    ) -> None:
        self.task = task
        # Plain data, packed by `marshal`.
        self.request = request
        self.ties = ties
        # The descriptor to which it writes its answer.
        self.answer = answer
        # As that of a birth.
        self.begun = begun


class Starter:
    """Begins lives. It may have processes of its own for that, of which it takes care itself."""

    def begin(self, birth: Birth) -> None:
        """Let its leader be started; the birth gets the answer. Raises OSError."""
        raise NotImplementedError

    def run(self, errand: Errand) -> None:
        """Let an errand be started in the same way. Raises OSError."""
        raise OSError("nothing here has loaded the project")

    def cancel(self, start: Union[Birth, Errand]) -> None:
        """Let it not be started; no answer follows, and no code of it has run.

        Where answers come at once there is nothing to be cancelled.
        """

    @property
    def errands(self) -> list[Errand]:
        """Those that have not begun."""
        return []

    def watch(self, group: int) -> None:
        """A process group of ours exists: a guardian has to kill it if this process dies."""

    def forget(self, group: int) -> None:
        """A process group is empty."""

    # ---- processes of its own ----

    @property
    def pids(self) -> set[int]:
        return set()

    @property
    def ended_early(self) -> int:
        """How many have ended that were not asked to."""
        return 0

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do, in the clock of the loop."""
        return None

    def tick(self) -> None:
        """Do what is due."""

    def read(self) -> None:
        """Take what they have said, before what exited since is reaped."""

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Take note of the exit of a process; False if it was not one of them."""
        return False

    def reaped_unknown(self, pid: int, status: ExitStatus) -> None:
        """Take note of the exit of a child that is not known yet."""

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""

    def leave(self) -> set[int]:
        """Let them all end; returns their pids, each of which is about to exit."""
        return set()

    def close(self) -> None:
        """End them all, and wait for that."""


class Project(Protocol):
    """The code of the project, in a process that may import it."""

    def load(self, stage: Stage) -> Loaded:
        """Import what the processes of a stage need, to fork them from here."""

    def program_of(self, instance: str) -> Program: ...

    def code_of(self, instance: str) -> Code: ...

    def run_errand(self, task: str, request: bytes) -> Iterable[bytes]:
        """Do it in this process, which is forked for that; returns the parts of its answer."""


class Forks(Starter):
    """Starts lives by a fork of this process, and answers at once.

    `release` gives back, in a child that goes on in this program, what belongs to the supervisor.
    Where another one is executed the kernel does that: all descriptors are closed on exec. One by
    one it would take as long as there are others, for each. What is executed has `environ`, or the
    environment of this process.
    """

    def __init__(
        self,
        signals: SignalPipe,
        release: Callable[[], None],
        environ: Optional[Mapping[str, str]] = None,
    ) -> None:
        self._signals = signals
        self._release = release
        self._environ = environ

    def begin(self, birth: Birth) -> None:
        self.fork(birth)

    def fork(self, birth: Birth, code: Optional[Code] = None) -> None:
        """Execute its program, or run its code. Raises OSError."""
        supervisor = os.getpid()
        release = self._signals.reset_in_child if code is None else self._release

        def become() -> NoReturn:
            if self._environ is not None:
                interpreter.set_environment(self._environ)
            child.become(birth.program, code, birth.ties, supervisor, release)

        birth.begun(child.fork(become, self._signals))


class LocalProject(Forks):
    """Starts lives by forks of this process, which loads the project.

    For systems without subreapers (macOS). While it loads a stage, nothing else is done here;
    `timed` is told what that took.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log,
        programs: Programs,
        release: Callable[[], None],
        project: Project,
        timed: Callable[[Stage, Preload], object],
    ) -> None:
        super().__init__(loop.signals, release)
        self._loop = loop
        self._log = log
        self._programs = programs
        self._project = project
        self._timed = timed
        self._loaded: dict[Stage, bool] = {}

    def begin(self, birth: Birth) -> None:
        if not birth.program.execute and not self._load(birth.program.stage):
            birth.begun("the project cannot be loaded")
            return
        birth.program = self._programs.of(birth.program.name)
        executes = bool(birth.program.execute)
        self.fork(birth, None if executes else self._project.code_of(birth.program.name))

    def run(self, errand: Errand) -> None:
        supervisor, task = os.getpid(), errand.task

        def do() -> Iterable[bytes]:
            return self._project.run_errand(task, errand.request)

        def become() -> NoReturn:
            ties = errand.ties, errand.answer
            child.become_errand(task, do, *ties, supervisor, self._release)

        errand.begun(child.fork(become, self._signals))

    def _load(self, stage: Stage) -> bool:
        if stage not in self._loaded:
            loaded = self._project.load(stage)
            self._loaded[stage] = loaded.error is None
            if loaded.preload is not None:
                self._timed(stage, loaded.preload)
            if loaded.error is not None:
                self._loop.emit(PreloadFailed(loaded.error))
            self._programs.update(loaded.programs)
            for record in loaded.said:
                self._log.say(record)
        return self._loaded[stage]
