"""A WSGI application that can be imported, but cannot be loaded by the server's processes."""

from __future__ import annotations

import os


def __getattr__(name):
    if name == "application" and "PRODSERVER_PROCESS" in os.environ:
        raise RuntimeError("there is no licence for this process")
    if name == "application":
        return lambda environ, start_response: []
    raise AttributeError(name)
