"""The folder in which prometheus_client keeps the metrics of all processes of a run.

Its path is in the environment of each process from the start, because the library reads it when it
is imported. A folder that the user has chosen is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Optional

from .output import open_standard_descriptors
from .private_folder import METRICS, PrivateFolder, reachable, runtime, temporary

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# An older name, which the library still accepts.
_OLDER = "prometheus_multiproc_dir"
LIBRARY = "prometheus_client"


class MetricsFolder(PrivateFolder):
    """A private folder. Under root, processes with a USER may write to the folder inside it."""

    def __init__(self) -> None:
        super().__init__(METRICS, reachable([*runtime(), *temporary()]))
        self.inner = os.path.join(self.path, os.urandom(16).hex())
        try:
            os.mkdir(self.inner, 0o700)
            if os.geteuid() == 0:
                # Like /tmp, except that other users cannot list it.
                os.chmod(self.inner, 0o1733)
        except OSError:
            self.close()
            raise

    @classmethod
    def of(cls, inner: str, lock: int) -> MetricsFolder:
        """The folder that was handed over."""
        folder = cls.__new__(cls)
        folder.inner, folder.path, folder._lock = inner, os.path.dirname(inner), lock
        os.set_inheritable(lock, False)
        return folder

    def hand_over(self) -> Sequence[object]:
        """Keep it for the program that this process is about to execute; return what `of` takes."""
        os.set_inheritable(self._lock, True)
        return [self.inner, self._lock]


_ours: Optional[MetricsFolder] = None


def is_wanted() -> bool:
    """Whether the library is installed, and the user has not chosen a folder for it."""
    if os.environ.get(VARIABLE) or os.environ.get(_OLDER):
        return False
    from importlib.util import find_spec  # Not needed in the supervisor.

    return find_spec(LIBRARY) is not None


def begin() -> None:
    """Create a folder for this process and all that it starts, if there is a place for it.

    It is removed when this process exits, or the supervisor that this process becomes.
    """
    import atexit  # Not needed in the supervisor, which calls `end` itself.

    open_standard_descriptors()  # Otherwise the lock could become one of them.
    try:
        take_over(MetricsFolder())
    except OSError:
        return
    process = os.getpid()
    atexit.register(lambda: end() if os.getpid() == process else None)


def take_over(folder: MetricsFolder) -> None:
    global _ours
    _ours = folder
    os.environ[VARIABLE] = folder.inner


def ours() -> Optional[MetricsFolder]:
    """Our folder; None if there is none, or if the user has chosen one."""
    return _ours


def added_to(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that is started again, with the name of our folder."""
    return {**environ, VARIABLE: _ours.inner} if _ours is not None else dict(environ)


def leave() -> None:
    """In a forked child: forget the folder. Only the supervisor removes it."""
    global _ours
    if _ours is not None:
        _ours.release()
        _ours = None


def end() -> None:
    global _ours
    if _ours is not None:
        _ours.close()
        _ours = None
