"""Run every production process of a Django project under one supervisor."""

from __future__ import annotations

__version__ = "0.1.0"
