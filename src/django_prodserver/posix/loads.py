"""The loads of processes, for autoscaling.

What the system shows of their instances is measured here. Other loads come from the project's code,
which is called in an errand.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from django_prodserver.control.measured import Usage
from django_prodserver.supervisor.events import LoadMeasured
from django_prodserver.supervisor.hints import Any, Callable, Optional, Protocol
from django_prodserver.supervisor.spec import process_of

from .loop import Loop

# The task of the errands, and how long one may take, in seconds.
TASK = "load"
WITHIN = 10.0
# The words with which lines of its answer begin.
VALUE, OF_INSTANCES, UNKNOWN = "value", "instance", "unknown"

Done = Callable[[Optional[bytes], str], None]


class Errands(Protocol):
    """Runs a task in a process that has loaded the project; see `posix.errands`."""

    def run(self, task: str, request: Any, within: float, done: Done) -> object: ...


class Meter(Protocol):
    """Measures the process trees of all instances; see `posix.usage`."""

    def measure(self, done: Callable[[Mapping[str, Usage]], None]) -> None: ...


class Loads:
    """The loads of all processes.

    `busy` returns, for each instance of a process, the summed seconds of its in-flight requests.
    """

    def __init__(
        self,
        meter: Meter,
        busy: Callable[[str], Mapping[str, float]],
        errands: Errands,
        loop: Loop,
    ) -> None:
        self._meter = meter
        self._busy = busy
        self._errands = errands
        self._loop = loop
        # Processes whose load was unknown the last time.
        self._unknown: set[str] = set()
        # By process: when seconds were last read, and the seconds of each instance then.
        self._seconds: dict[str, tuple[float, Mapping[str, float]]] = {}

    def measure(self, process: str, metric: str) -> None:
        """Have the loop emit the load of a process; `metric` is a value of METRIC."""
        if metric == "busy":
            self._emit_rates(process, self._busy(process))
        elif metric in ("cpu", "memory"):
            self._meter.measure(partial(self._measured, process, metric))
        else:
            explain = process not in self._unknown
            request = {"process": process, "metric": metric, "explain": explain}
            self._errands.run(TASK, request, WITHIN, partial(self._take_answer, process))

    def _measured(self, process: str, metric: str, usage: Mapping[str, Usage]) -> None:
        mine = {name: one for name, one in usage.items() if process_of(name) == process}
        if not mine:
            why = "the system does not show the resource usage of its processes"
            self._loop.emit(LoadMeasured(process, why=why))
        elif metric == "memory":
            sizes = {name: float(_memory(one)) for name, one in mine.items()}
            self._loop.emit(LoadMeasured(process, of_instances=sizes))
        else:
            self._emit_rates(process, {name: one.cpu_seconds for name, one in mine.items()})

    def _emit_rates(self, process: str, seconds: Mapping[str, float]) -> None:
        """Emit the average rate of each instance since the last time; `seconds` are running totals.

        The first time, the rates are unknown.
        """
        now = self._loop.clock.now()
        before, self._seconds[process] = self._seconds.get(process), (now, seconds)
        if before is None or now <= before[0]:
            self._loop.emit(LoadMeasured(process))
            return
        at, known = before
        # With a new life, a total starts again from 0.
        used = {name: max(0.0, one - known.get(name, 0.0)) for name, one in seconds.items()}
        rates = {name: one / (now - at) for name, one in used.items()}
        self._loop.emit(LoadMeasured(process, of_instances=rates))

    def _take_answer(self, process: str, answer: Optional[bytes], why: str) -> None:
        event = LoadMeasured(process, why=why) if answer is None else _read(process, answer)
        if event.why:
            self._unknown.add(process)
        else:
            self._unknown.discard(process)
        self._loop.emit(event)


def _memory(usage: Usage) -> int:
    return usage.resident if usage.proportional is None else usage.proportional


def _read(process: str, answer: bytes) -> LoadMeasured:
    """Parse the answer. Other lines may have been written by the project, and are skipped."""
    value: Optional[float] = None
    of_instances: dict[str, float] = {}
    for line in answer.decode(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        name, _, number = rest.rpartition(" ")
        if word == UNKNOWN:
            return LoadMeasured(process, why=rest)
        if word == VALUE and (read := _number(rest)) is not None:
            value = read
        elif word == OF_INSTANCES and (read := _number(number)) is not None:
            of_instances[name] = read
    if value is None:
        return LoadMeasured(process, why="it returned no value")
    return LoadMeasured(process, value, of_instances or None)


def _number(text: str) -> Optional[float]:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
