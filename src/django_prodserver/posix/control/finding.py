"""Which supervisor is meant: the one of this project, or the only one there is."""

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

# What is read of a file that says whose socket it is.
_LONGEST = 1 << 14


class Found(Value):
    """A supervisor, as the file beside its socket describes it."""

    path: str
    pid: int
    uid: int
    # Its folder as it was given, and without symbolic links.
    project: str
    folder: str

    def __str__(self) -> str:
        return printable(f"{self.project} (pid {self.pid}, socket {self.path})")


def find(
    chosen: Optional[str], environ: Mapping[str, str], cwd: str, *, foreign: bool = True
) -> str:
    """The path of the socket to ask. Raises NoAnswer, which names all that could be meant.

    A `foreign` supervisor, of another project, is meant where it is the only one.
    """
    # It may be `on` or `off` as well.
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
    """Where it is looked from; "/" if that folder has been removed."""
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

        # Such as by `docker exec`, which is root where the supervisor may be another user.
        places += sorted(glob.glob("/run/user/*/prodserver") + glob.glob("/tmp/prodserver-*"))
    found = (one for folder in dict.fromkeys(places) for one in _within(folder))
    return list(found)


def _of_this_folder(found: Sequence[Found], given: str, cwd: str) -> list[Found]:
    """Those of the folder, or of the nearest one above it that has any."""
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
    """None for what is not such a file, or is somebody else's."""
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
