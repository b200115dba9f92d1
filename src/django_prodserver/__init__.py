"""Run every production process of a Django project under one supervisor."""

from __future__ import annotations

# CalVer: no version of the other package of this name on PyPI (up to 3.x) satisfies `>=26`.
__version__ = "26.11.0"

DOCUMENTATION = "https://django-prodserver.example/"
