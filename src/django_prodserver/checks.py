"""Django system checks of our settings, for `manage.py check`."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.core import checks
from django.core.signals import setting_changed

from django_prodserver.launch.resolve import examine
from django_prodserver.settings.findings import Finding
from django_prodserver.settings.load import read
from django_prodserver.supervisor.text import printable


def check_settings(**kwargs: Any) -> list[checks.CheckMessage]:
    """Return every finding that does not depend on the machine; see docs/reference/checks.md."""
    return [_message(finding) for finding in _findings()]


@cache
def _findings() -> list[Finding]:
    # Cached, because Celery runs the system checks again in each of its processes.
    configuration = read()
    # As with `--all`: the packages of a disabled process may be missing in this deployment.
    enabled = [name for name in configuration.processes if name not in configuration.disabled]
    _, findings = examine(configuration, enabled, starting=False)
    return findings


def _forget(**kwargs: Any) -> None:
    _findings.cache_clear()


setting_changed.connect(_forget)


def _message(finding: Finding) -> checks.CheckMessage:
    # Only a warning: development machines may lack the servers or the production settings.
    kind = checks.Warning if finding.warning or not finding.blocks else checks.Error
    return kind(finding.text, hint=printable(finding.hint) or None, id=finding.check_id)
