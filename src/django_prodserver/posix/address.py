"""Addresses: whether a server could listen there, and how to connect to it."""

from __future__ import annotations

import os
import socket
import stat
from typing import Optional, Union

# A family and what connect(2) takes with it: a path for AF_UNIX.
SocketAddress = tuple[int, Union[str, tuple[object, ...]]]


def socket_addresses(at: Union[tuple[str, int], str]) -> tuple[SocketAddress, ...]:
    """Where to connect to for a host and port, or the path of a Unix socket.

    A host name is looked up, which may take long: not to be called from the loop. A server that
    listens everywhere ("", 0.0.0.0, ::) is reached at the loopback. Raises OSError or UnicodeError
    where the name is not known.
    """
    if isinstance(at, str):
        return ((socket.AF_UNIX, at),)
    host, port = at
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple((family, address) for family, _, _, _, address in found)


def why_not_free(at: Union[tuple[str, int], str], shared: bool = False) -> Optional[str]:
    """Try to bind a host and port, or the path of a Unix socket, as a server would.

    Returns the reason why it fails, or None. A socket file that no process listens at is free:
    servers replace it. With `shared` others that share the port may listen there.
    """
    try:
        if isinstance(at, str):
            _connect(at)
        else:
            _bind(*at, shared)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _bind(host: str, port: int, shared: bool) -> None:
    if not 0 <= port < 65536:
        raise OSError(f"{port} is not a port")
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as listener:
            # As servers do: lingering connections of an earlier server are no obstacle.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)


def _connect(path: str) -> None:
    """Fail where a process listens at this path."""
    if not os.path.exists(path) or not stat.S_ISSOCK(os.stat(path).st_mode):
        return
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return
    raise OSError("Address already in use")
