"""The interface between lives and what starts them: this process, or a template on request.

A starter reports the outcome through the `Birth` of a life, at once or later: the pid of the life's
leader, which is a child of this process, or why there is none. An `Errand` works the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from django_prodserver.control.startup import Preload
from django_prodserver.supervisor.events import ExitStatus, PreloadFailed
from django_prodserver.supervisor.hints import Callable, NoReturn, Optional, Protocol, Union

from . import child, interpreter
from .child import Wiring
from .log import Log
from .loop import Loop
from .program import Code, Program, Programs, Stage
from .signals import SignalPipe
from .template.plan import Loaded


class Birth:
    """A request to start a life. `begun` is called once, but never after `cancel`."""

    __slots__ = ("begun", "generation", "program", "wiring")

    def __init__(
        self,
        program: Program,
        wiring: Wiring,
        begun: Callable[[Union[int, str]], None],
        generation: int = 0,
    ) -> None:
        self.program = program
        self.wiring = wiring
        # Takes a pid, or an error message that says why there is none.
        self.begun = begun
        self.generation = generation


class Errand:
    """A task for a fork of a process that has loaded the project; see `errands`.

    `begun` is called once, but never after `cancel`.
    """

    __slots__ = ("answer", "begun", "request", "task", "wiring")

    def __init__(
        self,
        task: str,
        request: bytes,
        wiring: Wiring,
        answer: int,
        begun: Callable[[Union[int, str]], None],
    ) -> None:
        self.task = task
        # Plain data, packed by `marshal`.
        self.request = request
        self.wiring = wiring
        # The descriptor to which it writes its answer.
        self.answer = answer
        # The same as `Birth.begun`.
        self.begun = begun


class Starter:
    """Starts lives. It may have processes of its own for that, and manages those itself."""

    def begin(self, birth: Birth) -> None:
        """Start the leader of a life, and report it to the birth. Raises OSError."""
        raise NotImplementedError

    def run(self, errand: Errand) -> None:
        """Start an errand in the same way. Raises OSError."""
        raise OSError("this supervisor has not loaded the project")

    def cancel(self, start: Union[Birth, Errand]) -> None:
        """Cancel a start: `begun` is not called, and none of its code has run.

        A starter that reports at once has nothing to cancel.
        """

    @property
    def errands(self) -> list[Errand]:
        """The errands that have not been started yet."""
        return []

    def watch(self, group: int) -> None:
        """Have a guardian kill this process group if this process dies."""

    def forget(self, group: int) -> None:
        """The process group is empty: stop guarding it."""

    # ---- processes of its own ----

    @property
    def pids(self) -> set[int]:
        return set()

    @property
    def ended_early(self) -> int:
        """How many of them have exited unexpectedly."""
        return 0

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` is due next, in the clock of the loop."""
        return None

    def tick(self) -> None:
        """Do what is due."""

    def read(self) -> None:
        """Read their messages. Call it before children that have exited since are reaped."""

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Record the exit of a process; False if it is not one of them."""
        return False

    def reaped_unknown(self, pid: int, status: ExitStatus) -> None:
        """Record the exit of a child that is not known yet."""

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""

    def shut_down(self) -> set[int]:
        """Tell them all to exit; return their pids."""
        return set()

    def close(self) -> None:
        """End them all, and wait until they have exited."""


class Project(Protocol):
    """The code of the project, in a process that may import it."""

    def load(self, stage: Stage) -> Loaded:
        """Import what the processes of a stage need, so that they can be forked from here."""

    def program_of(self, instance: str) -> Program: ...

    def code_of(self, instance: str) -> Code: ...

    def run_errand(self, task: str, request: bytes) -> Iterable[bytes]:
        """Do the task in this process, which was forked for it; return the answer in parts."""


class Forks(Starter):
    """Forks lives from this process, and reports at once.

    In a child that goes on running this program, `release` closes what belongs to the supervisor.
    For a child that executes another program the kernel does that: every descriptor is
    close-on-exec. Closing them one by one would make each start slower the more lives there are.
    Programs are executed with `environ`, or with the environment of this process.
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
        """Fork a process that executes the program or runs its `code`. Raises OSError."""
        supervisor = os.getpid()
        release = self._signals.reset_in_child if code is None else self._release

        def become() -> NoReturn:
            if self._environ is not None:
                interpreter.set_environment(self._environ)
            child.become(birth.program, code, birth.wiring, supervisor, release)

        birth.begun(child.fork(become, self._signals))


class LocalProject(Forks):
    """Forks lives from this process, which loads the project itself.

    For systems without subreapers (macOS). Loading a stage blocks everything else in this process;
    `timed` is told how long it took.
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
            wiring = errand.wiring, errand.answer
            child.become_errand(task, do, *wiring, supervisor, self._release)

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
            for record in loaded.records:
                self._log.say(record)
        return self._loaded[stage]
