"""Which modules can be imported ahead of a reload; see `posix.template.warm`."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType

from django_prodserver.posix.interpreter import own_words, python
from django_prodserver.posix.places import is_installed, is_standard
from django_prodserver.posix.template import warm

DJANGO = "django"
# These packages need the settings when they are imported.
APPLICATIONS = "django.contrib"
# These patch Python, which has to happen before any other import.
PATCHES = ("gevent.monkey", "eventlet.patcher", "ddtrace")


def describe_warm_up(everything: bool) -> bytes:
    """The task: the command of an interpreter that imports modules ahead, and their names.

    Both are empty if there is nothing to import ahead.
    """
    patched = any(one in sys.modules for one in PATCHES)
    modules = [] if patched else list(warmed(sys.modules, everything))
    argv = python(["-m", warm.__name__, *own_words(sys.argv[1:])]) if modules else []
    return marshal.dumps((argv, modules))


def warmed(modules: Mapping[str, ModuleType], everything: bool = True) -> Iterator[str]:
    """The names of the modules that do not depend on the project's code or settings, in order.

    These are the standard library, and Django without its applications. With `everything`, also
    installed packages that import nothing from Django: these may depend on variables that the
    project sets.
    """
    dependent = {package(name) for name, one in modules.items() if _has_of_django(one)}
    for name, one in list(modules.items()):
        origin = _origin(name, one)
        if package(name) == DJANGO:
            ahead = name != APPLICATIONS and not name.startswith(f"{APPLICATIONS}.")
        elif is_installed(origin):
            ahead = everything and package(name) not in dependent
        else:
            ahead = origin in ("built-in", "frozen") or is_standard(origin)
        if ahead and origin:
            yield name


def package(name: str) -> str:
    return name.partition(".")[0]


def _origin(name: str, module: ModuleType) -> str:
    """The origin of its spec: a file, or "built-in" or the like.

    "" if the module cannot be imported by this name.
    """
    spec = getattr(module, "__spec__", None)
    return (spec.origin or "") if spec is not None and spec.name == name else ""


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
