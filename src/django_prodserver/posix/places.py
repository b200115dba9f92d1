"""Where code is installed: Python, other packages, and this package."""

from __future__ import annotations

import os

import django_prodserver

OURS = os.path.dirname(os.path.abspath(django_prodserver.__file__))
STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))
# The names of folders of installed packages; the second is Debian's.
PACKAGES = frozenset({"site-packages", "dist-packages"})


def is_below(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def is_installed(path: str) -> bool:
    return not PACKAGES.isdisjoint(path.split(os.sep))


def is_standard(path: str) -> bool:
    """Whether it belongs to Python itself: packages may be installed below the standard library."""
    return is_below(path, STANDARD_LIBRARY) and not is_installed(path)
