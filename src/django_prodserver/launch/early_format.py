"""Find out the log format before Django is set up.

The settings, the apps and their checks may write to the log before our command reads and validates
its own settings. Mistakes in those are ignored here: the command reports them later.
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
    """The format for output from before the log begins; `words` are those after `prodserver`.

    None if such output is left unchanged: without a supervisor, or in a format for people.
    """
    # A quick test first: most starts need nothing of what follows.
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
    """The value of the option, else of the variable, else of the setting, else None."""
    if option is not None:
        return option
    ignored: list[Finding] = []
    text = os.environ.get(str(variable))
    if text:
        return convert_text(str(variable), text, variable.type, ignored)
    return _given().get(variable.key)
