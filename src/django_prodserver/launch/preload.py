"""The preload: what forked processes share is imported before they are forked."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from django.db import connections

from django_prodserver.backends.application import describe
from django_prodserver.settings.findings import ConfigurationError, Finding
from django_prodserver.settings.names import SUPERVISOR, place_of

from .process import ResolvedProcess, importable_here


def preload(processes: Sequence[ResolvedProcess], modules: Sequence[str]) -> None:
    """Import what these processes need. Raises ConfigurationError for what cannot be imported."""
    findings = []
    if "default" in connections.settings:
        # Django imports it with the first query, which would cost half a MB in each process.
        import_module("django.db.models.sql.compiler")
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            message = f"names {module!r}, which cannot be imported: {describe(error)}."
            findings.append(Finding("PRELOAD", message, id="E011").within(SUPERVISOR))
    for process in importable_here(processes):
        try:
            process.backend.preload()
        except Exception as error:
            message = f"cannot be loaded: {describe(error)}."
            findings.append(Finding(place_of(process.name), message, id="E011"))
    if findings:
        raise ConfigurationError(findings)
