"""Collect what the preload left in this process that a fork would lack, or share.

This module only collects it, as plain values; `start_method` decides whether it matters.
"""

from __future__ import annotations

import enum
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from django_prodserver.posix import kernel, own_process
from django_prodserver.posix.own_process import Connection, Descriptor, Listener
from django_prodserver.supervisor.values import Value


class Kind(enum.Enum):
    THREAD = "a thread of Python, which a fork does not have"
    NATIVE_THREAD = "a thread of a library in C, Rust, ...; likewise"
    EPOLL = "an epoll instance, of an event loop for example, which forks share"
    CONNECTION = "a connected socket, which forks share"
    LISTENER = "a listening socket, which forks share, and where only one can listen"
    SHARED_LISTENER = "likewise, where others can listen, too (SO_REUSEPORT)"


class Leftover(Value):
    """One leftover: its name or address; `of` is the module or library that it belongs to."""

    kind: Kind
    name: str = ""
    of: str = ""


# By kind, the leftovers that work in a fork, because their software recreates them: prefixes of
# their names, and parts of the module or library. Each was tried with the version given.
SURVIVORS: dict[Kind, tuple[Sequence[str], Sequence[str]]] = {
    Kind.THREAD: (
        # OpenTelemetry's processors and readers use os.register_at_fork (SDK 1.45); Sentry's
        # workers compare the process id at each use (SDK 2.75).
        ("OtelBatch", "OtelPeriodicExportingMetricReader", "sentry-sdk.", "sentry."),
        ("opentelemetry.sdk.", "sentry_sdk.", "ddtrace."),
    ),
    Kind.NATIVE_THREAD: (
        # Housekeeping threads of jemalloc and polars, which importing polars or pyarrow starts.
        ("jemalloc_bg_thd", "polars-ooc-clea"),
        # All of these install pthread_atfork(3) handlers (numpy 2.5, pyarrow 26, ddtrace 4.16).
        ("openblas", "libarrow", "/ddtrace/"),
    ),
    # These clients compare the process id at each use (redis 8.1).
    Kind.CONNECTION: ((), ("redis", "valkey")),
}

# Names of the interpreter's own files, for threads of its own that `threading` does not know.
PYTHON = ("libpython", "python")


def collect_leftovers() -> list[Leftover]:
    """What the preload left, except for leftovers that survive a fork.

    Call this after connections are closed, and before `gc.freeze` hides objects.
    """
    found = [*_threads(), *_native_threads()]
    native = any(one.kind is Kind.NATIVE_THREAD for one in found)
    for descriptor in own_process.descriptors():
        leftover = _of_descriptor(descriptor, native)
        if leftover is not None:
            found.append(leftover)
    return [one for one in dict.fromkeys(found) if not survives(one)]


def lacks_threads() -> bool:
    """Whether a fork would now lack a thread of this process, or might, if that is unknown."""
    if not own_process.has_threads():
        return False
    threads = [*_threads(), *_native_threads()]
    return not kernel.shows_our_processes() or not all(map(survives, threads))


def survives(leftover: Leftover) -> bool:
    """Whether the leftover is known to work in a fork."""
    names, owners = SURVIVORS.get(leftover.kind, ((), ()))
    return leftover.name.startswith(tuple(names)) or any(one in leftover.of for one in owners)


def _threads() -> Iterator[Leftover]:
    for one in threading.enumerate():
        if one is not threading.main_thread():
            target = getattr(one, "_target", None)
            # Use the module of the target, or else that of the subclass of Thread.
            module = getattr(target, "__module__", None) or type(one).__module__
            yield Leftover(Kind.THREAD, one.name, f"{module}.")


def _native_threads() -> Iterator[Leftover]:
    found = own_process.native_threads(_ids)
    # Not every system tells whose code a thread runs, and OpenBLAS does not name its threads.
    openblas = any(not one.library for one in found) and own_process.loaded("openblas")
    gevent = _gevent_patched()
    for one in found:
        library = one.library
        if gevent and os.path.basename(library).startswith(PYTHON):
            continue  # A thread of gevent's pool; gevent recreates its pool and loop in a fork.
        if not library and openblas and one.name == kernel.name():
            library = "openblas"
        yield Leftover(Kind.NATIVE_THREAD, one.name, library)


def _ids() -> list[int]:
    return [one.native_id for one in threading.enumerate() if one.native_id is not None]


def _of_descriptor(descriptor: Descriptor, native_threads: bool) -> Optional[Leftover]:
    if isinstance(descriptor, Listener):
        kind = Kind.SHARED_LISTENER if descriptor.shared else Kind.LISTENER
        return Leftover(kind, descriptor.address)
    if isinstance(descriptor, Connection):
        return Leftover(Kind.CONNECTION, descriptor.peer, descriptor.owner)
    if descriptor.wakes_only and native_threads:
        return None  # The native threads wait in it.
    if _gevent_patched():
        return None
    return Leftover(Kind.EPOLL)


def _gevent_patched() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("os"))
