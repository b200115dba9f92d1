"""Generations: the current loads of the project, each with its templates and its programs.

There is one, and during a reload there are two. A reload starts the original program again, with
the same command line, environment and folder, so that a symbolic link to a newer release is
followed. That program sends a `Plan`, as the first one did.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from signal import SIGKILL

from django_prodserver.logs.recent import Entry, Reader
from django_prodserver.posix import child, needs
from django_prodserver.posix.log import Log, Pipes
from django_prodserver.posix.loop import Loop
from django_prodserver.posix.program import Program, Programs
from django_prodserver.posix.sockets import CannotListen, HeldSockets
from django_prodserver.posix.starting import Birth, Errand, Starter
from django_prodserver.posix.startup import TimedStartups
from django_prodserver.posix.streams import Stream
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import ExitStatus, Loaded, LoadFailed, PreloadFailed
from django_prodserver.supervisor.hints import Callable, NoReturn, Optional, Union
from django_prodserver.supervisor.spec import Ref, process_of
from django_prodserver.supervisor.text import printable
from django_prodserver.supervisor.values import replace

from .channel import Channel, Closed, pair
from .handover import Command
from .order import RELOADED
from .plan import Plan
from .protocol import NAME, VERSION
from .templates import END_WITHIN, LOAD_WITHIN, First, Templates

# Prefixes of variables that change in every project: Django sets the first two, this package the
# next three, Python the last.
IN_ANY_PROJECT = (
    *("DJANGO_SETTINGS_MODULE", "TZ"),
    *("PRODSERVER_", "_PRODSERVER_", "SPT_NOENV"),
    "LC_CTYPE",
)
# The most characters shown of the line that says why the project cannot be loaded.
LONGEST = 500


class Started:
    """A program that was started to be a template."""

    def __init__(self, channel: Channel, pid: int, streams: Sequence[Stream]) -> None:
        self.channel = channel
        self.pid = pid
        # Its output.
        self.streams = streams


class Loading:
    """A template that is loading the project, and has not sent its plan yet."""

    def __init__(self, generation: int, started: Started, log_reader: Reader[Entry]) -> None:
        self.generation = generation
        self.channel = started.channel
        self.pid = started.pid
        self.streams = started.streams
        self.deadline = 0.0
        # Reads what it writes to the log.
        self.log_reader = log_reader
        # It has closed its channel, and is about to exit.
        self.channel_closed = False


class Generation:
    """One load: its programs, its plan, and what starts its lives."""

    def __init__(self, programs: Programs, starter: Starter, plan: Optional[Plan] = None) -> None:
        self.programs = programs
        self.starter = starter
        self.plan = plan


class Generations(Starter):
    """Starts the lives of all generations.

    The first generation is given; `reloader` loads others. Without it there is no reload.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log,
        sockets: HeldSockets,
        release: Callable[[], None],
        startups: TimedStartups,
        programs: Programs,
        starter: Starter,
        reloader: Optional[First] = None,
    ) -> None:
        self._loop = loop
        self._log = log
        self._sockets = sockets
        self._release = release
        self._startups = startups
        self._reloader = reloader
        self._all = {0: Generation(programs, starter)}
        self._loading: Optional[Loading] = None
        # The interpreter started ahead of the next load, if there is one.
        self._warm: Optional[Started] = None
        # Process groups that templates are to kill if they outlive this process.
        self._groups: set[int] = set()
        # By pid, templates that should exit by themselves, and when they are killed if they do not.
        self._ending: dict[int, float] = {}
        # How many templates of dropped generations ended unexpectedly.
        self._ended_early = 0

    # ---- what is known ----

    def program_of(self, ref: Ref) -> Program:
        return self._all[ref.generation].programs.of(ref.name)

    def newest_program_of(self, instance: str) -> Program:
        """Its program in the newest generation that has it."""
        name = process_of(instance)
        of_name = [one.programs for _, one in sorted(self._all.items()) if name in one.programs]
        return of_name[-1].of(instance)

    def plan_of(self, generation: int) -> Plan:
        plan = self._all[generation].plan
        assert plan is not None, "it was loaded"
        return plan

    # ---- to load, adopt and drop ----

    def load(self, generation: int) -> None:
        """Load the project again; the loop emits `Loaded` or `LoadFailed`."""
        assert self._reloader is not None, "the group knows that it cannot be"
        started, self._warm = self._warm, None
        try:
            started = started or self._start(self._reloader.command)
        except OSError as error:
            self._fail(generation, f"the template cannot be started: {error}")
            return
        log_reader = self._log.recent.read([NAME], last=0)
        self._loading = loading = Loading(generation, started, log_reader)
        loading.deadline = self._loop.clock.now() + LOAD_WITHIN
        loading.channel.send("run", self._reloader.run)
        self._loop.selector.register(loading.channel, EVENT_READ, lambda: self._read(loading))

    def changes_environment(self) -> bool:
        """Whether the newest load changed variables that a package may read when it is imported."""
        assert self._reloader is not None
        plan, before = self._all[max(self._all)].plan, self._reloader.command.environ
        after = os.environ if plan is None else plan.environ
        changed = (name for name in {*before, *after} if before.get(name) != after.get(name))
        return any(not name.startswith(IN_ANY_PROJECT) for name in changed)

    def warm_up(self, argv: Sequence[str], modules: Sequence[str]) -> None:
        """Start the interpreter for the next load; until then it imports `modules`."""
        assert self._reloader is not None
        if self._warm is not None:
            return
        with suppress(OSError):  # Without it the next load only takes longer.
            self._warm = self._start(replace(self._reloader.command, argv=argv))
            self._warm.channel.send("import", modules)

    def adopt(self, generation: int) -> None:
        """Drop earlier generations; errands that still wait there run in this one."""
        for older in [one for one in self._all if one < generation]:
            errands = self._all[older].starter.errands
            self.drop(older)
            for errand in errands:
                self.run(errand)

    def drop(self, generation: int) -> None:
        """Drop a generation, whether it is still loading or loaded."""
        loading = self._loading
        if loading is not None and loading.generation == generation:
            self._end_loading(loading)
        dropped = self._all.pop(generation, None)
        if dropped is not None:
            self._sockets.forget(generation)
            self._ended_early += dropped.starter.ended_early
            end = self._loop.clock.now() + END_WITHIN
            self._ending.update(dict.fromkeys(dropped.starter.shut_down(), end))

    # ---- the seam: Starter ----

    def begin(self, birth: Birth) -> None:
        self._all[birth.generation].starter.begin(birth)

    def run(self, errand: Errand) -> None:
        """Run it in the oldest generation: a newer one may be dropped until it is adopted."""
        self._all[min(self._all)].starter.run(errand)

    def cancel(self, start: Union[Birth, Errand]) -> None:
        for one in self._all.values():
            one.starter.cancel(start)

    def watch(self, group: int) -> None:
        self._groups.add(group)
        for one in self._all.values():
            one.starter.watch(group)

    def forget(self, group: int) -> None:
        self._groups.discard(group)
        for one in self._all.values():
            one.starter.forget(group)

    @property
    def pids(self) -> set[int]:
        started = {one.pid for one in (self._loading, self._warm) if one is not None}
        return started.union(self._ending, *(one.starter.pids for one in self._all.values()))

    @property
    def ended_early(self) -> int:
        return self._ended_early + sum(one.starter.ended_early for one in self._all.values())

    @property
    def deadline(self) -> Optional[float]:
        moments = [one.starter.deadline for one in self._all.values()]
        moments += self._ending.values()
        if self._loading is not None:
            moments.append(self._loading.deadline)
        return min((moment for moment in moments if moment is not None), default=None)

    def tick(self) -> None:
        now = self._loop.clock.now()
        for pid in [pid for pid, at in self._ending.items() if at <= now]:
            self._ending[pid] = now + LOAD_WITHIN
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        if self._loading is not None and self._loading.deadline <= now:
            late = f"the template did not read the settings within {LOAD_WITHIN:g} s"
            self._give_up(self._loading, late)
        for one in list(self._all.values()):
            one.starter.tick()

    def read(self) -> None:
        if self._loading is not None:
            self._read(self._loading)
        for one in list(self._all.values()):
            one.starter.read()

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        if self._ending.pop(pid, None) is not None:
            return True
        warm, loading = self._warm, self._loading
        if warm is not None and warm.pid == pid:
            warm.channel.close()
            self._warm = None
            return True
        if loading is not None and loading.pid == pid:
            self._log.read_last_words(loading.streams)
            self._forget_loading(loading)
            self._fail(loading.generation, _last_line(loading.log_reader) or _ended(status))
            return True
        return any(one.starter.reaped(pid, status) for one in list(self._all.values()))

    def reaped_unknown(self, pid: int, status: ExitStatus) -> None:
        for one in self._all.values():
            one.starter.reaped_unknown(pid, status)

    def release(self) -> None:
        for started in (self._loading, self._warm):
            if started is not None:
                started.channel.close()
        for one in self._all.values():
            one.starter.release()

    def close(self) -> None:
        pids = {*self._ending}
        if self._loading is not None:
            pids.add(self._loading.pid)
            self._end_loading(self._loading)
        if self._warm is not None:
            pids.add(self._warm.pid)
            self._end(self._warm)
            self._warm.channel.close()
        # All at once: waiting for some children reaps the others, too.
        pids.update(*(one.starter.shut_down() for one in self._all.values()))
        child.reap_or_kill(pids, self._loop.clock, self._loop.signals, END_WITHIN)
        self._ending.clear()

    # ---- how ----

    def _start(self, command: Command) -> Started:
        """Raises OSError, and then leaves nothing behind."""
        ours, theirs = pair()
        try:
            with theirs:
                pipes = self._log.create(NAME)
                self._log.add(pipes.streams)
                try:
                    pid = self._fork(command, theirs.fileno(), pipes)
                finally:
                    pipes.close_theirs()
        except OSError:
            ours.close()
            raise
        channel = Channel(ours)
        channel.set_blocking(False)
        return Started(channel, pid, pipes.streams)

    def _fork(self, command: Command, channel: int, pipes: Pipes) -> int:
        assert self._reloader is not None
        supervisor, run, release = os.getpid(), self._reloader.run, self._release
        output = pipes.stdout, pipes.stderr

        def become() -> NoReturn:
            command.become_template(supervisor, run, channel, RELOADED, output, release)

        return child.fork(become, self._loop.signals)

    def _read(self, loading: Loading) -> None:
        """Handle its messages up to its plan; its `Templates` handle the rest."""
        try:
            while loading is self._loading and not loading.channel_closed:
                message = loading.channel.receive()
                if message is None:
                    return
                word, *rest = message
                if word == "protocol" and rest != [VERSION]:
                    other = "the new release has another version of django-prodserver"
                    self._give_up(loading, f"{other}: that needs a restart")
                elif word == "plan" and isinstance(rest[0], Plan):
                    self._take(loading, rest[0])
        except Closed:
            # It is about to exit, and has written why.
            loading.channel_closed = True
            loading.deadline = self._loop.clock.now() + END_WITHIN
            self._loop.selector.unregister(loading.channel)

    def _take(self, loading: Loading, plan: Plan) -> None:
        """Bind its new addresses, and hand the template over to its `Templates`."""
        generation, reloader = loading.generation, self._reloader
        assert reloader is not None
        programs = Programs(plan.programs)
        try:
            for spec in plan.specs:
                needs.prepare(spec, plan.programs[spec.process])
            for program in programs.with_sockets.values():
                self._sockets.open(program, generation)
        except CannotListen as error:
            self._give_up(loading, f"{error.process} {error}")
            return
        self._loop.selector.unregister(loading.channel)
        self._loading = None
        first = replace(
            reloader,
            channel=loading.channel,
            pid=loading.pid,
            stage=plan.stage,
            fresh=plan.refresh,
            forkable=plan.forkable,
            has_output=True,
            environ=plan.environ,
        )
        starter = Templates(
            *(self._loop, self._log, programs, self._release, first),
            failed=lambda message: self._loop.emit(PreloadFailed(message, generation)),
            loaded=lambda: self._loop.emit(Loaded(generation, tuple(plan.specs))),
            timed=partial(self._startups.loaded, generation),
        )
        self._startups.planned(generation, plan)
        self._all[generation] = Generation(programs, starter, plan)
        for group in self._groups:
            starter.watch(group)
        for record in plan.records:
            self._log.say(record)

    def _give_up(self, loading: Loading, message: str) -> None:
        self._end_loading(loading)
        self._fail(loading.generation, message)

    def _end_loading(self, loading: Loading) -> None:
        self._end(loading)
        self._forget_loading(loading)

    def _end(self, started: Union[Started, Loading]) -> None:
        """Kill it: it does not read its channel before it has loaded.

        Do this before its channel is closed: it would conclude that the supervisor is dead, and
        kill every process of the run.
        """
        with suppress(ProcessLookupError):
            os.kill(started.pid, SIGKILL)
        self._ending[started.pid] = self._loop.clock.now() + LOAD_WITHIN

    def _forget_loading(self, loading: Loading) -> None:
        self._loading = None
        if not loading.channel_closed:
            self._loop.selector.unregister(loading.channel)
        loading.channel.close()
        self._sockets.forget(loading.generation)

    def _fail(self, generation: int, message: str) -> None:
        self._loop.emit(LoadFailed(generation, message))


def _ended(status: ExitStatus) -> str:
    return f"the template {report.exit_status(status)}"


def _last_line(log_reader: Reader[Entry]) -> str:
    """The last line that it has written: a traceback says what is wrong at its end."""
    last = b""
    while entries := log_reader.take()[1]:
        lines = [line for entry in entries for line in entry.lines.splitlines() if line.strip()]
        last = lines[-1] if lines else last
    text = last.decode(errors="replace").strip()
    return printable(text.rstrip(".")[:LONGEST])
