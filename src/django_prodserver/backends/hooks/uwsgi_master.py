"""Imported by uWSGI's master before it loads the application, and forks its workers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django_prodserver.posix.randomness import reseed

# In uWSGI alone there is such a module.
uwsgi: Any = import_module("uwsgi")

# uWSGI reseeds Python's `random` in each worker, and nothing else. There is one hook. Whoever
# imports uwsgidecorators, as many applications do, takes it and calls a list of others.
try:
    decorators: Any = import_module("uwsgidecorators")
    decorators.postfork(reseed)
except ImportError:
    uwsgi.post_fork_hook = reseed
