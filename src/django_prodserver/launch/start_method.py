"""Which processes are forked, which are spawned, and what the log says about it.

With START_METHOD "auto" a process is forked unless the fork would lack something: threads that the
preload left running, whose locks stay locked in it, or variables of its ENV that its software read
when Django was set up.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence

from django_prodserver.supervisor import report
from django_prodserver.supervisor.record import Record

from .process import ResolvedProcess


def to_fork(processes: Sequence[ResolvedProcess]) -> list[ResolvedProcess]:
    """Those that may be forked, so that a preload is of use to them."""
    return [process for process in processes if process.settings.start_method != "spawn"]


def other_threads() -> list[str]:
    """The names of the threads that a fork would not have."""
    return [t.name for t in threading.enumerate() if t is not threading.main_thread()]


def to_spawn(processes: Sequence[ResolvedProcess], threads: Sequence[str]) -> list[str]:
    """The names of the processes that get a fresh interpreter."""
    return [process.name for process in processes if _is_spawned(process, threads)]


def said_of_start_methods(
    processes: Sequence[ResolvedProcess], threads: Sequence[str]
) -> Iterator[Record]:
    """Lines for the log where "auto" did not fork, or where a fork lacks something."""
    method = {process.name: process.settings.start_method for process in processes}
    auto = [name for name in method if method[name] == "auto"]
    if auto and threads:
        yield report.spawned_for_threads(auto if len(auto) < len(method) else [], threads)
    if "fork" in method.values():
        for thread in threads:
            yield report.thread_not_forked(thread)
    for process in processes:
        variables = process.variables_already_read(os.environ)
        if variables and method[process.name] == "auto":
            yield report.spawned_for_variables(process.name, variables)
        elif variables and method[process.name] == "fork":
            yield report.variables_not_seen(process.name, variables)


def _is_spawned(process: ResolvedProcess, threads: Sequence[str]) -> bool:
    method = process.settings.start_method
    if method == "auto":
        return bool(threads or process.variables_already_read(os.environ))
    return method == "spawn"
