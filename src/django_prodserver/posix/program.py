"""How to run one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Callable, Optional

from django_prodserver.supervisor.values import Value

from .address import SocketAddress
from .context import Context
from .probes.targets import Target


class Program(Value):
    """Call `start` in a fork, as if it were the main program; or execute a command line.

    What `start` raises or leaves running ends as it would in an interpreter of its own.
    """

    name: str
    start: Callable[[], object]
    argv: Sequence[str]
    # Added to the supervisor's own environment.
    environ: Mapping[str, str] = MappingProxyType({})
    # As whom and where it runs.
    context: Context = Context()
    # The command line of a fresh interpreter, which is executed instead of calling `start`, in the
    # folder of the supervisor: what it names may be relative to that.
    execute: Sequence[str] = ()
    # It gets a socket to report to.
    notifies: bool = False
    # Seconds between two WATCHDOG=1, at most; it is told so.
    watchdog: Optional[float] = None
    # Where it can be connected to once it is ready, and what is probed instead, to know that.
    serves: Sequence[SocketAddress] = ()
    ready: Optional[Target] = None
    # A line of its output that has this regular expression in it tells the same.
    ready_line: Optional[str] = None
    # What its health check probes.
    health: Optional[Target] = None
