"""The folder in which prometheus_client keeps the metrics of all processes of a run.

Its name is in the environment of each of them from the start: the library looks there when it is
imported. A folder that the user has chosen is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from django_prodserver.supervisor.hints import Optional

from .output import open_standard_descriptors
from .private_folder import METRICS, PrivateFolder, reachable, runtime, temporary

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# A name that the library goes on to accept.
_OLDER = "prometheus_multiproc_dir"
LIBRARY = "prometheus_client"


class MetricsFolder(PrivateFolder):
    """Other users may write into the inner one, under root: those of processes with a USER."""

    def __init__(self) -> None:
        super().__init__(METRICS, reachable([*runtime(), *temporary()]))
        self.inner = os.path.join(self.path, os.urandom(16).hex())
        try:
            os.mkdir(self.inner, 0o700)
            if os.geteuid() == 0:
                # As /tmp has it, but that nobody can list it.
                os.chmod(self.inner, 0o1733)
        except OSError:
            self.close()
            raise

    @classmethod
    def of(cls, inner: str, lock: int) -> MetricsFolder:
        """The one that was handed over."""
        folder = cls.__new__(cls)
        folder.inner, folder.path, folder._lock = inner, os.path.dirname(inner), lock
        os.set_inheritable(lock, False)
        return folder

    def hand_over(self) -> Sequence[object]:
        """To the program that this process is about to become: what `of` takes."""
        os.set_inheritable(self._lock, True)
        return [self.inner, self._lock]


_ours: Optional[MetricsFolder] = None


def is_wanted() -> bool:
    """Whether the library is installed, and nobody has chosen a folder for it."""
    if os.environ.get(VARIABLE) or os.environ.get(_OLDER):
        return False
    from importlib.util import find_spec  # The supervisor does not ask.

    return find_spec(LIBRARY) is not None


def begin() -> None:
    """Make one, and let this process and all that it starts have it. Nothing if there is no place.

    It is removed at the end of this process, or of the supervisor that this becomes.
    """
    import atexit  # The supervisor has another end.

    open_standard_descriptors()  # The lock is to be none of these.
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
    """None where there is none, or where the user has chosen one."""
    return _ours


def added_to(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program that is started again, with the name of our folder."""
    return {**environ, VARIABLE: _ours.inner} if _ours is not None else dict(environ)


def leave() -> None:
    """In a fork that goes on without the supervisor's own: this alone removes it."""
    global _ours
    if _ours is not None:
        _ours.release()
        _ours = None


def end() -> None:
    global _ours
    if _ours is not None:
        _ours.close()
        _ours = None
