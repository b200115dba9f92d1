"""An interpreter that is started ahead of a reload, in development: it loads the project sooner.

    python -m django_prodserver.posix.template.warm manage.py devserver --all

It imports what the last load of the project has imported from installed packages, then waits, and
runs the program of these words once the code has changed. Before that it imports nothing of the
project, nor does it read the settings: what needs them fails, and is imported in its turn. Where
more has been imported, or a package was installed meanwhile, the program is executed instead, and
finds nothing of this.
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
    """Import these as far as they can be; False if anything has come with them of the project."""
    before = [*sys.modules.values()]
    settings = os.environ.pop(SETTINGS, None)
    # It stays off until the project is loaded: see `launch.supervise`.
    gc.disable()
    # The folder of the project, if Python has put it there.
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
    """Whether it has no file, or one of Python or of an installed package."""
    file = getattr(module, "__file__", None)
    return not file or is_standard(file) or is_installed(file)


def _changed() -> dict[str, int]:
    """When a package was installed or removed for the last time, in each folder of them."""
    folders = [one for one in sys.path if os.path.basename(one) in PACKAGES]
    return {folder: os.stat(folder).st_mtime_ns for folder in folders if os.path.isdir(folder)}


if __name__ == "__main__":
    main(*sys.argv[1:])
