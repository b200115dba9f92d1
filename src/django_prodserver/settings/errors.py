"""Describe errors of the project's code in one line, with the place that raised them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from typing import Optional

from django.conf import settings

from django_prodserver.posix.places import OURS, is_below, is_installed, is_standard
from django_prodserver.supervisor.text import printable

# Names of exceptions, or of their base classes, raised when a remote service does not answer.
UNREACHABLE = {
    *("OperationalError", "InterfaceError"),  # Of databases (PEP 249); Django and kombu, too.
    *("ConnectionError", "TimeoutError"),  # Python's own; those of Redis and of requests.
    *("ConnectionFailure", "gaierror", "timeout"),  # MongoDB; sockets, of Python 3.9 too.
}

# File and line.
Place = tuple[str, int]


def describe(error: BaseException, anywhere: bool = False) -> str:
    """The error in one line, without a full stop: `KeyError: 'customer' (shop/prices.py, line 12)`.

    The place is the innermost frame of the project's own code, in the error or in one of its
    causes. Failing that, it is the innermost frame of another package, if the error was raised
    during an import or `anywhere` is set. Otherwise there is no place: then the software just
    rejected a setting.
    """
    said = _text(error)
    for one in _chain(error):
        place = _own_place(one)
        if place is not None:
            via = "" if one is error else f", caused by {_text(one)}"
            return f"{said}{via} {_written(place)}"
    place = _foreign_place(error, anywhere)
    return said if place is None else f"{said} {_written(place)}"


def unreachable(error: Optional[BaseException]) -> bool:
    """Whether the cause is a database, a broker or the like that does not answer.

    Then the project may be fine: the service may answer once the processes are started.
    """
    chain = [] if error is None else _chain(error)
    return any(UNREACHABLE & {cls.__name__ for cls in type(one).__mro__} for one in chain)


def asks_to_stop(error: BaseException) -> bool:
    """Whether it is the SystemExit that our signal handler raises, not one from the project."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, SystemExit) and bool(frames) and _is_ours(frames[-1].filename)


def trace(error: BaseException) -> str:
    """The whole traceback with its causes."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _text(error: BaseException) -> str:
    """The error in one line. gunicorn puts whole tracebacks into messages: keep their last line."""
    try:
        said = str(error.msg if isinstance(error, SyntaxError) else error)
    except Exception as failure:
        said = f"its message is not available: {type(failure).__name__}"
    before, trace, after = said.partition("Traceback (most recent call last):")
    lines = [line for line in after.splitlines() if line.strip(" ]")]
    text = f"{before.rstrip('[ ')}{lines[-1]}" if trace and lines else said
    return printable(f"{type(error).__name__}: {' '.join(text.split())}").rstrip(": .")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause, the cause of that, and so on."""
    seen: set[int] = set()
    one: Optional[BaseException] = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _own_place(error: BaseException) -> Optional[Place]:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    own = [(file, line) for file, line, module, _ in _frames(error) if _is_own(file, module)]
    return own[-1] if own else None


def _foreign_place(error: BaseException, anywhere: bool) -> Optional[Place]:
    frames = list(_frames(error))
    imports = any(function == "<module>" for _, _, _, function in frames)
    return frames[-1][:2] if frames and (imports or anywhere) else None


def _frames(error: BaseException) -> Iterator[tuple[str, int, str, str]]:
    """File, line, module and function of each frame outside Python and us, outermost first."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))
        if file.startswith("<") or _is_ours(file):
            continue
        if not is_standard(os.path.abspath(file)):
            yield file, line, module, frame.f_code.co_name


def _is_own(file: str, module: str) -> bool:
    """Whether this is code of the project, which may itself be installed as a package."""
    if not is_installed(file):
        return True
    named = (os.environ.get("DJANGO_SETTINGS_MODULE"), getattr(settings, "ROOT_URLCONF", None))
    return module.partition(".")[0] in {str(name).partition(".")[0] for name in named if name}


def _is_ours(file: str) -> bool:
    return is_below(os.path.abspath(file), OURS)


def _written(place: Place) -> str:
    file, line = place
    below = os.path.relpath(file)
    return f"({file if below.startswith(os.pardir) else below}, line {line})"
