"""The preload: import what processes share before they are forked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Callable

from django.db import connections

from django_prodserver.settings.findings import Finding, refuse
from django_prodserver.settings.names import SUPERVISOR, place_of

from .process import ResolvedProcess, importable_here
from .project import failure_of


def preload(
    processes: Sequence[ResolvedProcess],
    modules: Sequence[str],
    advise: Callable[[Finding], object] = lambda finding: None,
) -> None:
    """Import what these processes need. Raises ConfigurationError for what cannot be imported.

    `advise` gets the findings about a database or a broker that does not answer.
    """
    findings = []
    if "default" in connections.settings:
        # Django imports this at the first query, which would cost half a MB in each process.
        import_module("django.db.models.sql.compiler")
    for module in modules:
        what = f"names {module!r}, which cannot be imported"
        found = failure_of(partial(import_module, module), "PRELOAD", what, "E011")
        findings += [finding.within(SUPERVISOR) for finding in found]
    for process in importable_here(processes):
        place, what = place_of(process.name), "cannot be loaded"
        # `resolve` created the backend, and reported any error in that.
        findings += failure_of(process.backend.preload, place, what, "E011")
    refuse(findings)
    for finding in findings:
        advise(finding)
