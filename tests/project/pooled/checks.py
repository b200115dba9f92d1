"""A system check that queries the database."""

from __future__ import annotations

from .database import answer


def check_database(**kwargs):
    answer("0")
    return []
