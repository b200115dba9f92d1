"""Which process is at the other end of a socket: used by the server and by its clients."""

from __future__ import annotations

import os
import socket
import sys

from django_prodserver.supervisor.hints import Optional


def peer(accepted: socket.socket) -> Optional[tuple[int, int]]:
    """The uid and the pid of the peer; None if the system does not report them.

    The pid is 0 for a process in another namespace (unix(7), SO_PEERCRED), and on systems that
    report the uid only (getpeereid(3)).
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is not None:
        credentials = accepted.getsockopt(socket.SOL_SOCKET, option, 12)
        pid, uid = (int.from_bytes(credentials[at : at + 4], sys.byteorder) for at in (0, 4))
        return uid, pid
    return _peer_of_bsd(accepted)


def _peer_of_bsd(accepted: socket.socket) -> Optional[tuple[int, int]]:
    import ctypes

    getpeereid = getattr(ctypes.CDLL(None), "getpeereid", None)
    if getpeereid is None:
        return None
    uid, gid = ctypes.c_uint(), ctypes.c_uint()
    if getpeereid(accepted.fileno(), ctypes.byref(uid), ctypes.byref(gid)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return uid.value, 0
