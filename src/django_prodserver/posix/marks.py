"""Marks: an environment variable by which a process is found, whatever its parent or its group.

A mark is a path: `PRODSERVER_RUN=RUN/web.1/0.3` is in the environment of the third life of web.1
and of all its descendants. RUN stands for one run of a supervisor. A supervisor inside a life of
another supervisor has a path below the mark of that life. So the mark of every process of a run, a
life or a template begins with the mark of that run, life or template.

/proc/PID/environ shows the environment that a program was executed with. A process that was only
forked shows the environment of its parent, so the mark is written into that memory, too.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.spec import Ref

from . import areas

VARIABLE = "PRODSERVER_RUN"
# Fills the rest of an overwritten variable: a zero would end the environment for some readers, and
# the old value may be a secret.
_FILLER = b"/"


def new_run(environ: Mapping[str, str] = os.environ) -> str:
    """A new mark for a run that begins in this environment. It cannot be guessed."""
    within, run = environ.get(VARIABLE), os.urandom(8).hex()
    return f"{within}/{run}" if within else run


def of_life(run: str, ref: Ref) -> str:
    return f"{run}/{ref.name}/{ref.generation}.{ref.number}"


def of_errand(run: str, number: int) -> str:
    """The mark of an errand. No instance has such a name."""
    return f"{run}/errand/{number}"


def of_template(run: str, generation: int) -> str:
    """The mark of a template, and of what the project starts in it. No instance has such a name."""
    return f"{run}/template/{generation}"


def outer_life(environ: Mapping[str, str] = os.environ) -> str:
    """The mark of the life that the supervisor of this environment is part of; "" if there is none.

    Call it in a template of that supervisor, or in a process that becomes a supervisor without one.
    """
    given = environ.get(VARIABLE, "")
    run, within, _ = given.rpartition("/template/")
    return run.rpartition("/")[0] if within else given


def of_guard(run: str, pid: int) -> str:
    """The mark of a guard: a template that kills all other processes when the supervisor is gone.

    It holds for that process only. A fork shows the same mark until it gets its own, but has
    another pid.
    """
    return f"{run}/guard/{pid}"


def mark(given: str) -> bool:
    """Mark this process and all that it will start; return what `show` returns."""
    os.environ[VARIABLE] = given
    return show(given)


def show(given: str) -> bool:
    """Write this mark into /proc/PID/environ; executed programs still get the one in os.environ.

    It overwrites a variable that has room for it: an older mark, or the last variable that is long
    enough, or else as few of the last ones as necessary. Nothing else there changes, and getenv(3)
    still finds all variables. False if there is no room, or no such memory (off Linux).
    """
    area = areas.environment() if sys.platform == "linux" else None
    if area is None:
        return False
    text = os.fsencode(f"{VARIABLE}={given}")
    found = _room(area.read(), len(text))
    if found is None:
        return False
    room = areas.Area(area.start + found.start, found.size)
    _copy_variables(room.start, room.start + room.size)
    room.write(text, _FILLER)
    return True


def carries(environment: bytes, given: str) -> bool:
    """Whether this content of /proc/PID/environ has the mark, or one below it."""
    wanted = os.fsencode(f"\0{VARIABLE}={given}")
    environment = b"\0" + environment
    at = environment.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if environment[end : end + 1] in (b"", b"\0", b"/"):
            return True
        at = environment.find(wanted, end)
    return False


def _room(block: bytes, needed: int) -> Optional[areas.Area]:
    """Where the block has room for this many bytes, not counting the zero after them."""
    own = f"{VARIABLE}=".encode()
    last: Optional[areas.Area] = None
    older: Optional[areas.Area] = None
    start = 0
    for variable in block.split(b"\0"):
        if len(variable) >= needed:
            last = areas.Area(start, len(variable))
            if variable.startswith(own):
                older = last
        start += len(variable) + 1
    if older or last:
        return older or last
    end = len(block.rstrip(b"\0"))
    start = block.rfind(b"\0", 0, max(0, end - needed)) + 1
    return areas.Area(start, end - start) if end - start >= needed else None


def _copy_variables(start: int, end: int) -> None:
    """Give the C library copies of the variables in this range of memory."""
    libc = ctypes.CDLL(None)
    libc.strdup.restype = ctypes.c_void_p
    libc.strdup.argtypes = [ctypes.c_void_p]
    table = ctypes.c_void_p.in_dll(libc, "environ")
    variables = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
    at = 0
    while table.value and variables[at]:
        if start <= (variables[at] or 0) < end:
            variables[at] = libc.strdup(variables[at])
        at += 1
