"""The sd_notify protocol, both ways: what lives report, and what this process reports.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress

from django_prodserver.supervisor.events import Notified, NotifyFlooded, WatchdogMessage
from django_prodserver.supervisor.hints import TYPE_CHECKING, Any, Optional, Union
from django_prodserver.supervisor.spec import Ref
from django_prodserver.supervisor.text import one_line

from . import kernel, rights

if TYPE_CHECKING:
    from .socket_folder import SocketFolder

VARIABLE = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
READY = b"READY=1"

# In bytes. A notification is a few short lines in one datagram; a longer one is ignored.
LONGEST = 4096
# The longest STATUS, in characters.
LONGEST_STATUS = 200
# How many datagrams are read in one turn: a flood must not keep the loop busy.
AT_ONCE = 64
# This many datagrams from foreign processes are a flood: by default they fill the queue of a socket
# (net.unix.max_dgram_qlen), and messages of the life may be lost.
FLOOD = 10
_WEEK = 7 * 24 * 60 * 60 * 10**6  # in microseconds
# The highest errno that a system call of Linux can return (MAX_ERRNO).
_MAX_ERRNO = 4095
# struct ucred: pid, uid, gid (unix(7)).
_CREDENTIALS = struct.Struct("3i")
_LINUX = sys.platform == "linux"


def notify(message: bytes = READY, address: Optional[str] = None, *, wait: bool = True) -> None:
    """Send a message to the program that started this one, if it listens; silent otherwise.

    `address` is a path, or `@` and a name in the abstract namespace; by default the value of the
    environment variable NOTIFY_SOCKET. Without `wait` the message is lost if the listener's queue
    is full.
    """
    address = os.environ.get(VARIABLE, "") if address is None else address
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(wait)
        try:
            sender.sendto(message, address)
        except OSError:
            # The listener is gone or its queue is full: not a reason to fail.
            return


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> Optional[float]:
    """After how many seconds without WATCHDOG=1 this process is considered dead.

    None if no WATCHDOG=1 is expected from this process (sd_watchdog_enabled(3)).
    """
    pid = environ.get("WATCHDOG_PID", "")
    if not environ.get(VARIABLE) or pid not in ("", str(os.getpid())):
        return None
    try:
        return _number(environ.get(WATCHDOG, ""), _WEEK) / 10**6 or None
    except ValueError:
        return None


def parse(message: bytes, ref: Ref) -> Notified:
    """Parse a message of this life. Raises ValueError if it is malformed.

    Variables and values that a supervisor does not use are ignored, such as MAINPID and RELOADING.
    """
    if b"\0" in message:
        raise ValueError("binary")
    told: dict[str, Any] = {}
    lines = [line for line in message.decode().split("\n") if line]
    if not lines:
        raise ValueError("empty")
    for line in lines:
        variable, equals, value = line.partition("=")
        if not (variable and equals):
            raise ValueError("no assignment")
        if line == "READY=1":
            told["ready"] = True
        elif line == "STOPPING=1":
            told["stopping"] = True
        elif variable == "STATUS":
            told["status"] = one_line(value, LONGEST_STATUS)
        elif variable == "EXTEND_TIMEOUT_USEC":
            told["extend_timeout"] = _number(value, _WEEK) / 10**6
        elif variable == "WATCHDOG" and value in ("1", "trigger"):
            told["watchdog"] = WatchdogMessage(value)
        elif variable == "ERRNO":
            number = _number(value, _MAX_ERRNO)
            told["error"] = os.strerror(number) if number else ""
    return Notified(ref, **told)


def _number(text: str, most: int) -> int:
    """Parse an integer from 0 to `most`. Raises ValueError for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
        raise ValueError("no such number")
    number = int(text)
    if number > most:
        raise ValueError("too large")
    return number


class NotifySocket:
    """The socket to which one life reports: in the folder if possible, else with an abstract name.

    Raises OSError.
    """

    def __init__(self, folder: Optional[SocketFolder] = None) -> None:
        # How many messages were malformed, or came from another process.
        self.ignored = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if _LINUX:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.address = self._bind(folder)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, ref: Ref, session: int) -> list[Union[Notified, NotifyFlooded]]:
        """Read waiting messages, AT_ONCE at most, and return what they say, in order.

        A message counts only if its sender is in `session`, which this life leads.
        """
        heard: list[Union[Notified, NotifyFlooded]] = []
        foreign = 0
        for _ in range(AT_ONCE):
            try:
                # Room for credentials only: the kernel closes descriptors that are sent along and
                # do not fit (unix(7), SCM_RIGHTS).
                message, ancillary, flags, _ = self._socket.recvmsg(
                    LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                break
            _close_descriptors(ancillary)
            try:
                if not _is_from(session, ancillary):
                    foreign += 1
                    raise ValueError("foreign")
                if flags & socket.MSG_TRUNC:
                    raise ValueError("too long")
                notified = parse(message, ref)
            except ValueError:
                self.ignored += 1
                continue
            if notified != Notified(ref):
                heard.append(notified)
        if foreign >= FLOOD:
            heard.append(NotifyFlooded(ref))
        return heard

    def release(self) -> None:
        """In a forked child: close the descriptor, but leave the file to the supervisor."""
        self._socket.close()

    def close(self) -> None:
        self.release()
        if not self.address.startswith("@"):
            with suppress(FileNotFoundError):  # Removed with its folder.
                os.unlink(self.address)

    def _bind(self, folder: Optional[SocketFolder]) -> str:
        if folder is not None:
            try:
                return folder.bind(self._socket)
            except OSError:  # The path is too long, or the folder is gone.
                if not _LINUX:
                    raise
        self._socket.bind("")  # The kernel chooses a free abstract name (unix(7), autobind).
        name: bytes = self._socket.getsockname()
        return "@" + name[1:].decode()


def _is_from(session: int, ancillary: list[tuple[int, int, bytes]]) -> bool:
    if not _LINUX:
        return True  # Only this user can reach into the socket's folder.
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, _ = _CREDENTIALS.unpack_from(data)
            return pid == session or _is_in(session, pid, uid)
    return False


def _is_in(session: int, pid: int, uid: int) -> bool:
    """Whether a sender belongs to a session, as far as can be told now."""
    if pid == 0:
        return False  # From outside our pid namespace.
    trusted = uid in (0, os.geteuid(), os.getuid())
    try:
        if os.getsid(pid) != session:
            return False
    except OSError:
        # The sender has exited and was reaped, as short-lived helpers are: go by its user only.
        return trusted or uid == _user_of(session)
    # The pid may have been reused since the sender, a foreign process, exited.
    return trusted or uid == _user_of(pid)


def _user_of(pid: int) -> Optional[int]:
    if not kernel.shows_our_processes():
        return None
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _close_descriptors(ancillary: list[tuple[int, int, bytes]]) -> None:
    """Close descriptors that were sent along: without credentials (off Linux), a few fit."""
    for fd in rights.received(ancillary):
        os.close(fd)
