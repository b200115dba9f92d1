"""The log settings of PRODUCTION_SUPERVISOR."""

from __future__ import annotations

from django_prodserver.posix.log_formats import LogSettings
from django_prodserver.settings.schema import SupervisorSettings


def log_settings(settings: SupervisorSettings) -> LogSettings:
    return LogSettings(
        format=settings.log_format,
        timestamps=settings.timestamps,
        color=settings.color,
        stderr=settings.stderr,
        max_line=settings.max_line,
    )
