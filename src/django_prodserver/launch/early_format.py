"""How the log will be written, as far as that can be told before Django is set up.

What the settings of all apps, and their checks, have to say comes before our command reads its own
settings properly. Whatever is wrong with those is told later, by the command.
"""

from __future__ import annotations

import os
from argparse import ArgumentError, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Optional

from django.conf import settings

from django_prodserver.logs.formats import Format
from django_prodserver.settings.convert import convert_text
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import SUPERVISOR
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.settings.variables import Variable

from .log_formats import format_of

# Of `prodserver`, and of every management command: those that take a value, and those that print
# something instead of running the processes.
WITH_VALUE = ("--stop-timeout", "--start-method", "--color", "--settings", "--pythonpath")
INSTEAD = (
    *("--list", "--json", "--procfile", "--check", "--dry-run", "--schema", "--init"),
    *("--completion", "--version", "--help", "-h"),
)


def early_format(words: Sequence[str]) -> Optional[Format]:
    """The format for what is written before the log begins, by the words after `prodserver`.

    None if it stays as it is written: without a supervisor, or for people to read.
    """
    # What most starts need not wait for.
    if "json" not in str([words, os.environ.get(str(_FORMAT)), _given().get(_FORMAT.key)]):
        return None
    options = _parsed(words)
    if options is None or not (options.all or len(options.names) > 1 or "=" in str(options.names)):
        return None
    values = {
        variable.field: _value(variable, getattr(options, variable.field))
        for variable in (_FORMAT, _TIMESTAMPS)
    }
    known = SupervisorSettings(**{key: one for key, one in values.items() if one is not None})
    format = format_of(known, (), 1)
    return format if format.for_machines else None


_FORMAT, _TIMESTAMPS = Variable(None, "LOG_FORMAT"), Variable(None, "TIMESTAMPS")


def _given() -> Mapping[str, Any]:
    given = getattr(settings, SUPERVISOR, None)
    return given if isinstance(given, Mapping) else {}


def _value(variable: Variable, option: Any) -> Any:
    """What an option, a variable or the setting says, in this order; None where nothing does."""
    if option is not None:
        return option
    ignored: list[Finding] = []
    text = os.environ.get(str(variable))
    if text:
        return convert_text(str(variable), text, variable.type, ignored)
    return _given().get(variable.key)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(None, message)


def _parsed(words: Sequence[str]) -> Optional[Namespace]:
    """The options that matter here; None where nothing will be run."""
    parser = _Parser(add_help=False)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--log-format")
    parser.add_argument("--timestamps", action=BooleanOptionalAction, default=None)
    parser.add_argument("--except", nargs="+", action="extend")
    parser.add_argument("-v", "--verbosity")
    for option in WITH_VALUE:
        parser.add_argument(option)
    end = words.index("--") if "--" in words else len(words)
    try:
        options, others = parser.parse_known_args(words[:end])
    except ArgumentError:
        return None
    return None if set(others) & set(INSTEAD) else options
