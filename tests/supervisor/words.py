"""Outputs that several tests of the core expect."""

from __future__ import annotations

from signal import SIGCONT, Signals

from django_prodserver.supervisor.commands import Kill
from django_prodserver.supervisor.facts import Output
from django_prodserver.supervisor.spec import Ref


def asks(ref: Ref, signal: Signals, *, group: bool = False) -> list[Output]:
    """The signal that asks a life to stop, and SIGCONT, so that a stopped process can obey."""
    return [Kill(ref, signal, group), Kill(ref, SIGCONT, group=True)]
