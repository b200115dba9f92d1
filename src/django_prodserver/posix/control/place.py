"""Where control sockets are, and how a supervisor takes one for itself for as long as it lives.

A socket `NAME` has a file `NAME.json` beside it, which describes the supervisor and is locked by
it. (To connect, and bind if nothing answers, would not do: two supervisors can find the same stale
socket at the same moment.)
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from django_prodserver.posix.address import LONGEST_PATH
from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.values import Value

VARIABLE = "PRODSERVER_CONTROL"
ABOUT = ".json"
SUFFIX = ".sock"
# The folder of sockets below a runtime folder such as /run; in /tmp the user's id is appended.
FOLDER = "prodserver"
# Clients that may wait to be accepted.
BACKLOG = 64


class Unavailable(Exception):
    """A socket cannot be made at a place; the text is a sentence."""


class InUse(Unavailable):
    """Another supervisor has that socket."""


class ControlSettings(Value):
    """What the settings say about the control socket, and a description of the supervisor."""

    # An absolute path; None: `name`, in the usual folder.
    path: Optional[str]
    name: str
    # The id of a group whose members may read.
    gid: Optional[int]
    # A JSON object that describes the supervisor, without its pid.
    about: str

    def same_settings_as(self, other: Optional[ControlSettings]) -> bool:
        """Whether the settings are the same, even if the project's folder is not."""
        return other is not None and (self.path, self.gid) == (other.path, other.gid)


class Place(Value):
    """Where the socket is, and the descriptor that locks the file beside it."""

    path: str
    listener: socket.socket
    lock: int

    def close(self) -> None:
        """Remove the socket and the file beside it, and unlock it."""
        for path in (self.path, self.path + ABOUT):
            with suppress(OSError):
                os.unlink(path)
        self.release()

    def release(self) -> None:
        """In a forked child: close what belongs to the supervisor."""
        self.listener.close()
        with suppress(OSError):
            os.close(self.lock)


def folders(environ: Mapping[str, str], uid: int) -> list[str]:
    """The folders for sockets of a user, the best first; not all of them need to exist."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    places = [runtime] if os.path.isabs(runtime) else []
    return [
        *(os.path.join(place, FOLDER) for place in (*places, f"/run/user/{uid}", "/run")),
        f"/tmp/{FOLDER}-{uid}",
    ]


def name_of(folder: str) -> str:
    """The socket's name for a project in this folder, whose symbolic links are resolved."""
    import zlib  # Not for a supervisor, which is told the name.

    base = "".join(c if c.isalnum() or c in "-_" else "-" for c in os.path.basename(folder))
    return f"{base[:20] or 'project'}-{zlib.crc32(os.fsencode(folder)):08x}{SUFFIX}"


def take(settings: ControlSettings) -> Place:
    """Bind the socket and lock it. Raises Unavailable, or InUse."""
    if settings.path is not None:
        return _take_at(settings.path, settings)
    refusals = []
    for folder in folders(os.environ, os.geteuid()):
        parent = os.path.dirname(folder)
        if not (os.path.isdir(folder) or (os.path.isdir(parent) and os.access(parent, os.W_OK))):
            continue
        try:
            return _take_at(os.path.join(folder, settings.name), settings)
        except InUse:
            raise
        except Unavailable as refusal:
            refusals.append(str(refusal))
    raise Unavailable("; ".join(refusals) or "none of the folders for it is writable")


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """A path by which to bind or connect a socket, even if its own path is too long for that."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield path
        return
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


# ---- how ----


def _take_at(path: str, settings: ControlSettings) -> Place:
    folder = os.path.dirname(path)
    try:
        _prepare_folder(folder, settings.gid)
        lock = _lock(path + ABOUT)
        try:
            listener = _bind(path, settings.gid)
        except BaseException:
            os.close(lock)
            raise
        _describe(lock, settings)
        _remove_abandoned(folder)
    except OSError as error:
        raise Unavailable(f"{error.filename or path}: {error.strerror or error}") from None
    return Place(path, listener, lock)


def _prepare_folder(folder: str, gid: Optional[int]) -> None:
    """Make sure that there is a folder in which no other user can replace the socket."""
    ours = os.path.basename(folder) in (FOLDER, f"{FOLDER}-{os.geteuid()}")
    with suppress(FileExistsError):
        os.makedirs(folder, 0o700)
    found = os.lstat(folder)
    if stat.S_ISLNK(found.st_mode):
        if ours:
            raise Unavailable(f"{folder} is a symbolic link")
        found = os.stat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"{folder} is not a folder")
    if found.st_uid not in (os.geteuid(), 0) or (ours and found.st_uid != os.geteuid()):
        raise Unavailable(f"{folder} belongs to another user, with the id {found.st_uid}")
    if ours:
        # With 0o711 members of the group reach the socket, but cannot list the folder.
        os.chmod(folder, 0o711 if gid is not None or found.st_mode & 0o011 else 0o700)
    elif found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise Unavailable(f"other users can write to {folder}")
    # A user who can write to a parent folder can replace this one.
    above = os.path.realpath(folder)
    while above != "/":
        above = os.path.dirname(above)
        mode = os.stat(above).st_mode
        if mode & 0o002 and not mode & stat.S_ISVTX:
            raise Unavailable(f"other users can write to {above}")


def _lock(path: str) -> int:
    """Lock the file beside a socket; returns its descriptor. Raises InUse."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        lock = os.open(path, flags, 0o600)
        try:
            found = os.fstat(lock)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise Unavailable(f"{path} is not a file of this user")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUse(_in_use(path, lock)) from None
            # The previous owner may have just removed the file.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), found):
                    return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _in_use(path: str, lock: int) -> str:
    about = os.read(lock, 4096).decode(errors="replace")
    # The owner writes the file right after locking it: it may still be empty.
    pid = about.partition('"pid": ')[2].partition(",")[0]
    who = f"with pid {pid} " if pid.isdecimal() else ""
    return f"the supervisor {who}has the control socket {path[: -len(ABOUT)]}"


def _bind(path: str, gid: Optional[int]) -> socket.socket:
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
            raise Unavailable(f"{path} is not a socket of this user")
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # No other user may connect before the socket has its final permissions.
        before = os.umask(0o177)
        try:
            with reachable(path) as address:
                listener.bind(address)
        finally:
            os.umask(before)
        if gid is not None:
            os.chown(path, -1, gid)
            os.chmod(path, 0o660)
        listener.setblocking(False)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _describe(lock: int, settings: ControlSettings) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f'{{"pid": {os.getpid()}, {settings.about[1:]}\n'.encode(), 0)
    if settings.gid is not None:
        os.fchown(lock, -1, settings.gid)
        os.fchmod(lock, 0o640)


def _remove_abandoned(folder: str) -> None:
    """Remove what killed supervisors have left behind: sockets whose file is not locked."""
    with suppress(OSError), os.scandir(folder) as entries:
        found = [one.path for one in entries if one.name.endswith(SUFFIX + ABOUT)]
        for about in found:
            with suppress(OSError, Unavailable):
                lock = _lock_existing(about)
                try:
                    os.unlink(about[: -len(ABOUT)])
                finally:
                    with suppress(OSError):
                        os.unlink(about)
                    os.close(lock)


def _lock_existing(path: str) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.stat(path), os.fstat(lock)):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(lock)
        raise
    return lock
