"""A query that returns its token."""

from __future__ import annotations

from django.db import connection


def answer(token):
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [token])
        return cursor.fetchone()[0]
