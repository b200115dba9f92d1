"""What Linux offers a supervisor beyond POSIX; elsewhere these functions do nothing or say so."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from os.path import join
from struct import Struct

from django_prodserver.supervisor.hints import Optional, Union

# TASK_COMM_LEN of <linux/sched.h>, without the terminating null byte.
NAME_LENGTH = 15
# <linux/fcntl.h>; in Python's `fcntl` since 3.10.
_F_SETPIPE_SZ, _F_GETPIPE_SZ = 1031, 1032
# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_GET_PDEATHSIG = 2
_PR_SET_NAME = 15
_PR_GET_NAME = 16
_UNUSED = (ctypes.c_ulong(0),) * 3
_PR_SET_CHILD_SUBREAPER = 36
# <asm-generic/socket.h>; struct sock_filter and struct sock_fprog of <linux/filter.h>
_SO_ATTACH_FILTER = 26
_INSTRUCTION, _FILTER = Struct("HBBI"), Struct("HP")


def adopt_orphans(adopt: bool = True) -> bool:
    """Become the parent of orphaned descendants, instead of PID 1; False if impossible."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))


def die_with_parent(parent: int) -> None:
    """Have the kernel SIGKILL this process when `parent`, a pid, exits; at once if it already has.

    This survives execve(2), is not inherited by fork(2), and is cleared by a change of user or
    group.
    """
    if set_parent_death_signal(signal.SIGKILL) and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def name() -> str:
    """The name of this process in /proc/PID/comm and `top`; "" on other systems."""
    if sys.platform != "linux":
        return ""
    buffer = ctypes.create_string_buffer(NAME_LENGTH + 1)
    _libc.prctl(_PR_GET_NAME, buffer, *_UNUSED)
    return buffer.value.decode(errors="surrogateescape")


def set_name(name: str) -> None:
    """Set that name; the kernel keeps the first NAME_LENGTH bytes."""
    if sys.platform == "linux":
        text = name.encode(errors="surrogateescape")
        _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(text), *_UNUSED)


def set_parent_death_signal(number: int) -> bool:
    """Have the kernel send this process a signal when its parent exits; 0 for none."""
    return _prctl(_PR_SET_PDEATHSIG, number)


def parent_death_signal() -> int:
    """The signal that this process gets when its parent exits; 0 for none."""
    if sys.platform != "linux":
        return 0
    number = ctypes.c_int(0)
    _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(number))
    return number.value


def enlarge_pipe(fd: int, size: int) -> bool:
    """Make a pipe hold at least this many bytes; False if impossible or denied (pipe(7))."""
    if sys.platform != "linux":
        return False
    try:
        return pipe_size(fd) >= size or fcntl.fcntl(fd, _F_SETPIPE_SZ, size) >= size
    except OSError:
        return False


def pipe_size(fd: int) -> int:
    """The capacity of a pipe in bytes (pipe(7)); off Linux 64 KiB, the maximum of macOS."""
    return fcntl.fcntl(fd, _F_GETPIPE_SZ) if sys.platform == "linux" else 1 << 16


def recycle_memory(size: int) -> None:
    """Have the allocator keep freed blocks of up to this many bytes for reuse.

    glibc learns that from the largest block that was freed (M_MMAP_THRESHOLD in mallopt(3)).
    Otherwise it unmaps the pages of each freed block and maps them again, which took longer than
    everything else that is done with a chunk of output (Python 3.13, glibc 2.36).
    """
    bytearray(size)


def shows_our_processes() -> bool:
    """Whether /proc lists processes under the pids that they have for this process.

    It does not if it was mounted for another pid namespace (pid_namespaces(7)).
    """
    if sys.platform != "linux":
        return True
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def children() -> Optional[set[int]]:
    """The pids of this process's children, including zombies; None if they cannot be looked up."""
    if sys.platform != "linux" or not shows_our_processes():
        return None
    found = set()
    try:
        for name in filter(str.isdecimal, os.listdir("/proc")):
            # Skip processes that have exited since, and no others.
            with suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    # After the name, which may hold any bytes, come the state and the parent.
                    parent = file.read().rpartition(b")")[2].split()[1]
                if int(parent) == os.getpid():
                    found.add(int(name))
    except OSError:
        return None
    return found


def out_of_memory_counter(root: Union[str, os.PathLike[str]] = "/") -> Optional[str]:
    """The file in which the kernel counts the OOM kills of our control group; None without one.

    In cgroup v2 the count is `oom_kill` in memory.events, in v1 the same line in
    memory.oom_control (admin-guide/cgroup-v2 and cgroup-v1/memory of docs.kernel.org). `root` is
    the folder that contains proc and sys.
    """
    return next((path for path in _counters(os.fspath(root)) if _count(path) is not None), None)


def out_of_memory_kills(counter: Optional[str]) -> int:
    """The count in that file; 0 without a file."""
    return (counter and _count(counter)) or 0


def _count(path: str) -> Optional[int]:
    try:
        lines = _lines(path)
    except OSError:
        return None
    for name, _, value in (line.partition(" ") for line in lines):
        if name == "oom_kill" and value.isdecimal():
            return int(value)
    return None


def _counters(root: str) -> Iterator[str]:
    """The files that may have the count, the likeliest first."""
    try:
        lines = _lines(join(root, "proc/self/cgroup"))
    except OSError:
        return
    mounts = join(root, "sys/fs/cgroup")
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            folder, file = mounts, "memory.events"
        elif "memory" in controllers.split(","):
            folder, file = join(mounts, "memory"), "memory.oom_control"
        else:
            continue
        yield join(folder, group.lstrip("/"), file)
        # A container may see its own control group as the root, whatever its name is outside.
        yield join(folder, file)


def _lines(path: str) -> list[str]:
    with open(path, "rb", buffering=0) as file:
        return os.fsdecode(file.read()).splitlines()


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    return bool(_libc.prctl(option, ctypes.c_ulong(value), *_UNUSED) == 0)


if sys.platform == "linux":
    _libc = ctypes.CDLL(None)


def drop_connections(listening: socket.socket) -> bool:
    """Have the kernel drop new connection requests to a TCP socket; False if it cannot.

    Established connections, and handshakes that have begun, are not affected. This needs no
    privilege (socket(7), SO_ATTACH_FILTER).
    """
    if sys.platform != "linux":
        return False
    # Classic BPF, <linux/filter.h>: load the byte with the flags; if SYN is set and ACK is not,
    # keep nothing of the packet, else all of it. The packet begins with the TCP header.
    program = b"".join(
        _INSTRUCTION.pack(*one)
        for one in ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (6, 0, 0, 0))
    ) + _INSTRUCTION.pack(6, 0, 0, 0xFFFFFFFF)
    code = ctypes.create_string_buffer(program)
    length = len(program) // _INSTRUCTION.size
    try:
        pointed = _FILTER.pack(length, ctypes.addressof(code))
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, pointed)
    except OSError:
        return False
    return True
