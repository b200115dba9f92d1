"""What several tests of the core say in the same words."""

from __future__ import annotations

from signal import SIGCONT, Signals

from django_prodserver.supervisor.commands import Kill
from django_prodserver.supervisor.facts import Output
from django_prodserver.supervisor.spec import Ref


def asks(ref: Ref, signal: Signals, *, group: bool = False) -> list[Output]:
    """It is asked to end, and goes on where it was stopped, so that it can obey."""
    return [Kill(ref, signal, group), Kill(ref, SIGCONT, group=True)]
