"""Find and watch the files of the project's code; an errand for `posix.watching`.

The code is every module that is imported here, and every other module in or below the same
packages, because a view or a worker may import it later. It excludes tests, and modules outside of
packages that are not imported, such as scripts.
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
from django_prodserver.posix.watching import SEPARATOR

from .start_method import age

# In milliseconds: changes within BATCH are one batch, which ends early if no change follows within
# QUIET. Editors write a file in two or three steps.
BATCH, QUIET = 100, 20
# In milliseconds: how often to look for changes if the kernel reports none. On some file systems,
# such as those of a network, it never does.
LOOK_EVERY = 1000

TEST = re.compile(r"(test_.*|.*_tests?|tests?|conftest)(\.py)?")
# Translations are read once, like code.
TRANSLATIONS = ".mo"


class Code:
    """The code of the project, as far as these modules belong to it."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        # The files of the modules; and the folders of packages, which may contain more code.
        self.files: set[str] = set()
        self._packages: set[str] = set()
        for module in modules:
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and _is_own(file):
                self.files.add(os.path.realpath(file))
            self._packages.update(os.path.realpath(one) for one in _folders(module))

    @property
    def folders(self) -> list[str]:
        """The folders to watch, which contain all of the code. None is below another one."""
        found: list[str] = []
        for folder in sorted({*self._packages, *map(os.path.dirname, self.files)}):
            if os.path.isdir(folder) and not (found and is_below(folder, found[-1])):
                found.append(folder)
        return found

    def has(self, path: str) -> bool:
        """Whether this file is part of the code, judging by its path."""
        path = os.path.realpath(path)
        if path in self.files or path.endswith(TRANSLATIONS):
            return True
        for package in self._packages:
            if path.endswith(".py") and is_below(path, package):
                return not any(map(TEST.fullmatch, os.path.relpath(path, package).split(os.sep)))
        return False

    def changed_since(self, moment: float, *, everywhere: bool = False) -> list[str]:
        """The imported modules whose files were written after `moment`, in seconds since 1970.

        With `everywhere`, all files of the code, imported or not.
        """
        found, now = [], time.time()
        for file in sorted(self._all_files() if everywhere else self.files):
            with suppress(OSError):
                # Ignore times in the future, from a clock that is ahead: they would count as a
                # change again and again.
                if moment < os.stat(file).st_mtime <= now:
                    found.append(file)
        return found

    def _all_files(self) -> set[str]:
        walked = (one for package in self._packages for one in os.walk(package))
        found = {os.path.join(folder, file) for folder, _, files in walked for file in files}
        return self.files | set(filter(self.has, found))


def watch(request: object) -> Iterator[bytes]:
    """The task: report changes until it is stopped, each batch as a line."""
    import watchfiles

    code = Code(list(sys.modules.values()))
    # The first time, also look for changes between the load of the code and now.
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
        yield from _line_of(paths)


def _line_of(paths: list[str]) -> Iterator[bytes]:
    if paths:
        names = [os.fsencode(_as_seen_from_here(path)).replace(b"\n", b"?") for path in paths]
        yield SEPARATOR.join(names) + b"\n"


def _as_seen_from_here(path: str) -> str:
    below = os.path.relpath(path)
    return path if below.startswith(os.pardir) else below


def _folders(module: ModuleType) -> list[str]:
    """The folders of a package of the project; empty for any other module."""
    try:
        return [one for one in getattr(module, "__path__", ()) if _is_own(one)]
    except Exception:  # sys.modules may contain anything.
        return []


def _is_own(path: str) -> bool:
    return not (is_installed(path) or is_below(path, OURS) or is_below(path, STANDARD_LIBRARY))
