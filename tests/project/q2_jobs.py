"""Enqueue work for django-q2."""

from __future__ import annotations


def enqueue(*tasks):
    """Queue tasks: a dotted path, its arguments."""
    from django_q.tasks import async_task

    for function, *args in tasks:
        async_task(function, *args)
