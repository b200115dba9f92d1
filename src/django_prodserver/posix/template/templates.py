"""Templates, as the supervisor sees them: processes that have loaded the project, to be forked.

Each has loaded one stage of the project. The first template loads the stage of the processes that
come after no oneshot, or that of the oneshots themselves. A later stage is loaded once the oneshots
before it have finished: in a fork of the first template, or in a fresh interpreter where a fork
would not do.

A template that dies is no incident: another one replaces it, and pending starts wait for that.
"""

from __future__ import annotations

import os
import selectors
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from signal import SIGKILL

from django_prodserver.control.startup import Preload
from django_prodserver.posix import child
from django_prodserver.posix.log import Log, Pipes
from django_prodserver.posix.loop import Loop
from django_prodserver.posix.program import Programs, Stage
from django_prodserver.posix.starting import Birth, Errand, Forks, Starter
from django_prodserver.supervisor import report
from django_prodserver.supervisor.events import ExitStatus
from django_prodserver.supervisor.hints import Any, Callable, NoReturn, Optional, Union
from django_prodserver.supervisor.life import LOSE_AFTER
from django_prodserver.supervisor.values import Value

from .channel import Channel, Closed, Message, close_all, copies, pair
from .handover import Command
from .order import AGAIN
from .plan import Loaded
from .protocol import FROM_TEMPLATE, GO, NAME, VERSION

# In seconds. A template that takes longer hangs, and is killed: forking takes milliseconds, loading
# as long as the project takes to import.
FORK_WITHIN, LOAD_WITHIN = 15.0, 600.0
# The pauses between attempts to start a template that ends before it is ready; doubled each time.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# A template that is killed before it was ever ready is retried until the pause would be this long.
GIVE_UP_AT = 16.0
# How long a template may take to exit after it was told to, or reported that it cannot load.
END_WITHIN = 1.0


class First(Value):
    """The first template of a generation, which runs already, and how to start others."""

    channel: Channel
    pid: int
    # Starts another template.
    command: Command
    # Marks every process of this supervisor.
    run: str
    # What it loads.
    stage: Stage = ()
    # Oneshots after which a fresh interpreter has to load the project.
    fresh: Sequence[str] = ()
    # Other stages may be forked from it.
    forkable: bool = True
    # Its output goes to the log already.
    has_output: bool = False
    # The environment of executed programs; None: that of this process.
    environ: Optional[Mapping[str, str]] = None


class Job:
    """A process that a template is to fork; `message` is the request, without its number."""

    __slots__ = ("answer", "fds", "go", "message", "start")

    def __init__(
        self,
        answer: Callable[[Union[int, str]], None],
        fds: Sequence[int],
        *message: Any,
        start: Union[Birth, Errand, None] = None,
    ) -> None:
        self.answer = answer
        self.fds = fds
        self.message = message
        self.start = start
        # Our end of the pipe on which the forked process waits for GO.
        self.go: Optional[int] = None


class Template:
    """One template. It forks one process at a time."""

    def __init__(self, stage: Stage, channel: Channel, pid: int = 0) -> None:
        self.stage = stage
        self.channel = channel
        # 0 until it is started.
        self.pid = pid
        # Until then: the descriptors it is to get, its end of the channel, stdout and stderr.
        self.ends: list[int] = []
        self.loaded = False
        # It was sent SIGKILL: it gets no more requests, and its messages are ignored.
        self.killed = False
        self.jobs: deque[Job] = deque()
        # The job it is doing, and the number of the last request.
        self.current_job: Optional[Job] = None
        self.number = 0
        # When it counts as hung, in the clock of the loop; None while it has nothing to do.
        self.deadline: Optional[float] = None
        channel.set_blocking(False)

    def request_fork(self, now: float) -> None:
        """Request the next fork, unless the template is busy."""
        while self.loaded and not self.killed and self.current_job is None and self.jobs:
            job = self.jobs.popleft()
            try:
                wait, job.go = os.pipe()
                try:
                    self.channel.send(*job.message, self.number + 1, fds=[*job.fds, wait])
                finally:
                    os.close(wait)
            except OSError as error:  # Out of file descriptors.
                _withhold(job)
                job.answer(str(error))
                continue
            self.current_job = job
            self.number += 1
            self.deadline = now + FORK_WITHIN

    def answered(self, number: int) -> Optional[Job]:
        """Take the job of request `number`; None if it was cancelled."""
        if self.current_job is None or number != self.number:
            return None
        job, self.current_job, self.deadline = self.current_job, None, None
        return job

    @property
    def undone(self) -> list[Job]:
        return [*([self.current_job] if self.current_job else []), *self.jobs]

    def give_up(self) -> list[Job]:
        """Take all unfinished jobs; a process already forked for one of them exits on its own."""
        jobs = self.undone
        for job in jobs:
            _withhold(job)
        self.current_job = None
        self.jobs.clear()
        return jobs

    def cancel(self, start: Union[Birth, Errand]) -> bool:
        """Cancel a start; False if it is not one of this template's jobs."""
        for job in self.undone:
            if job.start is start:
                _withhold(job)
                if job is self.current_job:
                    self.current_job = self.deadline = None
                else:
                    self.jobs.remove(job)
                return True
        return False

    def close_ends(self) -> None:
        close_all(self.ends)
        self.ends = []

    def close(self) -> list[Job]:
        """Close our end of the channel; returns the unfinished jobs."""
        self.channel.close()
        self.close_ends()
        return self.give_up()


def _withhold(job: Job) -> None:
    """Close the pipe of a job: without GO in it, the process forked for the job exits."""
    if job.go is not None:
        os.close(job.go)
        job.go = None


def _oneshots_before(stage: Stage) -> int:
    return -1 if stage is None else len(stage)


class Templates(Starter):
    """All templates of a generation. Programs to execute are forked from this process.

    Loading a stage updates `programs`. `loaded` is called after the first stage, `failed` with a
    sentence if a stage cannot be loaded, and `timed` with what it took to load each. In a forked
    child, `release` closes what belongs to the supervisor.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log,
        programs: Programs,
        release: Callable[[], None],
        first: First,
        failed: Callable[[str], object],
        loaded: Callable[[], object] = lambda: None,
        timed: Callable[[Stage, Preload], object] = lambda stage, preload: None,
    ) -> None:
        self._loop = loop
        self._log = log
        self._programs = programs
        self._failed, self._loaded, self._timed = failed, loaded, timed
        self._here = Forks(loop.signals, release, first.environ)
        self._release = release
        self._first = first
        self._templates: dict[Stage, Template] = {}
        # Stages loaded before: if one cannot be loaded again, the settings are not to blame.
        self._was_loaded: set[Stage] = set()
        # Stages given up; `failed` has been called for each.
        self._given_up: set[Stage] = set()
        # Jobs of stages whose template could not be started, until the next attempt.
        self._queued_for_retry: dict[Stage, list[Job]] = {}
        # The pause before the next attempt to be scheduled, and when a scheduled one is due.
        self._pauses: dict[Stage, float] = {}
        self._retry_at: dict[Stage, float] = {}
        # Process groups that a template is to kill if it outlives this process.
        self._groups: set[int] = set()
        # Templates that survived SIGKILL, until they are reaped.
        self._lost: set[int] = set()
        self._ended_early = 0
        # Children that exited while their pid was unknown: a template may have just forked one.
        self._unknown: dict[int, ExitStatus] = {}
        template = Template(first.stage, first.channel, first.pid)
        template.deadline = loop.clock.now() + LOAD_WITHIN
        self._add(template)
        if not first.has_output:
            pipes = self._pipes()
            template.channel.send("output", fds=[pipes.stdout, pipes.stderr])
            pipes.close_theirs()

    # ---- the seam: Starter ----

    def begin(self, birth: Birth) -> None:
        if birth.program.execute:
            self._here.begin(birth)
            return
        wiring = birth.wiring
        message = ("fork", birth.program.name, wiring.mark, wiring.environ)
        fds = (wiring.stdout, wiring.stderr, *wiring.sockets)
        job = Job(birth.begun, fds, *message, start=birth)
        self._do(birth.program.stage, job)

    def run(self, errand: Errand) -> None:
        """Run it in the latest stage that was loaded: the one after the most oneshots."""
        wiring = errand.wiring
        message = ("errand", errand.task, errand.request, wiring.mark)
        fds = (wiring.stdout, wiring.stderr, errand.answer)
        stage = max(self._was_loaded, key=_oneshots_before, default=self._first.stage)
        self._do(stage, Job(errand.begun, fds, *message, start=errand))

    def cancel(self, start: Union[Birth, Errand]) -> None:
        for template in list(self._templates.values()):
            if template.cancel(start):
                self._request_fork(template)
        for jobs in self._queued_for_retry.values():
            jobs[:] = [job for job in jobs if job.start is not start]

    def watch(self, group: int) -> None:
        self._groups.add(group)
        self._send_to_all("watch", group)

    def forget(self, group: int) -> None:
        self._groups.discard(group)
        self._send_to_all("forget", group)

    # ---- what is known ----

    @property
    def ended_early(self) -> int:
        return self._ended_early

    @property
    def errands(self) -> list[Errand]:
        undone = (template.undone for template in self._templates.values())
        jobs = [job for jobs in (*undone, *self._queued_for_retry.values()) for job in jobs]
        return [job.start for job in jobs if isinstance(job.start, Errand)]

    @property
    def deadline(self) -> Optional[float]:
        """When `tick` has something to do, in the clock of the loop."""
        moments = [*self._retry_at.values(), *(one.deadline for one in self._templates.values())]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def pids(self) -> set[int]:
        return {one.pid for one in self._templates.values() if one.pid} | self._lost

    # ---- what happens ----

    def tick(self) -> None:
        now = self._loop.clock.now()
        for template in list(self._templates.values()):
            if template.deadline is None or template.deadline > now:
                continue
            if template.killed:
                self._lost.add(template.pid)
                self._ended(template, None)
            else:
                self._log.say(report.template_late(FORK_WITHIN if template.loaded else LOAD_WITHIN))
                self._kill(template)
        for stage in [one for one, at in self._retry_at.items() if at <= now]:
            del self._retry_at[stage]
            self._do(stage, *self._queued_for_retry.pop(stage, ()))

    def read(self) -> None:
        """Handle the templates' messages, before exited children are reaped."""
        for template in list(self._templates.values()):
            self._happened(template)

    def reaped(self, pid: int, status: ExitStatus) -> bool:
        """Take note of the exit of a process; False if it was not a template."""
        for template in self._templates.values():
            if template.pid == pid:
                self._read(template)
                self._ended(template, status)
                return True
        known = pid in self._lost
        self._lost.discard(pid)
        return known

    def reaped_unknown(self, pid: int, status: ExitStatus) -> None:
        """Take note of the exit of a child that is not known yet."""
        if self._forking:
            self._unknown[pid] = status

    # ---- the end ----

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        for template in self._templates.values():
            template.close()

    def shut_down(self) -> set[int]:
        pids = self.pids
        for template in list(self._templates.values()):
            template.channel.send("end")
            if not template.killed and (not template.loaded or template.channel.waiting):
                self._kill(template)  # It is not reading its channel.
            self._remove(template)
        self._retry_at.clear()
        return pids

    def close(self) -> None:
        child.reap_or_kill(self.shut_down(), self._loop.clock, self._loop.signals, END_WITHIN)

    # ---- how ----

    def _do(self, stage: Stage, *jobs: Job) -> None:
        if stage in self._retry_at:
            self._queued_for_retry.setdefault(stage, []).extend(jobs)
            return
        template = self._templates.get(stage)
        if template is None:
            try:
                template = self._make(stage)
            except OSError as error:
                self._queue_for_retry(stage, jobs, f"cannot be started: {error}")
                return
            template.jobs.extend(jobs)
            if not template.pid:
                self._fork_stage(template)
        else:
            template.jobs.extend(jobs)
            self._request_fork(template)

    def _request_fork(self, template: Template) -> None:
        template.request_fork(self._loop.clock.now())
        self._watch(template)

    def _make(self, stage: Stage) -> Template:
        """A template for a stage, with the descriptors it is to get. Raises OSError."""
        ours, theirs = pair()
        template = Template(stage, Channel(ours))
        try:
            with theirs:
                pipes = self._pipes()
                try:
                    template.ends = copies((theirs.fileno(), pipes.stdout, pipes.stderr))
                finally:
                    pipes.close_theirs()
            own = self._takes_an_interpreter(stage)
            pid = self._start_interpreter(*template.ends) if own else 0
        except OSError:
            template.close()
            raise
        # Nothing may fail from here on: a template whose channel is closed kills the whole run.
        if pid:
            self._started(template, pid)
            template.channel.send("run", self._first.run)
            template.channel.send("load", stage)
        return self._add(template)

    def _fork_stage(self, template: Template) -> None:
        def answer(answer: Union[int, str]) -> None:
            if isinstance(answer, int):
                self._started(template, answer)
            else:
                jobs = self._remove(template)
                self._queue_for_retry(template.stage, jobs, f"cannot be forked: {answer}")

        self._do(self._first.stage, Job(answer, template.ends, "stage", template.stage))

    def _started(self, template: Template, pid: int) -> None:
        template.pid = pid
        template.deadline = self._loop.clock.now() + LOAD_WITHIN
        template.close_ends()

    def _takes_an_interpreter(self, stage: Stage) -> bool:
        """Whether a stage needs a fresh interpreter, because the first template is not usable.

        The stage is the first one itself, comes after a oneshot that makes the first template
        outdated, or would lack something in a fork.
        """
        first = self._first
        older = not {*first.fresh}.isdisjoint(stage or ())
        return stage == first.stage or older or not first.forkable

    def _start_interpreter(self, channel: int, stdout: int, stderr: int) -> int:
        first, release, supervisor = self._first, self._release, os.getpid()

        def become() -> NoReturn:
            output = stdout, stderr
            first.command.become_template(supervisor, first.run, channel, AGAIN, output, release)

        return child.fork(become, self._loop.signals)

    def _pipes(self) -> Pipes:
        pipes = self._log.create(NAME)
        self._log.add(pipes.streams)
        return pipes

    def _add(self, template: Template) -> Template:
        self._templates[template.stage] = template
        for group in self._groups:
            template.channel.send("watch", group)
        self._loop.selector.register(
            template.channel, selectors.EVENT_READ, lambda: self._happened(template)
        )
        self._watch(template)
        return template

    def _watch(self, template: Template) -> None:
        """Poll for room in the socket only while something is waiting to be sent."""
        if template.killed:
            return
        events = selectors.EVENT_READ
        if template.channel.waiting:
            events |= selectors.EVENT_WRITE
        key = self._loop.selector.get_key(template.channel)
        if key.events != events:
            self._loop.selector.modify(template.channel, events, key.data)

    def _happened(self, template: Template) -> None:
        if self._templates.get(template.stage) is template and not template.killed:
            template.channel.flush()
            if not self._read(template):
                self._kill(template)
            self._watch(template)

    def _read(self, template: Template) -> bool:
        """Handle its messages; False at the end of the channel."""
        try:
            while not template.killed and (message := template.channel.receive()) is not None:
                close_all(message.fds)  # A template sends none.
                self._take(template, message)
        except Closed:
            return False
        return True

    def _take(self, template: Template, message: Message) -> None:
        word, *rest = message
        if [type(one) for one in rest] != FROM_TEMPLATE.get(word):
            self._kill(template)
        elif word == "protocol" and rest != [VERSION]:
            self._log.say(report.template_of_another_version())
            self._kill(template)
        elif word == "forked":
            self._take_forked(template, *rest)
        elif word == "refused":
            number, reason = rest
            job = template.answered(number)
            if job is not None:
                _withhold(job)
                job.answer(reason)
        elif word == "loaded":
            (loaded,) = rest
            self._take_loaded(template, loaded)
        template.request_fork(self._loop.clock.now())
        if not self._forking:
            self._unknown.clear()

    def _take_forked(self, template: Template, number: int, pid: int) -> None:
        job, exited = template.answered(number), self._unknown.get(pid)
        if job is None or exited is not None:
            # The process has exited, or will on its own: the template need not kill its group.
            template.channel.send("forget", pid)
        if job is None:
            return
        self._pauses.pop(template.stage, None)
        if exited is None:
            job.answer(pid)
            assert job.go is not None, "it was asked for"
            with suppress(BrokenPipeError):
                os.write(job.go, GO)
        _withhold(job)
        if exited is not None:
            job.answer(f"it {report.exit_status(exited)} before it began")

    def _take_loaded(self, template: Template, loaded: Loaded) -> None:
        stage = template.stage
        template.deadline = None
        if loaded.error is not None:
            template.deadline = self._loop.clock.now() + END_WITHIN
            if stage not in self._was_loaded:
                self._given_up.add(stage)
                self._failed(loaded.error)
            return
        template.loaded = True
        if loaded.preload is not None:
            self._timed(stage, loaded.preload)
        if stage in self._was_loaded:
            self._log.say(report.template_replaced())
        elif stage == self._first.stage:
            self._loaded()
        self._was_loaded.add(stage)
        self._programs.update(loaded.programs)
        for record in loaded.records:
            self._log.say(record)
        jobs = list(template.jobs)
        template.jobs.clear()
        for job in jobs:
            self._begin_again(template, job)

    def _begin_again(self, template: Template, job: Job) -> None:
        """Queue a job, or execute its program: loading may have shown that it cannot be forked."""
        birth = job.start
        if isinstance(birth, Birth):
            birth.program = self._programs.of(birth.program.name)
            if birth.program.execute:
                try:
                    self._here.begin(birth)
                except OSError as error:
                    birth.begun(str(error))
                return
        template.jobs.append(job)

    def _kill(self, template: Template) -> None:
        """Kill it for good: after this it is either reaped or lost."""
        self._loop.selector.unregister(template.channel)
        template.killed = True
        template.deadline = self._loop.clock.now() + LOSE_AFTER
        if template.pid:
            with suppress(ProcessLookupError):
                os.kill(template.pid, SIGKILL)

    @property
    def _forking(self) -> bool:
        return any(template.current_job is not None for template in self._templates.values())

    def _ended(self, template: Template, status: Optional[ExitStatus]) -> None:
        """Replace a template, or give its stage up. Without a `status`, it survived SIGKILL.

        A loaded template is replaced at once. If its successors end before they fork anything,
        each replacement waits for a pause.
        """
        jobs = self._remove(template)
        self._ended_early += 1
        if template.stage in self._given_up:
            return
        stage, how = template.stage, f"has survived SIGKILL (pid {template.pid})"
        if status is not None:
            how = report.exit_status(status)
        if template.loaded and stage not in self._pauses:
            self._pauses[stage] = FIRST_PAUSE
            self._log.say(report.template_ended(how))
            self._do(stage, *jobs)
        elif stage in self._was_loaded or self._may_try_again(stage, status):
            self._queue_for_retry(stage, jobs, how)
        else:
            self._given_up.add(stage)
            self._failed(f"the template {how}")

    def _may_try_again(self, stage: Stage, status: Optional[ExitStatus]) -> bool:
        """Whether to retry a stage that never loaded. A template that exits by itself says why."""
        by_itself = status is not None and status.signal is None
        return not by_itself and self._pauses.get(stage, 0) < GIVE_UP_AT

    def _queue_for_retry(self, stage: Stage, jobs: Iterable[Job], reason: str) -> None:
        """Let the jobs of a stage that cannot be loaded wait for the next attempt."""
        pause = self._pauses.get(stage, FIRST_PAUSE)
        self._pauses[stage] = min(2 * pause, LONGEST_PAUSE)
        self._retry_at[stage] = self._loop.clock.now() + pause
        self._queued_for_retry[stage] = list(jobs)
        self._log.say(report.template_failed(reason, pause))

    def _remove(self, template: Template) -> list[Job]:
        """Forget a template; returns its unfinished jobs."""
        del self._templates[template.stage]
        if not template.killed:
            self._loop.selector.unregister(template.channel)
        return template.close()

    def _send_to_all(self, *message: Any) -> None:
        for template in self._templates.values():
            if not template.killed:
                template.channel.send(*message)
                self._watch(template)
