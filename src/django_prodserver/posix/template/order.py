"""The order with which a supervisor starts a program: to be a template."""

from __future__ import annotations

import os
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
        # It is the first template of its generation: the supervisor has no plan of that yet.
        self.first = what in (FIRST, RELOADED)
        # Others serve at the addresses of the project.
        self.running = what != FIRST

    @cached_property
    def channel(self) -> Channel:
        from .channel import Channel  # Not for every management command.

        return Channel.of(self._fd)

    @cached_property
    def run(self) -> str:
        """What marks all that belongs to that supervisor."""
        (run,) = self._receive("run")
        return str(run)

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
