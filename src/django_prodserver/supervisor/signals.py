"""What signals mean to a supervisor."""

from __future__ import annotations

from signal import Signals

# The exit status if everything stops in time. With SIGTERM and SIGQUIT an orchestrator stops a
# healthy supervisor, which is not a failure; SIGINT has the status that shells give it.
STOP_SIGNALS = {Signals.SIGTERM: 0, Signals.SIGQUIT: 0, Signals.SIGINT: 128 + Signals.SIGINT}
# SIGHUP requests a reload, but at a terminal it means that the terminal was closed.
STOP_SIGNALS_AT_TERMINAL = {**STOP_SIGNALS, Signals.SIGHUP: 128 + Signals.SIGHUP}
FORWARDED = frozenset({Signals.SIGUSR1, Signals.SIGUSR2})
RELOAD = Signals.SIGHUP
HANDLED = frozenset({*STOP_SIGNALS, *FORWARDED, RELOAD})
