"""What is done when the supervisor is gone, after `kill -9` for example: nothing outlives it.

There is no log any more, and nothing to reap; so this only kills, and looks again.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

from django_prodserver.supervisor.hints import Optional

from . import kernel, marks, process_table
from .private_folder import remove_abandoned
from .process_table import Process

# In seconds: how long to look for processes that are born meanwhile, and between two looks.
LIMIT = 2.0
_PAUSE = 0.005
# After this many consecutive looks that find nothing it ends, though a process had ended before it
# could be looked at: it may have had a child, born after the list was made. On a busy machine one
# has.
_LOOKS = 5


def end_run(run: str, groups: Iterable[int], supervisor: int, limit: float = LIMIT) -> None:
    """SIGKILL all that belongs to a run, except for this process and other guards of the run.

    That is these process groups, every process with a mark of the run, and what descends from
    either. Each guard does the same, and ends by itself (`marks.of_guard`). Where /proc does not
    show our processes, only the groups are killed. When the `supervisor`, a pid, has let go of its
    sockets, which may be a moment after this was noticed, their folder is removed.
    """
    end = time.monotonic() + limit
    groups = [group for group in groups if group > 1 and group != os.getpgrp()]
    if kernel.shows_our_processes():
        doubtful = 0
        while True:
            found = _kill_all(run, groups)
            doubtful = doubtful + 1 if found is None else 0
            ended = found is False or doubtful == _LOOKS
            gone = ended and process_table.process(supervisor) is None
            if gone or time.monotonic() >= end:
                break
            select.select([], [], [], _PAUSE)
    else:
        kill_the_rest(groups)
    remove_abandoned()


def _kill_all(run: str, groups: Iterable[int]) -> Optional[bool]:
    """Kill all that is found now; False if nothing was, None if that is doubtful."""
    # First, because who has lost its parent cannot be told to descend from it.
    before = process_table.processes()
    kill_the_rest(groups)
    marked, overlooked = set(), False
    for pid in process_table.pids():
        found = process_table.process(pid)
        if found is not None and _is_marked(run, pid):
            marked.add(pid)
            _kill(run, found)
        elif not process_table.exists(pid):
            overlooked = True
    descendants = [
        process
        for process in process_table.below({*groups, *marked}, before)
        if process.pid not in marked and not _is_guard(run, process.pid)
    ]
    for process in descendants:
        process_table.kill(process)
    if marked or descendants:
        return True
    return None if overlooked else False


def _kill(run: str, found: Process) -> None:
    leader = process_table.process(found.session)
    # A session that began with a process of the run, which may have ended, has no others in it.
    ours = leader is None or _is_marked(run, leader.pid) or leader.size == 0
    if ours and found.session != os.getsid(0):
        process_table.kill_group(found)
    process_table.kill(found)


def kill_the_rest(groups: Iterable[int]) -> None:
    """SIGKILL these process groups."""
    for group in groups:
        with suppress(OSError):  # It is empty, or another user's.
            os.killpg(group, signal.SIGKILL)


def _is_marked(run: str, pid: int) -> bool:
    environment = process_table.environment(pid)
    return marks.carries(environment, run) and not _is_guard(run, pid, environment)


def _is_guard(run: str, pid: int, environment: Optional[bytes] = None) -> bool:
    if environment is None:
        environment = process_table.environment(pid)
    return pid == os.getpid() or marks.carries(environment, marks.of_guard(run, pid))
