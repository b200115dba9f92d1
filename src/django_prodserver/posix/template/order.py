"""The order that a supervisor gives to a program it starts: to be a template."""

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

# This variable has the descriptor of its channel to the supervisor, and one of the words below.
CHANNEL = "PRODSERVER_TEMPLATE"
# The first template of all, the first one of a reload, or any other.
FIRST, RELOADED, AGAIN = "first", "reloaded", "again"


class Order:
    """What a program is to do for the supervisor that has started it."""

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        # It is the first template of its generation, whose plan the supervisor does not have yet.
        self.first = what in (FIRST, RELOADED)
        # The project runs already, and uses its addresses.
        self.running = what != FIRST
        # When `wait` returned, in the clock of `time.monotonic`.
        self._given_at: Optional[float] = None

    @cached_property
    def channel(self) -> Channel:
        from .channel import Channel  # Most management commands never need it.

        return Channel.of(self._fd)

    @cached_property
    def run(self) -> str:
        """The mark of every process of that supervisor."""
        (run,) = self._receive("run")
        return str(run)

    @cached_property
    def modules(self) -> Sequence[str]:
        """The modules that an interpreter started ahead of a reload is to import."""
        (modules,) = self._receive("import")
        return list(modules)

    def wait(self) -> None:
        """Wait for the next message of the supervisor."""
        select.select([self.channel], [], [])
        self._given_at = time.monotonic()
        # Keep only the descriptor: the program may exit before it needs the channel.
        self.channel.detach()
        del self.channel

    @property
    def age(self) -> Optional[float]:
        """Seconds since `wait` returned; None if it was not called."""
        return None if self._given_at is None else time.monotonic() - self._given_at

    def leave_to_another(self) -> None:
        """Pass the order on to the program that this process executes next."""
        os.environ[CHANNEL] = f"{self._fd} {self._what}"
        os.set_inheritable(self._fd, True)

    def _receive(self, word: str) -> Sequence[Any]:
        message = self.channel.receive()
        assert message is not None, "it blocks"
        assert message[0] == word
        return message[1:]

    @cached_property
    def stage(self) -> Stage:
        """The stage to load, unless this is the first template of its generation."""
        _ = self.run  # That message comes first.
        stage: Stage
        (stage,) = self._receive("load")
        return stage


_order: Optional[Order] = None


def inherited() -> Optional[Order]:
    """The order, if a supervisor has started this program to be a template.

    Call this as early as possible: until then, programs that are executed inherit the channel.
    """
    global _order
    given = os.environ.pop(CHANNEL, "")
    if given:
        fd, _, what = given.partition(" ")
        os.set_inheritable(int(fd), False)
        _order = Order(int(fd), what)
    return _order
