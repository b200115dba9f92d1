"""The preload: what forked processes share is imported before they are forked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module

from django.db import connections

from django_prodserver.settings.names import SUPERVISOR, place_of

from .process import ResolvedProcess, importable_here
from .project import Say, failure_of, nobody_hears, refuse


def preload(
    processes: Sequence[ResolvedProcess], modules: Sequence[str], warn: Say = nobody_hears
) -> None:
    """Import what these processes need. Raises ConfigurationError for what cannot be imported.

    What fails because a database or a broker does not answer is a warning.
    """
    findings = []
    if "default" in connections.settings:
        # Django imports it with the first query, which would cost half a MB in each process.
        import_module("django.db.models.sql.compiler")
    for module in modules:
        what = f"names {module!r}, which cannot be imported"
        found = failure_of(partial(import_module, module), "PRELOAD", what, "E011")
        findings += [finding.within(SUPERVISOR) for finding in found]
    for process in importable_here(processes):
        place, what = place_of(process.name), "cannot be loaded"
        # Created by `resolve`, which has told what is wrong with that.
        findings += failure_of(process.backend.preload, place, what, "E011")
    refuse(findings, warn)
