"""What `ready` opens in the process, and what each process later finds of it."""

from __future__ import annotations

import json
import os
import threading
import time

import numpy
from django.conf import settings
from django.core.cache import cache, caches
from pooled.database import answer

poller = None
_drawing = threading.Lock()
_drawn = {}


def begin():
    global poller
    answer("0")
    cache.set("0", "0")
    numpy.random.random()
    if os.environ.get("POLLS"):
        poller = threading.Thread(target=_poll, name="flag-poller", daemon=True)
        poller.start()


def _poll():
    while not threading.Event().wait(0.05):
        """Whether a flag has changed."""


def report(token, seconds=0):
    """Report what this process receives for a token after a sleep, and facts about the process."""
    try:
        return json.dumps(_report(token, seconds))
    except Exception as error:
        return json.dumps({"token": token, "error": repr(error)})


def _cached(token):
    if not settings.ASYNC:
        cache.set(token, token)
        return cache.get(token)
    # asyncio's tasks inherit the context in which the project was set up, and with it the cache
    # that `ready` opened: concurrent tasks get each other's answers, under any server.
    own = caches.create_connection("default")
    try:
        own.set(token, token)
        return own.get(token)
    finally:
        own.close()


def _report(token, seconds):
    since = time.monotonic()
    asked = answer(token)
    time.sleep(seconds)
    cached = _cached(token)
    with _drawing:
        if os.getpid() not in _drawn:
            _drawn[os.getpid()] = numpy.random.random()
    return {
        "token": token,
        "answer": answer(asked),
        "cached": cached,
        "polls": poller is not None and poller.is_alive(),
        "pid": os.getpid(),
        "drawn": _drawn[os.getpid()],
        "since": since,
        "until": time.monotonic(),
    }
