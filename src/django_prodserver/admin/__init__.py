"""The page "Processes" of Django's admin, which imports this module if it is installed."""

from __future__ import annotations

from django.contrib import admin

from django_prodserver.models import Process

from .pages import ProcessAdmin

__all__ = ["ProcessAdmin"]

admin.site.register(Process, ProcessAdmin)
