"""Whether a server could listen at an address."""

from __future__ import annotations

import os
import socket
import stat
from typing import Optional, Union


def why_not_free(at: Union[tuple[str, int], str], shared: bool = False) -> Optional[str]:
    """Try to bind a host and port, or the path of a Unix socket, as a server would.

    Returns the reason why it fails, or None. A socket file that nobody listens at any more is
    free: servers replace it. With `shared` others may listen there that share it likewise.
    """
    try:
        if isinstance(at, str):
            _connects(at)
        else:
            _bind(*at, shared)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _bind(host: str, port: int, shared: bool) -> None:
    if not 0 <= port < 65536:
        raise OSError(f"{port} is no port")
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections of a former one that linger are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)


def _connects(path: str) -> None:
    if not os.path.exists(path) or not stat.S_ISSOCK(os.stat(path).st_mode):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
    raise OSError("Address already in use")
