"""How long imports take: each module on its own, and with everything that it imports.

Python holds a lock for each module while it finds, reads and executes it. The class of these locks
is replaced by one that reads the clock when a lock is acquired and released. No frame of ours is on
the stack while a module is executed, and no finder, loader or spec is touched. So tracebacks, the
stack level of warnings, and which module imports which stay as they are.

No other way has all of these advantages: a wrapper of `__import__` or `exec_module` adds a frame to
each traceback, a finder does not learn when an import ends, `sys.setprofile` intercepts every call,
and not every Python has `sys.monitoring`.

The class is private to Python, which has had it since 3.4. Without it, nothing is timed.
"""

from __future__ import annotations

from contextvars import ContextVar
from importlib import _bootstrap
from time import monotonic
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from django_prodserver.control.startup import Preload

_NAME = "_ModuleLockManager"
_Lock: Any = getattr(_bootstrap, _NAME, None)


class _Import:
    """The lock of one module, for as long as it is held."""

    __slots__ = ("_began", "_lock", "_name", "_outer", "_within")

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = _Lock(name)

    def __enter__(self) -> None:
        self._lock.__enter__()
        self._outer: Optional[_Import] = _innermost.get()
        _innermost.set(self)
        # The seconds spent on modules that it imports.
        self._within = 0.0
        self._began = monotonic()

    def __exit__(self, *error: object) -> None:
        seconds = monotonic() - self._began
        self._lock.__exit__(*error)
        _innermost.set(self._outer)
        if self._outer is not None:
            self._outer._within += seconds
        if _timing is not None:
            _timing.note(self._name, seconds - self._within, seconds)


# Each thread, greenlet or task has its own.
_innermost: ContextVar[Optional[_Import]] = ContextVar("innermost import", default=None)


class _Timing:
    """The times of all imports since it was created."""

    def __init__(self) -> None:
        self.began = monotonic()
        # By module: seconds on its own, and with everything that it imports.
        self._seconds: dict[str, tuple[float, float]] = {}

    def note(self, name: str, own: float, seconds: float) -> None:
        # A module may be imported again after a failure, or import itself in a circle.
        before = self._seconds.get(name, (0.0, 0.0))
        self._seconds[name] = before[0] + own, max(before[1], seconds)

    def result(self) -> Preload:
        # Imported only here: what is imported before `begin` would not be timed.
        from django_prodserver.control.startup import MOST_MODULES, Imported, Preload

        # A copy: another thread may be about to add an entry.
        timed = list(self._seconds.items())
        imports = [Imported(name, own, whole) for name, (own, whole) in timed]
        imports.sort(key=lambda one: one.seconds, reverse=True)
        whole = {one.name for one in imports[:MOST_MODULES]}
        imports.sort(key=lambda one: one.own, reverse=True)
        slowest = imports[:MOST_MODULES]
        slowest += [one for one in imports[MOST_MODULES:] if one.name in whole]
        return Preload(
            began=self.began,
            seconds=monotonic() - self.began,
            modules=len(imports),
            importing=sum((one.own for one in imports), 0.0),
            slowest=slowest,
        )


_timing: Optional[_Timing] = None


def begin() -> None:
    """Time imports from now on, unless they are timed already."""
    global _timing
    if _timing is None:
        _timing = _Timing()
        if _Lock is not None:
            setattr(_bootstrap, _NAME, _Import)


def end() -> Preload:
    """Stop timing imports; return the times since `begin`."""
    global _timing
    begin()  # In case it was not called.
    assert _timing is not None
    ended, _timing = _timing, None
    if _Lock is not None:
        setattr(_bootstrap, _NAME, _Lock)
    return ended.result()
