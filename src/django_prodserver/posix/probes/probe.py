"""One probe: from `start` until `finish` says how it ended, or until it is closed."""

from __future__ import annotations

import selectors

from django_prodserver.supervisor.hints import Callable, Optional, Union
from django_prodserver.supervisor.values import Value


class NotBegun(Value):
    """The system had no descriptor, process or memory left; `error` is the system's text."""

    error: str


# Why the probe failed; empty on success.
Outcome = Union[str, NotBegun]


class Probe:
    """Base class; each kind defines how it begins, and how to close what it has open.

    Any exception in one of its steps is a failure of the probe: its input comes from elsewhere, and
    no list of what a parser may raise for that is complete.
    """

    def __init__(self, selector: selectors.PollSelector) -> None:
        self._selector = selector
        self._finished: Optional[Callable[[Outcome], None]] = None
        self._watched: Optional[int] = None

    def start(self, finished: Callable[[Outcome], None]) -> None:
        """Begin; `finished` takes the outcome, and may be called at once."""
        self._finished = finished
        self.step(self._begin)

    def finish(self, outcome: Outcome = "") -> None:
        finished = self._finished
        self.close()
        if finished is not None:
            finished(outcome)

    def step(self, do: Callable[[], None]) -> None:
        """Do one step, unless the probe has ended."""
        if self._finished is None:
            return
        try:
            do()
        except Exception as error:
            if self._finished is None:
                raise  # It comes from the callback that got the outcome.
            self.finish(f"the probe failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        """End the probe; it reports nothing after this."""
        self._finished = None
        self._unwatch()
        self.release()

    def release(self) -> None:
        """Close what is open."""
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _watch(self, fd: int, event: int, callback: Callable[[], None]) -> None:
        self._unwatch()
        # The events of one poll are handled one by one: by then the probe may be closed, and its
        # descriptor reused.
        self._selector.register(fd, event, lambda: self.step(callback))
        self._watched = fd

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._selector.unregister(self._watched)
            self._watched = None
