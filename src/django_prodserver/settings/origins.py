"""The origin of each value that a variable can override, for `--check --verbosity 2`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.conf import settings

from . import variables
from .configuration import Configuration
from .names import PROCESSES, SUPERVISOR
from .variables import Variable


def origins(
    configuration: Configuration,
    names: Iterable[str],
    options: Collection[str],
    environ: Mapping[str, str] = os.environ,
) -> Iterator[tuple[Variable, Any, str]]:
    """Each variable of these processes and of the supervisor, its effective value, and its origin.

    `options` are the keys that the command line sets.
    """
    entries = getattr(settings, PROCESSES)
    supervisor = getattr(settings, SUPERVISOR, {})
    for variable in variables.variables(names):
        name, key = variable
        effective: Any = configuration.supervisor if name is None else configuration.effective(name)
        own = supervisor if name is None else entries[name]
        inherits = name is not None and key in variables.SUPERVISOR_KEYS
        if name is None and key in options:
            origin = "command line"
        elif environ.get(str(variable)):
            origin = "environment"
        elif own.get(key) is not None:
            origin = "settings"
        else:
            origin = str(Variable(None, key)) if inherits else "default"
        yield variable, getattr(effective, variable.field), origin
