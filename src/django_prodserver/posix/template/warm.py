"""An interpreter started ahead of a reload, in development, so that the project loads sooner.

    python -m django_prodserver.posix.template.warm manage.py devserver --all

It imports the modules of installed packages that the last load imported, then waits, and runs the
program in its arguments once the code has changed. Until then it imports no project code and does
not read the settings: a module that needs them fails here, and the program imports it later. If
project code was imported after all, or a package was installed meanwhile, it executes the program
in a fresh interpreter instead.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

from django_prodserver.posix.interpreter import python, replace_program, run_here
from django_prodserver.posix.places import PACKAGES, is_installed, is_standard

from .order import inherited

SETTINGS = "DJANGO_SETTINGS_MODULE"


def main(*words: str) -> None:
    order = inherited()
    assert order is not None, "a supervisor starts it"
    modules = order.modules
    before = _changed()
    only_installed = _import(modules)
    order.wait()
    if only_installed and _changed() == before:
        run_here(words)
    else:
        order.leave_to_another()
        replace_program(python(words))


def _import(modules: Iterable[str]) -> bool:
    """Import these where possible; False if that imported project code or read the settings."""
    before = [*sys.modules.values()]
    settings = os.environ.pop(SETTINGS, None)
    # Collection stays off until the project is loaded: see `launch.supervise`.
    gc.disable()
    # Python has put the project's folder first, unless `safe_path` is set.
    here = [] if getattr(sys.flags, "safe_path", False) else [sys.path.pop(0)]
    for name in modules:
        with suppress(Exception):
            import_module(name)
    sys.path[:0] = here
    if settings is not None:
        os.environ[SETTINGS] = settings
    django = sys.modules.get("django.conf")
    configured = django is not None and bool(django.settings.configured)
    new = (one for one in sys.modules.values() if one not in before)
    return not configured and all(map(_is_of_others, new))


def _is_of_others(module: object) -> bool:
    """Whether a module has no file, or belongs to Python or to an installed package."""
    file = getattr(module, "__file__", None)
    return not file or is_standard(file) or is_installed(file)


def _changed() -> dict[str, int]:
    """When a package was last installed or removed, by folder, in nanoseconds."""
    folders = [one for one in sys.path if os.path.basename(one) in PACKAGES]
    return {folder: os.stat(folder).st_mtime_ns for folder in folders if os.path.isdir(folder)}


if __name__ == "__main__":
    main(*sys.argv[1:])
