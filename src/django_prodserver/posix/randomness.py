"""Random numbers after a fork: reseed numpy's global generator.

Python itself reseeds only its own `random` in each forked process.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache

from django_prodserver.supervisor.hints import Any


@cache
def reseed_forks() -> None:
    """Reseed in every process that is forked from now on, and in those that it forks in turn.

    That includes each life, and each worker that a server forks.
    """
    os.register_at_fork(after_in_child=reseed)


def reseed() -> None:
    """Reseed numpy's global generator, if numpy is in use and the project has not seeded it.

    A project that calls `numpy.random.seed(42)` wants the same numbers in each process.
    """
    random: Any = sys.modules.get("numpy.random")
    if random is None:
        return
    # A numpy version with other internals is left alone.
    with suppress(AttributeError, TypeError, ValueError):
        generator = random.get_state.__self__
        bits = generator._bit_generator
        # Public since numpy 1.25. None: the project has seeded it with a number or set its state.
        seeded_by_numpy = getattr(bits, "seed_seq", None) or getattr(bits, "_seed_seq", None)
        if seeded_by_numpy is not None:
            fresh = type(generator)(type(bits)())
            generator.set_state(fresh.get_state(legacy=False))
