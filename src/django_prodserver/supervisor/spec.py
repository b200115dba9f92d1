"""What is to be supervised: one `Spec` for each instance, and a `Ref` for each of its lives."""

from __future__ import annotations

import enum
from signal import Signals
from typing import Optional

from .values import Value


class Ref(Value):
    """Addresses one life of an instance, for ever: no other life gets the same one."""

    # `web.1`
    name: str
    # Which load of the project's code it runs.
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


class CheckSchedule(Value):
    """When a running instance is checked, in seconds; Docker's words and meanings."""

    interval: float = 10.0
    timeout: float = 3.0
    # Consecutive failures before the instance is unhealthy.
    retries: int = 3
    # Failures do not count this soon after the start, unless a check has succeeded before.
    start_period: float = 0.0


class ReadyProbe(Value):
    """How a life is asked whether it is ready, in seconds: again and again until it is."""

    timeout: float = 3.0
    # Between a try that failed and the next one.
    pause: float = 0.125


class Spec(Value):
    """What the decisions need to know about one instance; how to run it is the edge's business.

    Times are in seconds, sizes in bytes.
    """

    name: str
    # It is meant to finish with 0, and not to run until it is stopped.
    oneshot: bool = False
    # Names of instances. It starts once all instances of their processes are ready or finished, and
    # stops before them.
    after: frozenset[str] = frozenset()
    stop_signal: Signals = Signals.SIGTERM
    stop_timeout: float = 25.0
    # The stop signal goes to the whole process group: for a shell, which does not pass it on.
    stop_group: bool = False
    # Asks again, between the stop signal and SIGKILL.
    escalation_signal: Optional[Signals] = None
    # It reports READY=1; it is ready once a connection to it or another probe succeeds; or its
    # output has a line that tells.
    notifies: bool = False
    connects: bool = False
    ready_probe: Optional[ReadyProbe] = None
    ready_line: bool = False
    ready_timeout: float = 60.0
    # Exit statuses that mean success after the stop signal, beside 0 and death by that signal.
    success_exit_statuses: frozenset[int] = frozenset()
    # Signals to the supervisor that are passed on, because the software gives them a meaning.
    forwards: frozenset[Signals] = frozenset()
    restart: RestartPolicy = RestartPolicy.NEVER
    # By its own options it exits with 0 after some work, and expects to be started again.
    recycles: bool = False
    # The pause before a restart doubles from the first to the second of these.
    backoff_initial: float = 0.5
    backoff_max: float = 30.0
    # Starts allowed in the interval. After being ready for that long, the next pause is the first.
    start_burst: int = 5
    start_interval: float = 60.0
    check: Optional[CheckSchedule] = None
    # Without WATCHDOG=1 for longer than this it is unhealthy.
    watchdog: Optional[float] = None
    max_memory: Optional[int] = None
    # A rolling update starts the new life before it stops the old one.
    start_first: bool = False

    @property
    def process(self) -> str:
        """`web` of `web.1`."""
        return process_of(self.name)

    @property
    def tells(self) -> bool:
        """Something will tell that it is ready; else it counts as ready once it is started."""
        probed = self.connects or self.ready_probe is not None
        return self.notifies or probed or self.ready_line


def process_of(instance: str) -> str:
    """The process of an instance: what stands before the last dot."""
    return instance.rpartition(".")[0] or instance
