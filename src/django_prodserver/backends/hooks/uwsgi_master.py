"""Imported by uWSGI's master before it loads the application and forks its workers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django_prodserver.posix.randomness import reseed

# This module exists only inside uWSGI.
uwsgi: Any = import_module("uwsgi")

# In each worker uWSGI reseeds Python's `random`, and nothing else. There is only one hook after a
# fork. uwsgidecorators, which many applications import, takes it, and calls a list of functions.
try:
    decorators: Any = import_module("uwsgidecorators")
    decorators.postfork(reseed)
except ImportError:
    uwsgi.post_fork_hook = reseed
