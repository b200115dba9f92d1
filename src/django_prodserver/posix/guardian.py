"""The cleanup when the supervisor is gone, after `kill -9` for example: nothing outlives it.

There is no log any more, and nothing to reap, so this only kills and looks again.
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

# In seconds: how long to look for processes that are forked meanwhile, and the pause between looks.
LIMIT = 2.0
_PAUSE = 0.005
# A look is doubtful if it finds nothing, but a process exited before it could be inspected. It may
# have left a child that was forked after the list was made; on a busy machine this does happen.
# After this many consecutive doubtful looks the search ends.
_LOOKS = 5


def end_run(run: str, groups: Iterable[int], supervisor: int, limit: float = LIMIT) -> None:
    """SIGKILL everything that belongs to a run, except for this process and the run's other guards.

    That is: these process groups, every process with a mark of the run, and the descendants of
    both. Each guard does the same, and exits on its own (`marks.of_guard`). If /proc does not show
    our processes, only the process groups are killed. Once the `supervisor`, a pid, is gone, the
    folder of its sockets is removed: it may hold them for a moment after its exit was noticed.
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
    """Kill what is found now; False if nothing was found, None if that is doubtful."""
    # Read before anything is killed: an orphan does not show from which process it descends.
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
    # A session that a process of the run has started has only processes of the run in it, even if
    # its leader has exited.
    ours = leader is None or _is_marked(run, leader.pid) or leader.size == 0
    if ours and found.session != os.getsid(0):
        process_table.kill_group(found)
    process_table.kill(found)


def kill_the_rest(groups: Iterable[int]) -> None:
    """SIGKILL these process groups."""
    for group in groups:
        with suppress(OSError):  # It is empty, or belongs to another user.
            os.killpg(group, signal.SIGKILL)


def _is_marked(run: str, pid: int) -> bool:
    environment = process_table.environment(pid)
    return marks.carries(environment, run) and not _is_guard(run, pid, environment)


def _is_guard(run: str, pid: int, environment: Optional[bytes] = None) -> bool:
    if environment is None:
        environment = process_table.environment(pid)
    return pid == os.getpid() or marks.carries(environment, marks.of_guard(run, pid))
