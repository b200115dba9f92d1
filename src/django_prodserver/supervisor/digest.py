"""Crash digest: what is known about an unexpected exit, once all evidence has been examined.

Machines read it as one field of `instance.exited`. For people, lines below the message add what the
message lacks. The last lines of the process itself are not repeated there, because the log has them
just above.
"""

from __future__ import annotations

from collections.abc import Sequence

from .amounts import megabytes
from .events import ExitStatus, Operator, SignalRequest, signal_name
from .facts import Ended, Fact, Granted
from .hints import Any, Callable, Optional, Protocol
from .record import INFO, Record
from .report import requested_by
from .spec import Ref, process_of
from .values import Value, items, replace

# In seconds: an instance that keeps exiting for the same reason gets one digest in this time.
EVERY = 600.0
# In seconds: if a process exits by a signal that an operator sent at most this long ago, the exit
# is attributed to the operator.
OBEYS_WITHIN = 60.0


class GroupMemory(Value):
    """The memory of a control group, in bytes, and how many processes were OOM-killed in it."""

    limit: Optional[int] = None
    used: Optional[int] = None
    peak: Optional[int] = None
    kills: Optional[int] = None


class CoreDump(Value):
    """Where the kernel wrote a core dump: to a file that exists, or to a program."""

    file: str = ""
    program: str = ""
    # If the file cannot be found: the core_pattern, see core(5).
    pattern: str = ""


class Evidence(Protocol):
    """What the system can say about a life that has just ended."""

    def last_lines(self, name: str, age: float) -> Sequence[str]:
        """The last lines of an instance that are at most `age` seconds old."""

    def memory(self) -> Optional[GroupMemory]:
        """The memory of our own control group, if known."""

    def core(self, ref: Ref, pid: int, signal: int) -> CoreDump:
        """The core dump of a life for which the kernel reports one."""


class Digests:
    """Adds digests to the records of unexpected exits; `complete` must see every fact."""

    def __init__(self, now: Callable[[], float], evidence: Evidence) -> None:
        self._now = now
        self._evidence = evidence
        # By the name of an instance or a process, the last signal that an operator sent to it.
        self._signals: dict[str, tuple[int, float, Operator]] = {}
        # By instance and reason: when the last digest was made, and how many were left out since.
        self._last: dict[tuple[str, ExitStatus, bool], tuple[float, int]] = {}

    def complete(self, fact: Fact, made: Record) -> Record:
        """The record of a fact, with a digest if the fact is an unexpected exit."""
        if isinstance(fact, Granted):
            self._note(fact)
        if not isinstance(fact, Ended) or made.event != "instance.exited" or made.severity is INFO:
            return made
        now, reason = self._now(), (fact.ref.name, fact.status, fact.out_of_memory)
        at, left_out = self._last.get(reason, (now - EVERY, 0))
        if now < at + EVERY:
            self._last[reason] = at, left_out + 1
            return made
        self._last[reason] = now, 0
        found, below = self._examine(now, fact, made.fields.get("pid", 0))
        if left_out:
            found["left_out"] = left_out
            below.append(f"{left_out} more like it since the last one with details")
        return replace(made, fields={**made.fields, "digest": found}, details=tuple(below))

    def _note(self, granted: Granted) -> None:
        for request in granted.request.requests:
            if isinstance(request, SignalRequest):
                self._signals[request.name] = request.signal, self._now(), granted.request.by

    def _examine(self, now: float, ended: Ended, pid: int) -> tuple[dict[str, Any], list[str]]:
        """Return what is found out: fields for machines, and lines for people."""
        status, name = ended.status, ended.ref.name
        below: list[str] = []
        found: dict[str, Any] = {"seconds": round(ended.after, 3), "restarts": ended.restarts}
        if status.code is not None:
            found["exit_status"] = status.code
        else:
            found["signal"] = signal_name(status.signal or 0)
        if ended.meaning:
            found["meaning"] = ended.meaning
        if ended.memory:
            found["memory_bytes"] = ended.memory
        operator = self._sender(now, ended)
        if operator is not None:
            found.update(sender="operator", uid=operator.uid, operator_pid=operator.pid)
            below.append(f"the signal was {requested_by(operator)}")
        if ended.out_of_memory:
            found.update(reason="oom", sender="kernel")
            memory = self._evidence.memory()
            if memory is not None:
                found["memory"] = _known(memory)
                below.append(_memory(memory))
        if status.dumped_core and status.signal is not None:
            core = self._evidence.core(ended.ref, pid, status.signal)
            found["core"] = _known(core)
            below.append(_core(core))
        found["lines"] = list(self._evidence.last_lines(name, ended.after))
        return found, below

    def _sender(self, now: float, ended: Ended) -> Optional[Operator]:
        """The operator who sent the signal that ended it, if any."""
        if not ended.sent:
            return None
        for name in (ended.ref.name, process_of(ended.ref.name)):
            signal, at, operator = self._signals.get(name, (0, 0.0, None))
            if signal == ended.status.signal and now <= at + OBEYS_WITHIN:
                return operator
        return None


def _known(value: Value) -> dict[str, Any]:
    """Its fields, without the empty ones."""
    return {name: field for name, field in zip(value._fields, items(value)) if field}


def _memory(memory: GroupMemory) -> str:
    parts = ["its control group has no limit of its own"]
    if memory.limit is not None:
        parts = [f"its control group may use {megabytes(memory.limit)}"]
    if memory.used is not None:
        parts.append(f"it uses {megabytes(memory.used)} now")
    if memory.peak is not None:
        parts.append(f"its peak was {megabytes(memory.peak)}")
    if memory.kills:
        processes = "process" if memory.kills == 1 else "processes"
        parts.append(f"{memory.kills} {processes} killed so far")
    return ", ".join(parts)


def _core(core: CoreDump) -> str:
    if core.program:
        return f"core dump: piped to {core.program}"
    if core.file:
        return f"core dump: {core.file}"
    return f"core dump: not found; core_pattern is {core.pattern}"
