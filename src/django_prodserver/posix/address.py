"""Addresses: where a server would listen, whether it could, and how to connect to it."""

from __future__ import annotations

import errno
import os
import platform
import socket
import stat
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address
from typing import NamedTuple, Optional, Union

# Where a server that listens everywhere is reached from its own machine.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}

# A family and what connect(2) takes with it: a path for AF_UNIX.
SocketAddress = tuple[int, Union[str, tuple[object, ...]]]

# The longest path of a Unix socket, in bytes: sun_path of unix(7), without its null byte.
LONGEST_PATH = 107 if platform.system() == "Linux" else 103


# What looking up a host name raises that nobody knows, or that cannot be one.
UNKNOWN_HOST = (socket.gaierror, UnicodeError)


class Binding(NamedTuple):
    """What one listening socket is bound to."""

    family: int
    address: tuple[object, ...]
    # An IPv6 socket that does not take IPv4 connections as well.
    v6only: bool

    def takes(self) -> Iterator[tuple[int, object]]:
        """The families and hosts that it takes connections for; "" for all hosts."""
        host = self.address[0]
        if self.family != socket.AF_INET6:
            yield self.family, "" if host == "0.0.0.0" else host
            return
        ip = IPv6Address(str(host).partition("%")[0])
        if ip.ipv4_mapped is not None:
            yield socket.AF_INET, str(ip.ipv4_mapped)
            return
        yield self.family, "" if host == "::" else host
        if host == "::" and not self.v6only:
            yield socket.AF_INET, ""


def bindings(host: str, port: int, plain: bool = False) -> list[Binding]:
    """What a server binds to listen at this host and port.

    It is one socket for each address that the host name has, and for IPv4 and IPv6 if the host is
    empty, each for its own family: asyncio, tornado and waitress do so. With `plain` it is one
    socket as bind(2) has it, of a family that is told by a colon in the host: a name is an IPv4
    address, and `::` takes IPv4 connections as well, unless the system is configured otherwise.

    Raises OSError or UnicodeError where the name is not known.
    """
    family = 0 if not plain else socket.AF_INET6 if ":" in host else socket.AF_INET
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, family, kind, flags=flags)
    v6only = _v6only_by_default() if plain else True
    every = [Binding(family, address, v6only) for family, _, _, _, address in found]
    return every[:1] if plain else every


def collide(some: Iterable[Binding], others: Iterable[Binding]) -> bool:
    """Whether one of these sockets would keep one of the others, at the same port, from binding."""
    ours = [place for binding in some for place in binding.takes()]
    theirs = [place for binding in others for place in binding.takes()]
    return any(
        family == other_family and (host == other_host or "" in (host, other_host))
        for family, host in ours
        for other_family, other_host in theirs
    )


def socket_addresses(at: Union[tuple[str, int], str]) -> tuple[SocketAddress, ...]:
    """Where to connect to for a host and port, or the path of a Unix socket.

    A host name is looked up, which may take long: not to be called from the loop. A server that
    listens everywhere ("", 0.0.0.0, ::) is reached at the loopback. Raises OSError or UnicodeError
    where the name is not known.
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

    Returns the OSError that it fails with (UnicodeError for some names of hosts), or None. A socket
    file that no process listens at is free: servers replace it. With `shared` others that share the
    port may listen there.
    """
    try:
        if isinstance(at, str):
            _try_path(at)
        else:
            _try_all(bindings(*at, plain), shared)
    except (OSError, UnicodeError) as error:
        return error
    return None


def _try_all(every: Sequence[Binding], shared: bool) -> None:
    """As asyncio and tornado: without IPv6 on this machine, a name's IPv4 addresses will do."""
    missing: list[OSError] = []
    for binding in every:
        try:
            _try(binding, shared)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            missing.append(error)
    if missing and len(missing) == len(every):
        raise missing[0]


def _try(binding: Binding, shared: bool) -> None:
    with socket.socket(binding.family, socket.SOCK_STREAM) as listener:
        # As servers do: lingering connections of an earlier server are no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if binding.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, binding.v6only)
        listener.bind(binding.address)


def _v6only_by_default() -> bool:
    """Linux has a sysctl for it, and OpenBSD knows nothing else (ipv6(7))."""
    try:
        with socket.socket(socket.AF_INET6) as any_socket:
            return bool(any_socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    except OSError:  # There is no IPv6 here.
        return True


def _try_path(path: str) -> None:
    """Fail where no socket can be made, or where a process listens at this path."""
    if path.startswith("\0"):
        return  # An abstract one has no file.
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    if not os.path.exists(path):
        folder = os.path.dirname(path)
        # A relative path belongs to the folder that the server changes to.
        if os.path.isabs(path) and not os.path.isdir(folder):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        if os.path.isabs(path) and not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
