"""One task, which records when it begins and ends, and functions that enqueue it."""

from __future__ import annotations

import os
import sys
import time
from select import select

from django.conf import settings
from queued import queued

RELEASE = (settings.BASE_DIR / "release").read_text()
NOTES = settings.BASE_DIR / "notes"
# Seconds between batches, and tasks per batch: some wait while others are executed.
EVERY, AT_ONCE = 0.2, 4


def note(token, seconds):
    _write(f"{token} begins in {RELEASE}\n")
    time.sleep(seconds)
    _write(f"{token} ends in {RELEASE}\n")


note, send = queued(note)


def _write(line):
    with open(NOTES, "ab", buffering=0) as file:
        file.write(line.encode())
    # For tests that wait for this line.
    os.write(1, line.encode())


def send_all(tokens, seconds):
    for token in tokens:
        send(token, seconds)


def enqueue(least):
    """Enqueue at least so many tasks, until stdin is closed; print how many there were."""
    number, closed = 0, False
    while number < least or not closed:
        for token in range(number, number + AT_ONCE):
            send(str(token), 0.01 * (1 + token % 5))
        number += AT_ONCE
        if number == AT_ONCE:
            print("enqueues", flush=True)
        if closed:
            time.sleep(EVERY)
        else:
            closed = bool(select([sys.stdin], [], [], EVERY)[0])
    print(f"enqueued {number}")
