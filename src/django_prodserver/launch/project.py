"""The project's own code before the start: what it raises, and what cannot be called."""

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
    """Call it. What it raises is a finding: `place`, `what` went wrong, and the error.

    An end by `sys.exit` is an error like any other, but not the one that a signal asks for.
    """
    try:
        call()
    except CommandError:  # What Django's system checks have found.
        raise
    except (Exception, SystemExit) as error:
        if asks_to_stop(error):
            raise
        return [Finding(place, f"{what}: {describe(error, anywhere)}.", id=id, cause=error)]
    return []


def function_problems(
    path: str, place: str, says: str, hint: str, *arguments: object
) -> list[Finding]:
    """Why a function cannot be called with these arguments. It is imported for that.

    `place` is the key that names it: it `is` this path, or `names` it.
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
        return ""  # Written in C: it does not say.
    return ""
