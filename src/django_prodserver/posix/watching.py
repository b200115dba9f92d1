"""Watching: in development, request a reload when a file of the project's code changes.

An errand does the watching, so this process needs neither the modules of the project nor the
threads of a watcher. It is restarted once a reload has loaded other modules, and looks for changes
since these were loaded: no change is missed between two errands.

A second errand lists the modules that can be imported ahead of the next load.
"""

from __future__ import annotations

import marshal

from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import ReloadRequest
from django_prodserver.supervisor.facts import AllReady, Fact, Reloaded, ReloadFailed
from django_prodserver.supervisor.hints import Callable, Optional
from django_prodserver.supervisor.record import Record

from .errands import ErrandRun, Errands
from .loop import Loop
from .template.generations import Generations

# The task of the first errand. It reports a line for each batch of changes: the changed files,
# separated by SEPARATOR.
TASK, SEPARATOR = "watch", b"\0"
# The task of the second errand.
WARM = "warm"
# In seconds: the first errand has no real time limit; the pause before its restart when it fails.
NO_LIMIT, RESTART_PAUSE = 10.0**9, 1.0
# The time limit of the second errand, in seconds.
WARM_WITHIN = 60.0


class Watching:
    """Watches the code of the newest load of the project; pass all facts to `observe`.

    The `generations` are told what to import ahead of the next load.
    """

    def __init__(
        self,
        errands: Errands,
        loop: Loop,
        say: Callable[[Record], None],
        generations: Generations,
    ) -> None:
        self._generations = generations
        self._errands = errands
        self._loop = loop
        self._say = say
        self._errand: Optional[ErrandRun] = None
        self._line = b""
        # When the first errand is to be started.
        self.deadline: Optional[float] = loop.clock.now()

    def observe(self, fact: Fact) -> None:
        if isinstance(fact, (AllReady, Reloaded)):
            self.deadline = self._loop.clock.now()
        if isinstance(fact, (AllReady, Reloaded, ReloadFailed)):
            everything = not self._generations.changes_environment()
            self._errands.run(WARM, everything, WARM_WITHIN, self._warm_up)

    def tick(self) -> None:
        if self.deadline is None or self.deadline > self._loop.clock.now():
            return
        if self._errand is not None:
            self._errands.end(self._errand)
        self.deadline, self._line = None, b""
        self._errand = self._errands.run(TASK, None, NO_LIMIT, self._ended, self._read)

    def close(self) -> None:
        if self._errand is not None:
            self._errands.end(self._errand)

    def _read(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            paths = [path.decode(errors="replace") for path in line.split(SEPARATOR)]
            self._say(report.code_changed(paths))
            self._loop.emit(ReloadRequest())

    def _warm_up(self, answer: Optional[bytes], why: str) -> None:
        argv, modules = marshal.loads(answer) if answer is not None else ([], [])
        if argv:
            self._generations.warm_up(argv, modules)

    def _ended(self, answer: Optional[bytes], why: str) -> None:
        self._errand, self.deadline = None, self._loop.clock.now() + RESTART_PAUSE
        self._say(report.not_watched(why or "it exited", RESTART_PAUSE))
