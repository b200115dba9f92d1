"""What the system knows about a life that has just ended; see `supervisor.digest`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from os.path import dirname, join

from django_prodserver.logs.recent import Recent
from django_prodserver.supervisor.digest import CoreDump, GroupMemory
from django_prodserver.supervisor.hints import Callable, Optional, Union
from django_prodserver.supervisor.spec import Ref

from . import kernel

# How many of its last lines are reported, and how many characters of each.
LINES, LONGEST = 20, 1000
# A margin in seconds: the log takes the time of a line when it reads that line, and the age of a
# life is measured separately.
EARLIER = 0.5
# The files of a control group, in version 2 and in version 1.
LIMIT = ("memory.max", "memory.limit_in_bytes")
USED = ("memory.current", "memory.usage_in_bytes")
PEAK = ("memory.peak", "memory.max_usage_in_bytes")
# Without a limit, version 1 shows at least this number, and version 2 a word.
NO_LIMIT = 1 << 60


class SystemEvidence:
    """Implements `Evidence`; `root` is the folder that contains proc and sys."""

    def __init__(
        self,
        recent: Recent,
        folder_of: Callable[[Ref], str],
        root: Union[str, os.PathLike[str]] = "/",
    ) -> None:
        self._recent = recent
        self._folder_of = folder_of
        self._root = os.fspath(root)

    def last_lines(self, name: str, age: float) -> Sequence[str]:
        since = time.time() - age - EARLIER
        reader = self._recent.read([name], LINES)
        lines: list[str] = []
        while entries := reader.take()[1]:
            for entry in entries:
                if entry.at >= since:
                    lines += entry.lines.decode(errors="replace").split("\n")[:-1]
        return [line[:LONGEST] for line in lines]

    def memory(self) -> Optional[GroupMemory]:
        counter = kernel.out_of_memory_counter(self._root)
        if counter is None:
            return None
        folder = dirname(counter)
        limit = _number(folder, LIMIT)
        return GroupMemory(
            None if limit is None or limit >= NO_LIMIT else limit,
            _number(folder, USED),
            _number(folder, PEAK),
            kernel.out_of_memory_kills(counter),
        )

    def core(self, ref: Ref, pid: int, signal: int) -> CoreDump:
        pattern = self._read("proc/sys/kernel/core_pattern")
        if pattern.startswith("|"):
            return CoreDump(program=pattern[1:].split(" ")[0])
        name = "".join(_expanded(pattern, pid, signal))
        if "%p" not in pattern and self._read("proc/sys/kernel/core_uses_pid") not in ("", "0"):
            name += f".{pid}"
        path = join(self._folder_of(ref), name)
        return CoreDump(file=path) if os.path.isfile(path) else CoreDump(pattern=pattern)

    def _read(self, path: str) -> str:
        try:
            with open(join(self._root, path), "rb", buffering=0) as file:
                return os.fsdecode(file.read()).rstrip("\n")
        except OSError:
            return ""


def _number(folder: str, names: Sequence[str]) -> Optional[int]:
    """The number in the first of these files that exists; None if it is not a number."""
    for name in names:
        try:
            with open(join(folder, name), "rb", buffering=0) as file:
                text = file.read().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() else None
    return None


def _expanded(pattern: str, pid: int, signal: int) -> Iterator[str]:
    """Expand a pattern of core(5); specifiers that are unknown here stay as they are."""
    known = {"p": str(pid), "s": str(signal), "h": os.uname().nodename, "%": "%"}
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            which = next(characters, "")
            yield known.get(which, f"%{which}")
        else:
            yield character
