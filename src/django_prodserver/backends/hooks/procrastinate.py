"""procrastinate's worker with our hook; imports procrastinate when called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django_prodserver.posix import notify


def preload() -> None:
    for name in ("psycopg_connector", "worker"):
        import_module(f"procrastinate.{name}")
    import_module("procrastinate.contrib.django").app.perform_import_paths()


def announce() -> None:
    """Send READY=1 when the database has answered the first query for a job: there is no hook."""
    manager: Any = import_module("procrastinate.manager").JobManager
    fetch_job = manager.fetch_job

    async def fetch_first_job(*args: Any, **kwargs: Any) -> Any:
        job = await fetch_job(*args, **kwargs)
        manager.fetch_job = fetch_job
        notify.notify()
        return job

    manager.fetch_job = fetch_first_job
