"""What to supervise: one `Spec` for each instance, and a `Ref` for each of its lives."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from signal import Signals

from .hints import Optional
from .values import Value


class Ref(Value):
    """Addresses one life of an instance. No other life ever gets the same address."""

    # `web.1`
    name: str
    # The generation that it runs: the number of one load of the project.
    generation: int
    # Counts the lives of the instance, from 1.
    number: int


class Goal(enum.Enum):
    """What an instance is meant to be."""

    UP = "up"
    DOWN = "down"


class RestartPolicy(enum.Enum):
    """What to do when an instance exits on its own."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Exclusion(enum.Enum):
    """How many of the supervisors that share its lock may run it at a time."""

    NONE = "each of them"
    # LOCK of a oneshot: once one supervisor has run it, those that waited for the lock skip it.
    ONCE = "one, until it has ended"
    SINGLETON = "one, as long as it is to be up there"


class Autoscale(Value):
    """The rule that decides how many instances of a process are up, by its load."""

    # What is measured, a value of METRIC, and the target for one instance.
    metric: str
    target: float
    least: int
    most: int
    # In seconds: between two measurements, and how long fewer instances must be enough before any
    # are stopped.
    interval: float = 15.0
    stabilization: float = 300.0
    # The load is divided among the instances; otherwise it is the same for each.
    divided: bool = True


class CheckSchedule(Value):
    """When a running instance is checked, in seconds; Docker's terms and meanings."""

    interval: float = 10.0
    timeout: float = 3.0
    # Consecutive failures before the instance is unhealthy.
    retries: int = 3
    # Failures do not count this soon after the start, unless a check has succeeded before.
    start_period: float = 0.0


class ReadyProbe(Value):
    """How a life is probed repeatedly until it is ready; times in seconds."""

    timeout: float = 3.0
    # The pause between a failed probe and the next one.
    pause: float = 0.125


class Spec(Value):
    """What the decisions need to know about one instance; how to run it is the edge's business.

    Times are in seconds, sizes in bytes.
    """

    name: str
    # It is meant to finish with 0, not to run until it is stopped.
    oneshot: bool = False
    # A oneshot that runs repeatedly; the edge plans its runs.
    scheduled: bool = False
    # Names of instances. It starts once all instances of their processes are ready or finished, and
    # stops before them.
    after: frozenset[str] = frozenset()
    stop_signal: Signals = Signals.SIGTERM
    stop_timeout: float = 25.0
    # The stop signal goes to the whole process group. Needed for a shell, which does not pass it
    # on.
    stop_group: bool = False
    # Sent between the stop signal and SIGKILL, to ask again.
    escalation_signal: Optional[Signals] = None
    # How it becomes ready: it reports READY=1; a connection to it or another probe succeeds; or its
    # output contains a certain line.
    notifies: bool = False
    connects: bool = False
    ready_probe: Optional[ReadyProbe] = None
    ready_line: bool = False
    ready_timeout: float = 60.0
    # Exit statuses that mean success after the stop signal, beside 0 and death by that signal.
    success_exit_statuses: frozenset[int] = frozenset()
    # What special exit statuses of its software mean: `a worker failed to boot`.
    exit_meanings: Mapping[int, str] = {}
    # Signals to the supervisor that are passed on, because the software handles them.
    forwards: frozenset[Signals] = frozenset()
    restart: RestartPolicy = RestartPolicy.NEVER
    # Its own options make it exit with 0 after some work, and it expects to be restarted.
    recycles: bool = False
    # The pause before a restart doubles from the first to the second of these.
    backoff_initial: float = 0.5
    backoff_max: float = 30.0
    # Starts allowed in the interval. After it has been ready for that long, the backoff starts
    # over.
    start_burst: int = 5
    start_interval: float = 60.0
    check: Optional[CheckSchedule] = None
    # Without WATCHDOG=1 for longer than this, it is unhealthy.
    watchdog: Optional[float] = None
    max_memory: Optional[int] = None
    # The supervisor holds the sockets on which its process listens.
    holds: bool = False
    # A rolling update starts the new life before it stops the old one.
    start_first: bool = False
    exclusion: Exclusion = Exclusion.NONE
    # The same for all instances of its process.
    autoscale: Optional[Autoscale] = None

    @property
    def process(self) -> str:
        """`web` of `web.1`."""
        return process_of(self.name)

    @property
    def reports_ready(self) -> bool:
        """Something will report that it is ready; otherwise it is ready once it is started."""
        probed = self.connects or self.ready_probe is not None
        return self.notifies or probed or self.ready_line


def process_of(instance: str) -> str:
    """The process of an instance: everything before the last dot."""
    return instance.rpartition(".")[0] or instance
