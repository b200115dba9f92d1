"""Addresses: where a server would listen, whether it could, and how to connect to it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from django_prodserver.supervisor.hints import Optional, Union
from django_prodserver.supervisor.values import Value

# How to connect from the same machine to a server that listens on all addresses.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

# An address family, and the address for connect(2): a path for AF_UNIX.
SocketAddress = tuple[int, Union[str, tuple[object, ...]]]

# The longest path of a Unix socket, in bytes: sun_path of unix(7), without its null byte.
LONGEST_PATH = 107 if sys.platform == "linux" else 103


# The prefix of addresses like `::ffff:127.0.0.1` (ipv6(7)).
_IPV4_MAPPED = bytes(10) + b"\xff\xff"

# Raised by the lookup of a host name that is unknown or malformed.
UNKNOWN_HOST = (socket.gaierror, UnicodeError)


class Binding(Value):
    """What one listening socket is bound to."""

    family: int
    address: tuple[object, ...]
    # An IPv6 socket that does not accept IPv4 connections.
    v6only: bool

    @property
    def is_loopback(self) -> bool:
        import ipaddress

        ip = ipaddress.ip_address(str(self.address[0]).partition("%")[0])
        # Before Python 3.13 an IPv4-mapped IPv6 address is never a loopback address.
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback

    def takes(self) -> Iterator[tuple[int, object]]:
        """The families and hosts for which it accepts connections; "" for all hosts."""
        host = self.address[0]
        if self.family != socket.AF_INET6:
            yield self.family, "" if host == "0.0.0.0" else host
            return
        ip = socket.inet_pton(socket.AF_INET6, str(host).partition("%")[0])
        if ip.startswith(_IPV4_MAPPED):
            yield socket.AF_INET, socket.inet_ntop(socket.AF_INET, ip[len(_IPV4_MAPPED) :])
            return
        yield self.family, "" if host == "::" else host
        if host == "::" and not self.v6only:
            yield socket.AF_INET, ""


class Listener(Value):
    """One address at which a process listens."""

    # For messages: `127.0.0.1:8000`, or a path.
    name: str
    # For a host and port: one for each socket. The machine may not support the family of some.
    bindings: Sequence[Binding] = ()
    # For a Unix socket, instead of bindings.
    path: str = ""
    # The maximum number of connections that wait to be accepted.
    backlog: int = 2048
    # The permissions of the socket file; None for those that the umask leaves.
    mode: Optional[int] = None

    @property
    def is_public(self) -> bool:
        """Whether other machines may reach it."""
        return not all(binding.is_loopback for binding in self.bindings)


def bindings(host: str, port: int, plain: bool = False) -> list[Binding]:
    """What a server binds to listen at this host and port.

    One socket for each address of the host name, or for IPv4 and IPv6 if the host is empty. Each
    accepts only its own family, as in asyncio, tornado and waitress. With `plain` it is a single
    socket, bound as bind(2) does it: IPv6 if the host has a colon, else IPv4, also for a name. Then
    `::` accepts IPv4 connections as well, unless the system is configured otherwise.

    Raises OSError or UnicodeError if the name is unknown.
    """
    family = 0 if not plain else socket.AF_INET6 if ":" in host else socket.AF_INET
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, family, kind, flags=flags)
    v6only = _v6only_by_default() if plain else True
    every = [Binding(family, address, v6only) for family, _, _, _, address in found]
    return every[:1] if plain else every


def collide(some: Iterable[Binding], others: Iterable[Binding]) -> bool:
    """Whether, at the same port, one of these sockets would keep one of the others from binding."""
    ours = [place for binding in some for place in binding.takes()]
    theirs = [place for binding in others for place in binding.takes()]
    return any(
        family == other_family and (host == other_host or "" in (host, other_host))
        for family, host in ours
        for other_family, other_host in theirs
    )


def socket_addresses(at: Union[tuple[str, int], str]) -> tuple[SocketAddress, ...]:
    """The addresses to connect to for a host and port, or for the path of a Unix socket.

    Looking up a host name may take long: do not call this from the loop. A server that listens on
    all addresses ("", 0.0.0.0, ::) is reached through the loopback address. Raises OSError or
    UnicodeError if the name is unknown.
    """
    if isinstance(at, str):
        return ((socket.AF_UNIX, at),)
    host, port = at
    host = LOOPBACK.get(host, host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple((family, address) for family, _, _, _, address in found)


def bind_error(
    at: Union[tuple[str, int], str], shared: bool = False, plain: bool = False
) -> Optional[Exception]:
    """Try to bind a host and port, or the path of a Unix socket, as a server would.

    Returns the OSError on failure (UnicodeError for some host names), or None. A socket file at
    which no process listens counts as free: servers replace it. With `shared`, other sockets that
    share the port (SO_REUSEPORT) may listen there.
    """
    try:
        if isinstance(at, str):
            _try_path(at)
        else:
            close_all(bound(bindings(*at, plain), shared))
    except (OSError, UnicodeError) as error:
        return error
    return None


def bound(every: Iterable[Binding], shared: bool = False) -> list[socket.socket]:
    """Bind a socket for each binding. Closes all of them if it raises OSError.

    Like asyncio and tornado, it skips addresses that this machine lacks, unless it lacks all: the
    IPv4 addresses of a name will do where there is no IPv6.
    """
    made: list[socket.socket] = []
    missing: list[OSError] = []
    for binding in every:
        try:
            made.append(_bound(binding, shared))
        except OSError as error:
            missing.append(error)
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                close_all(made)
                raise
    if missing and not made:
        raise missing[0]
    return made


def close_all(every: Iterable[socket.socket]) -> None:
    for one in every:
        one.close()


def _bound(binding: Binding, shared: bool) -> socket.socket:
    made = socket.socket(binding.family, socket.SOCK_STREAM)
    try:
        # As servers do, so that lingering connections of an earlier server are no obstacle.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if binding.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, binding.v6only)
        made.bind(binding.address)
    except OSError:
        made.close()
        raise
    return made


def _v6only_by_default() -> bool:
    """The default of IPV6_V6ONLY: a sysctl on Linux, always true on OpenBSD (ipv6(7))."""
    try:
        with socket.socket(socket.AF_INET6) as any_socket:
            return bool(any_socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    except OSError:  # This machine has no IPv6.
        return True


def _try_path(path: str) -> None:
    """Fail if no socket can be created at this path, or if a process listens there."""
    if path.startswith("\0"):
        return  # An abstract address has no file.
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    if not os.path.exists(path):
        folder = os.path.dirname(path)
        # Skip a relative path: it is relative to the folder that the server changes to.
        if os.path.isabs(path) and not os.path.isdir(folder):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        if os.path.isabs(path) and not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return
    _check_left_over(path)


def _check_left_over(path: str) -> None:
    """Fail unless the file is a socket at which no process listens."""
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def bound_at_path(path: str, mode: int, uid: int = -1, gid: int = -1) -> socket.socket:
    """A Unix socket with these permissions and this owner; -1 keeps this process's user or group.

    Replaces a socket file that was left behind. Closes the socket if it raises OSError.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            _check_left_over(path)
            os.unlink(path)
        # No process may connect before the owner and the permissions are set.
        before = os.umask(0o777)
        try:
            made.bind(path)
        finally:
            os.umask(before)
        if (uid, gid) != (-1, -1):
            os.chown(path, uid, gid)
        os.chmod(path, mode)
    except OSError:
        made.close()
        raise
    return made
