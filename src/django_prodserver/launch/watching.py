"""What the code of a project is, and when it changes; `posix.watching` asks for this.

A file of the code is a module that is imported here; or one beside such modules, in a package or in
a folder of it, because a view or a worker may import that later. Tests are not, nor is what lies
outside of packages: scripts, and management commands that no process runs.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import ModuleType

from django_prodserver.posix.places import OURS, STANDARD_LIBRARY, is_below, is_installed
from django_prodserver.posix.watching import BETWEEN

from .start_method import age

# In milliseconds: changes that come within the first are one batch, and one that nothing follows
# within the second is told at once. Editors write a file in two or three steps.
BATCH, QUIET = 100, 20
# Without changes; where the kernel does not tell of them, as in a network's folder.
LOOK_EVERY = 1000

TEST = re.compile(r"(test_.*|.*_tests?|tests?|conftest)(\.py)?")
# They are read once, like code.
TRANSLATIONS = ".mo"


class Code:
    """The code of the project, as far as these modules belong to it."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        # The files of the modules; and the folders of packages, below which code may be.
        self.files: set[str] = set()
        self._packages: set[str] = set()
        for module in modules:
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and _is_own(file):
                self.files.add(os.path.realpath(file))
            self._packages.update(os.path.realpath(one) for one in _folders(module))

    @property
    def folders(self) -> list[str]:
        """Where all of it lies, and what may be added to it: none is below another one."""
        found: list[str] = []
        for folder in sorted({*self._packages, *map(os.path.dirname, self.files)}):
            if os.path.isdir(folder) and not (found and is_below(folder, found[-1])):
                found.append(folder)
        return found

    def has(self, path: str) -> bool:
        """Whether a process may run this file, as far as its name tells."""
        path = os.path.realpath(path)
        if path in self.files or path.endswith(TRANSLATIONS):
            return True
        for package in self._packages:
            if path.endswith(".py") and is_below(path, package):
                return not any(map(TEST.fullmatch, os.path.relpath(path, package).split(os.sep)))
        return False

    def changed_since(self, moment: float, *, everywhere: bool = False) -> list[str]:
        """The modules that have been written since then, in seconds since 1970.

        Or `everywhere` all files of the code, imported or not.
        """
        found, now = [], time.time()
        for file in sorted(self._all_files() if everywhere else self.files):
            with suppress(OSError):
                # Not by a clock that is ahead of this one: that would not be over.
                if moment < os.stat(file).st_mtime <= now:
                    found.append(file)
        return found

    def _all_files(self) -> set[str]:
        walked = (one for package in self._packages for one in os.walk(package))
        found = {os.path.join(folder, file) for folder, _, files in walked for file in files}
        return self.files | set(filter(self.has, found))


def watch(request: object) -> Iterator[bytes]:
    """Tell of changes as long as it runs, each batch in a line."""
    import watchfiles

    code = Code(list(sys.modules.values()))
    # What has been written since the code was loaded has not been watched here.
    seen_until, everywhere = time.time() - age(), True
    for batch in watchfiles.watch(
        *code.folders,
        watch_filter=lambda change, path: code.has(path),
        debounce=BATCH,
        step=QUIET,
        rust_timeout=LOOK_EVERY,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        paths = sorted({path for _, path in batch})
        paths = paths or code.changed_since(seen_until, everywhere=everywhere)
        seen_until, everywhere = time.time(), False
        yield from _told(paths)


def _told(paths: list[str]) -> Iterator[bytes]:
    if paths:
        names = [os.fsencode(_as_seen_from_here(path)).replace(b"\n", b"?") for path in paths]
        yield BETWEEN.join(names) + b"\n"


def _as_seen_from_here(path: str) -> str:
    below = os.path.relpath(path)
    return path if below.startswith(os.pardir) else below


def _folders(module: ModuleType) -> list[str]:
    """Those of a package of the project."""
    try:
        return [one for one in getattr(module, "__path__", ()) if _is_own(one)]
    except Exception:  # Anything may be in sys.modules.
        return []


def _is_own(path: str) -> bool:
    return not (is_installed(path) or is_below(path, OURS) or is_below(path, STANDARD_LIBRARY))
