"""One task, in the form that the software under test needs."""

from __future__ import annotations

import io

from queued import queued


def tell(token, seconds):
    from .everything import report

    # A direct system call: greenlets of eventlet must not call `os.write` concurrently.
    io.FileIO(1, "w", closefd=False).write(f"told {report(token, seconds)}\n".encode())


tell, send = queued(tell)


def enqueue(tokens, seconds=0):
    for token in tokens:
        send(token, seconds)
