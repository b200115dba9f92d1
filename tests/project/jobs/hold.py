"""Work that is in progress for as long as the test wants it to be."""

from __future__ import annotations

import os

from django.conf import settings


def say(text):
    os.write(1, f"{text}\n".encode())


def hold(name):
    """Say that it is in progress; block until the test opens the FIFO of that name to write."""
    say(f"{name} in progress")
    with open(settings.BASE_DIR / f"{name}.fifo"):
        pass
    say(f"{name} done")
