"""Try the project's own code before the start: imports, checks, and functions to call later."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, Callable

from django.core.management.base import CommandError
from django.utils.module_loading import import_string

from django_prodserver.settings.errors import asks_to_stop, describe
from django_prodserver.settings.findings import Finding


def failure_of(
    call: Callable[[], object], place: str, what: str, id: str = "E009", anywhere: bool = False
) -> list[Finding]:
    """Call a function; an exception becomes a finding about `place`: `what` failed, and the error.

    SystemExit counts as an error, too, unless our signal handler raised it.
    """
    try:
        call()
    except CommandError:  # Django's system checks found errors.
        raise
    except (Exception, SystemExit) as error:
        if asks_to_stop(error):
            raise
        return [Finding(place, f"{what}: {describe(error, anywhere)}.", id=id, cause=error)]
    return []


def function_problems(
    path: str, place: str, says: str, hint: str, *arguments: object
) -> list[Finding]:
    """Import a function and check that it can be called with these arguments.

    `place` is the key that names it; `says` is "is" or "names", for the message.
    """
    what = f"{says} {path!r}, which"
    found = failure_of(partial(import_string, path), place, f"{what} cannot be imported", "E017")
    if found:
        return found
    wrong = _why_not(import_string(path), arguments)
    return [Finding(place, f"{what} {wrong}.", hint, "E017")] if wrong else []


def _why_not(function: Any, arguments: tuple[object, ...]) -> str:
    if not callable(function):
        return "cannot be called"
    if inspect.iscoroutinefunction(function):
        return "is asynchronous"
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        how = "with one argument" if arguments else "without arguments"
        return f"cannot be called {how} ({error})"
    except ValueError:
        return ""  # Functions written in C may have no signature.
    return ""
