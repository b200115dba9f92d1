"""What this process has beside Python's view of it, as /proc shows it: native threads, descriptors.

A fork copies one thread, and shares every open file. Without /proc nothing is found.
"""

from __future__ import annotations

import gc
import os
import struct
import time
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, Union

from django_prodserver.supervisor.values import Value

from . import kernel

if TYPE_CHECKING:
    import socket

TASKS, DESCRIPTORS, LINK = "/proc/self/task", "/proc/self/fd", "/proc/self/fd/{}"
# So much of a stack, from its end on, tells whose code the thread is in.
STACK = 16 * 1024
# In seconds, for threads to come to rest: OpenBLAS has them spin for 30 ms once they are made.
PATIENCE = 0.1
# Where every thread begins and waits, in any library.
NOBODYS = ("libc.", "libc-", "libpthread", "ld-", "libstdc++", "libgcc", "[")
# A return address may be signed in the bits above these (arm64).
ADDRESS = (1 << 48) - 1


class NativeThread(Value):
    """A thread that Python has not started. `library` is the file whose code it runs, or ""."""

    name: str
    library: str = ""


class Connection(Value):
    """A stream socket that is connected to another program, at the address `peer`.

    `owner` is the package of the Python object that holds it, or "".
    """

    peer: str
    owner: str = ""


class Listener(Value):
    """A socket that accepts connections. `shared`: others may bind the address, too."""

    address: str
    shared: bool = False


class Epoll(Value):
    """An epoll instance. `wakes_only`: it watches nothing but a runtime's own means to wake it."""

    wakes_only: bool = False


Descriptor = Union[Connection, Listener, Epoll]

# What was open when `begin` was called, as _what_it_is has it.
_inherited: frozenset[object] = frozenset()


def begin() -> None:
    """Remember what this process was started with: that is no work of its own.

    To be called early. What it has opened itself until then is told by its close-on-exec flag,
    which Python sets and which nothing can have that has come through an exec.
    """
    global _inherited
    opened = _open_descriptors()
    _inherited = frozenset(_what_it_is(fd, link) for fd, link in opened if _survives_exec(fd))


def descriptors() -> list[Descriptor]:
    """What would be shared with a fork, and matters there.

    That is not what this process was started with, a datagram socket, of which each message is
    whole, or a pair of sockets, both ends of which are at home.
    """
    opened = dict(_open_descriptors())
    found = (
        _descriptor(fd, link, opened)
        for fd, link in opened.items()
        if _what_it_is(fd, link) not in _inherited
    )
    return [one for one in found if one is not None]


def has_threads() -> bool:
    """Whether others run beside the first one, or that cannot be told."""
    return not kernel.shows_our_processes() or len(_listed(TASKS)) > 1


def native_threads(known: Callable[[], Collection[int]]) -> list[NativeThread]:
    """The threads of this process but the first one, and those whose ids are `known` by now."""
    if not kernel.shows_our_processes():
        return []
    ids = {int(task) for task in _listed(TASKS)} - {os.getpid(), *known()}
    if not ids:
        return []
    images = _executable()
    end = time.monotonic() + PATIENCE
    while any(map(_runs, ids)) and time.monotonic() < end:
        os.sched_yield()
    found = []
    # One that was about to become known has done so meanwhile.
    for one in sorted(ids - {*known()}):
        name = _read(f"{TASKS}/{one}/comm")
        if name is not None:  # It may have ended meanwhile.
            found.append(NativeThread(name.rstrip("\n"), _library_of(one, images)))
    return found


def loaded(library: str) -> bool:
    """Whether a file with this in its name is loaded, code of which can run."""
    return any(library in os.path.basename(image.file) for image in _executable())


def private_memory() -> Optional[int]:
    """Bytes of memory that this process has to itself, and that its forks share; or None."""
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return None


# ---- descriptors ----


def _open_descriptors() -> Iterator[tuple[int, str]]:
    if not kernel.shows_our_processes():
        return
    for fd in sorted(map(int, _listed(DESCRIPTORS))):
        with suppress(OSError):  # The listing's own is closed by now.
            yield fd, os.readlink(LINK.format(fd))


def _what_it_is(fd: int, link: str) -> object:
    """Of a socket, all duplicates are the same: stdout's, for example, while it is redirected."""
    return link if link.startswith("socket:") else (fd, link)


def _survives_exec(fd: int) -> bool:
    with suppress(OSError):
        return os.get_inheritable(fd)
    return False


def _descriptor(fd: int, link: str, opened: dict[int, str]) -> Optional[Descriptor]:
    if link == "anon_inode:[eventpoll]":
        return Epoll(_wakes_only(fd, opened))
    if link.startswith("socket:"):
        with suppress(OSError):  # Of no family that is known here, or closed meanwhile.
            return _socket(fd)
    return None


def _wakes_only(fd: int, opened: dict[int, str]) -> bool:
    lines = (_read(f"/proc/self/fdinfo/{fd}") or "").splitlines()
    watched = [int(line.split()[1]) for line in lines if line.startswith("tfd:")]
    return all(opened.get(one) == "anon_inode:[eventfd]" for one in watched)


def _socket(fd: int) -> Optional[Descriptor]:
    import socket  # Seldom needed.

    # A default timeout would make it non-blocking, for everyone who has it.
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)
    try:
        one = socket.socket(fileno=fd)
    finally:
        socket.setdefaulttimeout(timeout)
    try:
        if one.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            return None
        if one.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            return None
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return Listener(_address(one.getsockname()), _is_shared(one))
        peer = one.getpeername()
        return Connection(_address(peer), _owner_of(fd)) if peer else None
    finally:
        one.detach()


def _is_shared(one: socket.socket) -> bool:
    import socket

    if one.family == socket.AF_UNIX:
        return False
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def _address(address: object) -> str:
    """As it is written: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, `@abstract`."""
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    if isinstance(address, str):
        return f"@{address[1:]}" if address.startswith("\0") else address
    assert isinstance(address, tuple)
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _owner_of(fd: int) -> str:
    """The package of the object that holds a socket of Python; "" for others."""
    import socket

    for one in gc.get_objects():
        # isinstance would wake lazy objects.
        if issubclass(type(one), socket.socket) and one.fileno() == fd:
            return next(_packages_of_holders(one), "")
    return ""


def _packages_of_holders(held: object) -> Iterator[str]:
    for holder in gc.get_referrers(held):
        if type(holder) is not dict:
            yield from _package(type(holder).__module__)
        elif isinstance(holder.get("__name__"), str):
            yield from _package(holder["__name__"])  # The globals of a module.
        else:
            for outer in gc.get_referrers(holder):
                with suppress(Exception):  # Whatever an object does when it is asked.
                    if vars(outer) is holder:
                        yield from _package(type(outer).__module__)


def _package(module: str) -> Iterator[str]:
    package = module.partition(".")[0]
    # The frames of this function, and wrappers of the socket.
    if package not in ("builtins", "socket", "ssl", "_io", "_socket", __name__.partition(".")[0]):
        yield package


# ---- threads ----


class _Image(NamedTuple):
    """A range of addresses with code of this file."""

    start: int
    end: int
    file: str


def _executable() -> list[_Image]:
    found = []
    for line in (_read("/proc/self/maps") or "").splitlines():
        # address perms offset dev inode pathname, see proc_pid_maps(5).
        addresses, permissions, _, _, _, *file = line.split(maxsplit=5)
        if "x" in permissions and file and not _is_anonymous(file[0]):
            start, _, end = addresses.partition("-")
            found.append(_Image(int(start, 16), int(end, 16), file[0]))
    return found


def _is_anonymous(file: str) -> bool:
    return os.path.basename(file).startswith(NOBODYS)


def _runs(thread: int) -> bool:
    return _read(f"{TASKS}/{thread}/syscall") == "running\n"


def _library_of(thread: int, images: list[_Image]) -> str:
    """The file that most return addresses on its stack lead to; "" if that cannot be told.

    The kernel tells where the stack of a thread ends that waits in a system call
    (proc_pid_syscall(5)); one that runs at this moment has no such line.
    """
    words = (_read(f"{TASKS}/{thread}/syscall") or "").split()
    try:
        # The last two are its stack pointer and its program counter.
        stack = _memory(int(words[-2], 16))
    except (IndexError, ValueError, OSError):
        return ""
    counted = Counter(filter(None, (_file_at(word & ADDRESS, images) for word in stack)))
    return counted.most_common(1)[0][0] if counted else ""


def _file_at(address: int, images: list[_Image]) -> str:
    place = bisect(images, (address, ADDRESS, "")) - 1
    return images[place].file if place >= 0 and address < images[place].end else ""


def _memory(start: int) -> Iterator[int]:
    """The words of our own memory from there on, as far as there are any."""
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        read = memory.read(STACK)
    size = struct.calcsize("P")
    return (word for (word,) in struct.iter_unpack("P", read[: len(read) // size * size]))


# ---- reading ----


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(file: str) -> Optional[str]:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return opened.read()
    except OSError:
        return None
