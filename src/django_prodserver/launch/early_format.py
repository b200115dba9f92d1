"""How the log will be written, as far as that can be told before Django is set up.

What the settings of all apps, and their checks, have to say comes before our command reads its own
settings properly. Whatever is wrong with those is told later, by the command.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from django.conf import settings

from django_prodserver.logs.formats import Format
from django_prodserver.settings.convert import convert_text
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.names import SUPERVISOR
from django_prodserver.settings.schema import SupervisorSettings
from django_prodserver.settings.variables import Variable

from .log_settings import log_settings
from .words import parsed, supervises


def early_format(words: Sequence[str]) -> Optional[Format]:
    """The format for what is written before the log begins, by the words after `prodserver`.

    None if it stays as it is written: without a supervisor, or for people to read.
    """
    # What most starts need not wait for.
    if "json" not in str([words, os.environ.get(str(_FORMAT)), _given().get(_FORMAT.key)]):
        return None
    options = parsed(words)
    if options is None or not supervises(options):
        return None
    values = {
        variable.field: _value(variable, getattr(options, variable.field))
        for variable in (_FORMAT, _TIMESTAMPS)
    }
    known = SupervisorSettings(**{key: one for key, one in values.items() if one is not None})
    format = log_settings(known).format_for((), 1)
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
