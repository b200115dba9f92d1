"""Run a program in a Python that a greenlet library patches before anything else is imported.

    python -m django_prodserver.posix.patched gevent manage.py prodserver jobs

Code that was imported earlier would keep using what it took from the unpatched modules.
"""

from __future__ import annotations

import sys


def patch(library: str) -> None:
    """Patch Python with "gevent" or "eventlet". Raises ImportError if the library is missing."""
    if library == "eventlet":
        import eventlet

        eventlet.monkey_patch()
        return
    import gevent.monkey

    gevent.monkey.patch_all()


def is_patched(library: str) -> bool:
    """Whether this library has patched this process, through us or the project's own manage.py."""
    if library == "eventlet":
        patcher = sys.modules.get("eventlet.patcher")
        return patcher is not None and bool(patcher.is_monkey_patched("socket"))
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def main(library: str, *words: str) -> None:
    """Patch Python, and run the program in `words`: a Python file, or "-m" and a module."""
    patch(library)
    from .interpreter import run_here

    run_here(words)


if __name__ == "__main__":
    main(*sys.argv[1:])
