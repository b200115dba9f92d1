"""What can be imported before a change of the code is known; see `posix.template.warm`."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType

from django_prodserver.posix.interpreter import own_words, python
from django_prodserver.posix.template import warm
from django_prodserver.settings.errors import INSTALLED, STANDARD_LIBRARY

DJANGO, OURS = "django", "django_prodserver"
# Where they are imported, there have to be settings, and applications.
LATER = ("django.contrib", *(f"{OURS}.{name}" for name in ("admin", "apps", "models")))
# Who patches Python has to be the first that imports anything.
PATCHES = ("gevent.monkey", "eventlet.patcher", "ddtrace")


def tell(request: object) -> bytes:
    """The command of an interpreter that imports them, and their names; or nothing of both."""
    modules = [] if any(one in sys.modules for one in PATCHES) else list(warmed(sys.modules))
    argv = python(["-m", warm.__name__, *own_words(sys.argv[1:])]) if modules else []
    return marshal.dumps((argv, modules))


def warmed(modules: Mapping[str, ModuleType]) -> Iterator[str]:
    """Those of these that are installed and do not depend on the settings, in their order.

    They are the standard library, Django without its applications, this package, and packages of
    which no module has anything of Django.
    """
    dependent = {package(name) for name, one in modules.items() if _has_of_django(one)}
    dependent -= {DJANGO, OURS}
    for name, one in list(modules.items()):
        later = any(name == other or name.startswith(f"{other}.") for other in LATER)
        if not later and package(name) not in dependent and _is_installed(name, one):
            yield name


def package(name: str) -> str:
    return name.partition(".")[0]


def _is_installed(name: str, module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    # Others were made by a program, or have another name.
    if spec is None or spec.name != name:
        return False
    if spec.origin in ("built-in", "frozen"):
        return True
    origin = spec.origin or ""
    return bool(INSTALLED & set(origin.split(os.sep))) or origin.startswith(
        STANDARD_LIBRARY + os.sep
    )


def _has_of_django(module: ModuleType) -> bool:
    for value in list(getattr(module, "__dict__", {}).values()):
        kind = type(value)
        if issubclass(kind, ModuleType):
            name = value.__name__
        elif issubclass(kind, (type, FunctionType)):
            name = value.__module__
        else:
            name = kind.__module__
        if isinstance(name, str) and package(name) == DJANGO:
            return True
    return False
