"""One task, as the software of the test has it."""

from __future__ import annotations

import io

from queued import queued


def tell(token, seconds):
    from .everything import report

    # By a system call: greenlets of eventlet must not call `os.write` at once.
    io.FileIO(1, "w", closefd=False).write(f"told {report(token, seconds)}\n".encode())


tell, send = queued(tell)


def enqueue(tokens, seconds=0):
    for token in tokens:
        send(token, seconds)
