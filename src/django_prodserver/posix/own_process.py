"""What /proc shows of this process, but Python does not: native threads and descriptors.

A fork copies only one thread, and shares every open file. Without /proc nothing is found.
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
# The bytes of a stack, from the stack pointer on, that show whose code the thread runs.
STACK = 16 * 1024
# Seconds to wait until threads block: those of OpenBLAS spin for 30 ms after their creation.
PATIENCE = 0.1
# Libraries in which every thread starts and waits, whichever library has created it.
SHARED_LIBRARIES = ("libc.", "libc-", "libpthread", "ld-", "libstdc++", "libgcc", "[")
# The bits of an address; those above may hold a signature of a return address (arm64).
ADDRESS = (1 << 48) - 1


class NativeThread(Value):
    """A thread that Python did not start. `library` is the file whose code it runs, or ""."""

    name: str
    library: str = ""


class Connection(Value):
    """A stream socket that is connected to another program, at the address `peer`.

    `owner` is the package of the Python object that holds it, or "".
    """

    peer: str
    owner: str = ""


class Listener(Value):
    """A socket that accepts connections. `shared`: other sockets may bind its address, too."""

    address: str
    shared: bool = False


class Epoll(Value):
    """An epoll instance. `wakes_only`: it only watches eventfds, by which a runtime is woken."""

    wakes_only: bool = False


Descriptor = Union[Connection, Listener, Epoll]

# The descriptors that this process inherited, as values of `_what_it_is`.
_inherited: frozenset[object] = frozenset()


def begin() -> None:
    """Remember the descriptors that this process has inherited: `descriptors` leaves them out.

    Call this early. What this process itself has opened by then has the close-on-exec flag: Python
    sets it, and no descriptor that has survived an exec can have it.
    """
    global _inherited
    opened = _open_descriptors()
    _inherited = frozenset(_what_it_is(fd, link) for fd, link in opened if _survives_exec(fd))


def descriptors() -> list[Descriptor]:
    """The descriptors that a fork would share, and whose sharing matters.

    Left out are inherited descriptors, datagram sockets, whose messages are always whole, and
    socket pairs, both ends of which are in this process.
    """
    opened = dict(_open_descriptors())
    found = (
        _descriptor(fd, link, opened)
        for fd, link in opened.items()
        if _what_it_is(fd, link) not in _inherited
    )
    return [one for one in found if one is not None]


def has_threads() -> bool:
    """Whether threads besides the main one run; True where that is unknown."""
    return not kernel.shows_our_processes() or len(_listed(TASKS)) > 1


def native_threads(known: Callable[[], Collection[int]]) -> list[NativeThread]:
    """The threads of this process, except for the main thread and those with `known` ids."""
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
    # Ask again: a thread that had only just started may be known by now.
    for one in sorted(ids - {*known()}):
        name = _read(f"{TASKS}/{one}/comm")
        if name is not None:  # It may have ended meanwhile.
            found.append(NativeThread(name.rstrip("\n"), _library_of(one, images)))
    return found


def loaded(library: str) -> bool:
    """Whether a file with this in its name is mapped as executable code."""
    return any(library in os.path.basename(image.file) for image in _executable())


def private_memory() -> Optional[int]:
    """Bytes of anonymous memory, which forks share with this process; None if unknown."""
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return None


# ---- descriptors ----


def _open_descriptors() -> Iterator[tuple[int, str]]:
    if not kernel.shows_our_processes():
        return
    for fd in sorted(map(int, _listed(DESCRIPTORS))):
        with suppress(OSError):  # The descriptor of the listing itself is closed by now.
            yield fd, os.readlink(LINK.format(fd))


def _what_it_is(fd: int, link: str) -> object:
    """Identify a descriptor. Duplicates of a socket are equal, such as copies of stdout."""
    return link if link.startswith("socket:") else (fd, link)


def _survives_exec(fd: int) -> bool:
    with suppress(OSError):
        return os.get_inheritable(fd)
    return False


def _descriptor(fd: int, link: str, opened: dict[int, str]) -> Optional[Descriptor]:
    if link == "anon_inode:[eventpoll]":
        return Epoll(_wakes_only(fd, opened))
    if link.startswith("socket:"):
        with suppress(OSError):  # Its family is unknown here, or it was closed meanwhile.
            return _socket(fd)
    return None


def _wakes_only(fd: int, opened: dict[int, str]) -> bool:
    lines = (_read(f"/proc/self/fdinfo/{fd}") or "").splitlines()
    watched = [int(line.split()[1]) for line in lines if line.startswith("tfd:")]
    return all(opened.get(one) == "anon_inode:[eventfd]" for one in watched)


def _socket(fd: int) -> Optional[Descriptor]:
    import socket  # Seldom needed.

    # A default timeout would make it non-blocking, for every process that shares it.
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
    """The address as text: `127.0.0.1:80`, `[::1]:80`, `/run/x.sock`, `@abstract`."""
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    if isinstance(address, str):
        return f"@{address[1:]}" if address.startswith("\0") else address
    assert isinstance(address, tuple)
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _owner_of(fd: int) -> str:
    """The package that holds the Python socket with this descriptor; "" if there is none."""
    import socket

    for one in gc.get_objects():
        # isinstance would evaluate lazy objects.
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
                with suppress(Exception):  # vars() may run code of the object.
                    if vars(outer) is holder:
                        yield from _package(type(outer).__module__)


def _package(module: str) -> Iterator[str]:
    package = module.partition(".")[0]
    # Not owners: frames of this module, and wrappers of the socket.
    if package not in ("builtins", "socket", "ssl", "_io", "_socket", __name__.partition(".")[0]):
        yield package


# ---- threads ----


class _Image(NamedTuple):
    """An address range that holds code of a file."""

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
    return os.path.basename(file).startswith(SHARED_LIBRARIES)


def _runs(thread: int) -> bool:
    return _read(f"{TASKS}/{thread}/syscall") == "running\n"


def _library_of(thread: int, images: list[_Image]) -> str:
    """The file that most return addresses on the thread's stack point to; "" if unknown.

    The kernel shows the stack pointer of a thread only while it is blocked (proc_pid_syscall(5)).
    """
    words = (_read(f"{TASKS}/{thread}/syscall") or "").split()
    try:
        # The last two words are the stack pointer and the program counter.
        stack = _memory(int(words[-2], 16))
    except (IndexError, ValueError, OSError):
        return ""
    counted = Counter(filter(None, (_file_at(word & ADDRESS, images) for word in stack)))
    return counted.most_common(1)[0][0] if counted else ""


def _file_at(address: int, images: list[_Image]) -> str:
    place = bisect(images, (address, ADDRESS, "")) - 1
    return images[place].file if place >= 0 and address < images[place].end else ""


def _memory(start: int) -> Iterator[int]:
    """The machine words in our own memory from `start` on, at most STACK bytes."""
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
