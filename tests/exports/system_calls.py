"""Execute a command under the system call filters of a systemd unit.

    python system_calls.py UNIT COMMAND [ARGUMENT ...]

systemd itself is not needed: the filters are rebuilt from the lines of the unit and systemd's own
sets of calls, with the library that systemd uses (systemd.exec(5); src/shared/seccomp-util.c).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# <seccomp.h>
ALLOW = 0x7FFF0000
NOT_EQUAL, EQUAL, GREATER, MASKED = 1, 4, 6, 7
UNKNOWN = -1
# <sched.h>: flags of mount, cgroup, UTS, IPC, user, PID and network namespaces.
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
OTHER, BATCH, IDLE = 0, 3, 5
SET_ID = (0o4000, 0o2000)


def refused(number: int) -> int:
    return 0x00050000 | number


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp: an argument of a call, and what it is compared with."""

    _fields_ = [
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


class Filter:
    """A set of rules, and the action for calls that no rule matches."""

    def __init__(self, library: ctypes.CDLL, otherwise: int) -> None:
        self._library = library
        self._context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(otherwise)))

    def add(self, name: str, action: int, *comparisons: tuple[int, ...]) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN:  # Unknown to this libseccomp: of another kernel or machine.
            return
        array = (Comparison * len(comparisons))(*comparisons)
        arguments = (self._context, ctypes.c_uint32(action), number, len(comparisons), array)
        self._check(self._library.seccomp_rule_add_array(*arguments))

    def load(self) -> None:
        self._check(self._library.seccomp_load(self._context))

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise OSError(-status, os.strerror(-status))


# ---- what each line of a unit means ----


def calls(value: str) -> Iterator[str]:
    """The calls in a SystemCallFilter= value, with the names of sets expanded."""
    sets: dict[str, list[str]] = {}
    told = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True)
    for line in told.stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            inside = sets.setdefault(word, [])
        elif word and not word.startswith("#"):
            inside.append(word)
    waiting = value.split()
    while waiting:
        word = waiting.pop()
        if word.startswith("@"):
            waiting += sets[word]
        else:
            yield word


def only_these_calls(library: ctypes.CDLL, value: str, number: int) -> Filter:
    """Calls that systemd does not know fail with ENOSYS, as on an older kernel."""
    found = Filter(library, refused(errno.ENOSYS))
    allowed = {*calls(value), *calls("@default")}
    for name in {*calls("@known")} - allowed:
        found.add(name, refused(number))
    for name in allowed:
        found.add(name, ALLOW)
    return found


def only_these_families(library: ctypes.CDLL, value: str) -> Filter:
    found = Filter(library, ALLOW)
    allowed = {int(getattr(socket, name)) for name in value.split()}
    action = refused(errno.EAFNOSUPPORT)
    found.add("socket", action, (0, GREATER, max(allowed)))
    for family in {*range(max(allowed))} - allowed:
        found.add("socket", action, (0, EQUAL, family))
    return found


def no_namespaces(library: ctypes.CDLL) -> Filter:
    found, action = Filter(library, ALLOW), refused(errno.EPERM)
    # clone3 has its flags in memory, where a filter cannot look. On ENOSYS, libc calls clone.
    found.add("clone3", refused(errno.ENOSYS))
    found.add("setns", action, (1, EQUAL, 0))
    for flag in NAMESPACES:
        found.add("clone", action, (0, MASKED, flag, flag))
        found.add("unshare", action, (0, MASKED, flag, flag))
        found.add("setns", action, (1, MASKED, flag, flag))
    return found


def no_realtime(library: ctypes.CDLL) -> Filter:
    found, action = Filter(library, ALLOW), refused(errno.EPERM)
    for policy in {*range(IDLE)} - {OTHER, BATCH, IDLE}:
        found.add("sched_setscheduler", action, (1, EQUAL, policy))
    found.add("sched_setscheduler", action, (1, GREATER, IDLE))
    return found


def no_set_id(library: ctypes.CDLL) -> Filter:
    found, action = Filter(library, ALLOW), refused(errno.EPERM)
    modes = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "mkdir": 1, "mkdirat": 2, "mknod": 1}
    for name, argument in {**modes, "mknodat": 2, "creat": 1}.items():
        for bit in SET_ID:
            found.add(name, action, (argument, MASKED, bit, bit))
    created = os.O_CREAT
    for name, flags in {"open": 1, "openat": 2}.items():
        for bit in SET_ID:
            found.add(
                name, action, (flags, MASKED, created, created), (flags + 1, MASKED, bit, bit)
            )
    return found


def same_personality(library: ctypes.CDLL) -> Filter:
    found = Filter(library, ALLOW)
    # Only the default personality is allowed, which has no flags.
    found.add("personality", refused(errno.EPERM), (0, NOT_EQUAL, 0))
    return found


SWITCHES = {
    "RestrictNamespaces": no_namespaces,
    "RestrictRealtime": no_realtime,
    "RestrictSUIDSGID": no_set_id,
    "LockPersonality": same_personality,
}


def filters(unit: str) -> Iterator[Filter]:
    """The filter of all calls comes last, because it might forbid loading another."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    given = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
    for key, switch in SWITCHES.items():
        assert given[key] == "yes"
        yield switch(library)
    yield only_these_families(library, given["RestrictAddressFamilies"])
    number = getattr(errno, given["SystemCallErrorNumber"])
    yield only_these_calls(library, given["SystemCallFilter"], number)


def main(unit: str, *command: str) -> None:
    for one in [*filters(Path(unit).read_text(encoding="utf-8"))]:
        one.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
