"""The user, the folder and the umask with which a process runs: systemd.exec(5).

A process assumes its context after the fork, in this order: umask, supplementary groups, group,
user, folder. So the folder is entered as that user.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress

from django_prodserver.supervisor.hints import Callable, Optional, Union
from django_prodserver.supervisor.values import Value

from . import kernel

# Environment variables that depend on the user.
LOGIN_VARIABLES = ("HOME", "LOGNAME", "USER", "SHELL")
# Shells that only refuse logins: like systemd, do not put them in SHELL.
_NO_SHELLS = ("nologin", "false", "true")
# The longest answer of a child to its parent, in bytes.
_LONGEST = 4096


class Account(Value):
    """A user, its groups, and the environment variables that a login sets."""

    uid: int
    gid: int
    groups: Sequence[int]
    login: Mapping[str, str]


class Context(Value):
    """What a process changes before it runs its program. None leaves a value unchanged."""

    uid: Optional[int] = None
    gid: Optional[int] = None
    # Supplementary groups.
    groups: Optional[Sequence[int]] = None
    # Replaces LOGIN_VARIABLES in the environment, before the process's ENV is applied.
    login: Optional[Mapping[str, str]] = None
    # An absolute path.
    folder: Optional[str] = None
    umask: Optional[int] = None

    @property
    def changes_user(self) -> bool:
        """Whether its user or group differs from that of this process."""
        return (self.uid is not None and self.uid != os.geteuid()) or (
            self.gid is not None and self.gid != os.getegid()
        )


class Refused(Exception):
    """The system does not let this process assume a context; `key` names the setting at fault."""

    def __init__(self, key: str, reason: str, denied: bool = False) -> None:
        self.key = key
        self.reason = reason
        # This process lacks the privilege.
        self.denied = denied
        super().__init__(f"{key}: {reason}")


# ---- users and groups of this machine ----


def account(user: Union[int, str], gid: Optional[int] = None) -> Account:
    """The account of a user, by name or id. Raises KeyError for an unknown name.

    `gid` replaces the group from the user database. A uid that is not in the database gets a gid
    of the same number, as with systemd's DynamicUser=, and no home.
    """
    import pwd  # Does not exist on Windows.

    uid = _id(user)
    try:
        entry = pwd.getpwnam(str(user)) if uid is None else pwd.getpwuid(uid)
    except KeyError:
        if uid is None:
            raise
        login = {"HOME": "/", "LOGNAME": str(uid), "USER": str(uid)}
        return Account(uid, uid if gid is None else gid, (), login)
    gid = entry.pw_gid if gid is None else gid
    login = {"HOME": entry.pw_dir or "/", "LOGNAME": entry.pw_name, "USER": entry.pw_name}
    if os.path.basename(entry.pw_shell) not in ("", *_NO_SHELLS):
        login["SHELL"] = entry.pw_shell
    # What initgroups(3) would set. Looked up here, because the databases may be slow, or remote.
    return Account(entry.pw_uid, gid, tuple(os.getgrouplist(entry.pw_name, gid)), login)


def group_id(group: Union[int, str]) -> int:
    """The id of a group, by name or id. Raises KeyError for an unknown name."""
    import grp

    gid = _id(group)
    return grp.getgrnam(str(group)).gr_gid if gid is None else gid


def user_names() -> list[str]:
    import pwd

    return [entry.pw_name for entry in pwd.getpwall()]


def group_names() -> list[str]:
    import grp

    return [entry.gr_name for entry in grp.getgrall()]


def current_user() -> str:
    """The name of this process's user, or its id if it has no name."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _id(given: Union[int, str]) -> Optional[int]:
    return int(given) if isinstance(given, int) or given.isdecimal() else None


# ---- assuming a context ----


def assume(context: Context, environ: MutableMapping[str, str]) -> None:
    """Give this process the user, the groups and the umask, for good. Raises Refused.

    The folder is left to `enter`.
    """
    if context.umask is not None:
        os.umask(context.umask)
    _change_user(context)
    if context.login is not None:
        for name in LOGIN_VARIABLES:
            environ.pop(name, None)
        environ.update(context.login)


def enter(context: Context, environ: MutableMapping[str, str]) -> None:
    """Change to the folder of the context. Raises Refused."""
    if context.folder is not None:
        try:
            os.chdir(context.folder)
        except OSError as error:
            raise Refused("CWD", _reason(error)) from None
        # The path as written: its symbolic links are not resolved.
        environ["PWD"] = context.folder


@contextmanager
def temporarily_in(folder: Optional[str]) -> Iterator[None]:
    """Change to the folder, and back. Stay here if it is None, or if changing back would fail."""
    try:
        before = os.open(".", os.O_RDONLY) if folder is not None else -1
    except OSError:
        folder = None
    if folder is None:
        yield
        return
    try:
        with suppress(OSError):
            os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def asked_within(context: Context, ask: Callable[[], str]) -> str:
    """What `ask` returns in a process with this context. Raises Refused if it cannot be assumed.

    For another user, `ask` is called in a forked child: only the kernel knows what it permits. The
    umask and the current folder are not changed.
    """
    if not context.changes_user:
        _try_to_enter(context)
        return ask()
    import warnings  # Imported here: only checks call this, not the supervisor.

    # Needed to look up a host. The other user may not be able to read Python's own files.
    codecs.lookup("idna")
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns if threads are running; this child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _answer(context, ask, write_end)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            kind, _, text = pipe.read().decode(errors="replace").partition("\0")
        # The child is not reaped yet, so it still has the other user.
        os.kill(pid, 0)
    except PermissionError:
        raise Refused("USER", "this process could not signal it", denied=True) from None
    finally:
        os.waitpid(pid, 0)
    if kind != "answer":
        denied, _, reason = text.partition("\0")
        raise Refused(
            kind or "USER", reason or "a process with this user exited early", bool(denied)
        )
    return text


def _answer(context: Context, ask: Callable[[], str], write_end: int) -> None:
    """In the child: send the answer, or what was refused, and exit."""
    try:
        try:
            _change_user(context)
            _try_to_enter(context)
            text = f"answer\0{ask()}"
        except Refused as error:
            text = f"{error.key}\0{'denied' if error.denied else ''}\0{error.reason}"
        except Exception as error:
            text = f"USER\0\0{type(error).__name__}: {error}"
        os.write(write_end, text.encode(errors="replace")[:_LONGEST])
    finally:
        os._exit(0)


def _change_user(context: Context) -> None:
    if context.uid is None and context.gid is None:
        return
    asked = kernel.parent_death_signal()
    # Without root, skip a user or group that this process already has: no change is needed.
    root = os.geteuid() == 0
    uid = context.uid if root or context.uid != os.geteuid() else None
    gid = context.gid if root or context.gid != os.getegid() else None
    key = "GROUP" if uid is None else "USER"
    try:
        if context.groups is not None:
            os.setgroups(list(context.groups))
        if gid is not None:
            os.setgid(gid)
        if uid is not None:
            os.setuid(uid)
    except OSError as error:
        raise Refused(key, _reason(error), isinstance(error, PermissionError)) from None
    # The kernel clears it whenever a process changes its user or group (PR_SET_PDEATHSIG).
    kernel.set_parent_death_signal(asked)


def _try_to_enter(context: Context) -> None:
    """Check whether chdir(2) would succeed: a lookup of `.` needs the same search permission."""
    if context.folder is not None:
        try:
            os.stat(os.path.join(context.folder, "."))
        except OSError as error:
            raise Refused("CWD", _reason(error)) from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
