"""Which supervisor to ask: that of this project, or the only one there is."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from django_prodserver.supervisor.hints import Optional
from django_prodserver.supervisor.text import printable
from django_prodserver.supervisor.values import Value

from .client import NoAnswer, answers
from .place import ABOUT, SUFFIX, VARIABLE, folders

# The most bytes read of the file that describes a supervisor.
_LONGEST = 1 << 14


class Found(Value):
    """A supervisor, as the file beside its socket describes it."""

    path: str
    pid: int
    uid: int
    # Its folder as it was given, and with symbolic links resolved.
    project: str
    folder: str

    def __str__(self) -> str:
        return printable(f"{self.project} (pid {self.pid}, socket {self.path})")


def find(
    chosen: Optional[str], environ: Mapping[str, str], cwd: str, *, foreign: bool = True
) -> str:
    """The path of the socket to ask. Raises NoAnswer, which lists the candidates.

    If `foreign` is true, and the only supervisor is that of another project, it is asked.
    """
    # The variable may also be `on` or `off`.
    told = environ.get(VARIABLE, "")
    given = chosen or (told if "/" in told else "")
    if given:
        return os.path.abspath(given)
    found = [one for one in everyone(environ) if answers(one.path)]
    here = _of_this_folder(found, environ.get("PWD", cwd), cwd)
    if not foreign:
        found = here
    if len(here) == 1 or (not here and len(found) == 1):
        return (here or found)[0].path
    if not found:
        raise NoAnswer(
            f"no supervisor {'' if foreign else 'of this project '}is running here: a single "
            "process has none, and PRODUCTION_SUPERVISOR may place its control socket elsewhere "
            f"(use {'--socket or ' if foreign else ''}{VARIABLE})"
        )
    listed = "".join(f"\n  {one}" for one in here or found)
    raise NoAnswer(f"several supervisors are running; choose one with --socket:{listed}")


def current_folder() -> str:
    """The current folder; "/" if it has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return "/"


def everyone(environ: Mapping[str, str]) -> list[Found]:
    """All supervisors that this user may ask; not all of them need to be alive."""
    uid = os.geteuid()
    places = folders(environ, uid)
    if uid == 0:
        import glob

        # `docker exec` runs as root, for example, where the supervisor may run as another user.
        places += sorted(glob.glob("/run/user/*/prodserver") + glob.glob("/tmp/prodserver-*"))
    found = (one for folder in dict.fromkeys(places) for one in _within(folder))
    return list(found)


def _of_this_folder(found: Sequence[Found], given: str, cwd: str) -> list[Found]:
    """The supervisors of a folder, or of the nearest parent folder that has any."""
    for start in dict.fromkeys((given, os.path.realpath(cwd))):
        folder = os.path.normpath(start)
        while True:
            here = [one for one in found if folder in (one.project, one.folder)]
            if here:
                return here
            above = os.path.dirname(folder)
            if above == folder:
                break
            folder = above
    return []


def _within(folder: str) -> Iterator[Found]:
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):
            if name.endswith(SUFFIX + ABOUT):
                one = _described(os.path.join(folder, name))
                if one is not None:
                    yield one


def _described(path: str) -> Optional[Found]:
    """Read a description; None if it is not one, or names another user than the file's owner."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            about = json.loads(os.read(fd, _LONGEST))
        finally:
            os.close(fd)
        if about["uid"] != status.st_uid:
            return None
        socket = path[: -len(ABOUT)]
        texts = (str(about["project"]), str(about["folder"]))
        return Found(socket, int(about["pid"]), status.st_uid, *texts)
    except (OSError, ValueError, LookupError, TypeError):
        return None
