"""The order with which a supervisor starts a program: to be a template."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from functools import cached_property

from django_prodserver.supervisor.hints import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from django_prodserver.posix.program import Stage

    from .channel import Channel

# The descriptor of its channel to the supervisor, and one of the words below.
CHANNEL = "PRODSERVER_TEMPLATE"
# It is the first one; the first one of a reload; or another one.
FIRST, RELOADED, AGAIN = "first", "reloaded", "again"


class Order:
    """What a supervisor wants of a program that it has started."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        # It is the first template of its generation: the supervisor has no plan of that yet.
        self.first = what in (FIRST, RELOADED)
        # Others serve at the addresses of the project.
        self.running = what != FIRST
        # When the program was let run, in the clock of `time.monotonic`, if that was not at once.
        self._given_at: Optional[float] = None

    @cached_property
    def channel(self) -> Channel:
        from .channel import Channel  # Not for every management command.

        return Channel.of(self._fd)

    @cached_property
    def run(self) -> str:
        """What marks all that belongs to that supervisor."""
        (run,) = self._receive("run")
        return str(run)

    @cached_property
    def modules(self) -> Sequence[str]:
        """What an interpreter is to import that is started ahead of a reload."""
        (modules,) = self._receive("import")
        return list(modules)

    def wait(self) -> None:
        """Until the supervisor says more."""
        select.select([self.channel], [], [])
        self._given_at = time.monotonic()
        # A program may end before it needs it.
        self.channel.detach()
        del self.channel

    @property
    def age(self) -> Optional[float]:
        """Seconds since the end of that wait; None if there was none."""
        return None if self._given_at is None else time.monotonic() - self._given_at

    def leave_to_another(self) -> None:
        """Let the program that is executed next have it, instead of this one."""
        os.environ[CHANNEL] = f"{self._fd} {self._what}"
        os.set_inheritable(self._fd, True)

    def _receive(self, word: str) -> Sequence[Any]:
        message = self.channel.receive()
        assert message is not None, "it blocks"
        assert message[0] == word
        return message[1:]

    @cached_property
    def stage(self) -> Stage:
        """The stage that is to be loaded, where it is not the first one."""
        _ = self.run  # It comes before that.
        stage: Stage
        (stage,) = self._receive("load")
        return stage


_order: Optional[Order] = None


def inherited() -> Optional[Order]:
    """The order, if this program was started by a supervisor, to be a template.

    To be called as early as possible: what is executed meanwhile has the channel, too.
    """
    global _order
    given = os.environ.pop(CHANNEL, "")
    if given:
        fd, _, what = given.partition(" ")
        os.set_inheritable(int(fd), False)
        _order = Order(int(fd), what)
    return _order
