"""A program with Python patched by a library of greenlets, before anything else is imported.

    python -m django_prodserver.posix.patched gevent manage.py prodserver jobs

Code that was imported before would go on with what it took from the unpatched modules.
"""

from __future__ import annotations

import sys


def patch(library: str) -> None:
    """Patch Python by this library, "gevent" or "eventlet". Raises ImportError if it is missing."""
    if library == "eventlet":
        import eventlet

        eventlet.monkey_patch()
        return
    import gevent.monkey

    gevent.monkey.patch_all()


def is_patched(library: str) -> bool:
    """Whether that has happened here, by us or by the project's own manage.py."""
    if library == "eventlet":
        patcher = sys.modules.get("eventlet.patcher")
        return patcher is not None and bool(patcher.is_monkey_patched("socket"))
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def main(library: str, *words: str) -> None:
    """Run the program of these words: a file of Python, or "-m" and a module."""
    patch(library)
    from .interpreter import run_here

    run_here(words)


if __name__ == "__main__":
    main(*sys.argv[1:])
