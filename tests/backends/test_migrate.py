"""The backend `migrate`, over the real databases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.running import Site
from tests.services import database

APPS = ["django.contrib.contenttypes"]


def over(postgresql: str) -> dict[str, Any]:
    given = {"INSTALLED_APPS": APPS, "DATABASES": {"default": database(postgresql)}}
    return {"SETTINGS": given}


def migrate(**entry: Any) -> dict[str, Any]:
    return {"migrate": {"BACKEND": "migrate", **entry}}


def connected(postgresql: str) -> Any:
    psycopg: Any = pytest.importorskip("psycopg")
    return psycopg.connect(postgresql)


def test_migrate_is_a_oneshot_by_default(site: Site) -> None:
    run = site(migrate(), "--list", "--json")

    assert run.end() == 0
    ((listed,)) = json.loads("\n".join(run.raw))
    assert (listed["name"], listed["type"]) == ("migrate", "oneshot")


def test_migrate_started_by_name_runs_under_a_supervisor(site: Site, postgresql: str) -> None:
    run = site(migrate(), "migrate", "--no-timestamps", supervisor=over(postgresql))

    assert run.end() == 0
    assert any("contenttypes.0001_initial... OK" in line for line in run.said("migrate.1"))
    assert "all 1 finished" in "\n".join(run.said("system"))


def test_migrate_started_by_name_without_a_lock_has_no_supervisor(
    site: Site, postgresql: str
) -> None:
    run = site(migrate(LOCK=None), "migrate", supervisor=over(postgresql))

    assert run.end() == 0
    assert run.said("system") == []


def test_args_are_passed_to_the_migrate_command(site: Site, postgresql: str) -> None:
    entry = migrate(ARGS={"fake": True, "verbosity": 2})
    run = site(entry, supervisor=over(postgresql))

    assert run.end() == 0
    assert any("contenttypes.0001_initial... FAKED" in line for line in run.said("migrate.1"))


def test_a_migration_that_gets_no_database_lock_in_time_is_retried(
    site: Site, postgresql: str
) -> None:
    first = site(migrate(ARGS=["contenttypes", "0001"]), supervisor=over(postgresql))
    assert first.end() == 0
    with connected(postgresql) as reader:
        reader.execute("LOCK TABLE django_content_type IN ACCESS SHARE MODE")
        run = site(migrate(ARGS={"lock-timeout": "50ms"}), supervisor=over(postgresql))
        run.wait_for("migrate.1", "migrate got no lock within 50ms; trying again in 1 s")
        # It no longer waits for the lock, and blocks no query behind it.
        with connected(postgresql) as another:
            another.execute("SELECT 1 FROM django_content_type")

    assert run.end() == 0
    assert any(
        "contenttypes.0002_remove_content_type_name... OK" in line for line in run.said("migrate.1")
    )


def test_a_migration_that_fails_for_another_reason_is_not_retried(site: Site) -> None:
    nowhere = "postgresql://tests@127.0.0.1:1/tests"
    run = site(migrate(LOCK=None), "migrate=1", supervisor=over(nowhere))

    assert run.end() == 1
    assert "trying again" not in run.stderr + "\n".join(run.raw)


def test_check_shows_the_migrations_to_apply(site: Site, postgresql: str) -> None:
    before = site(migrate(), "--check", supervisor=over(postgresql))
    assert before.end() == 0
    assert site(migrate(), supervisor=over(postgresql)).end() == 0
    after = site(migrate(), "--check", supervisor=over(postgresql))

    assert after.end() == 0
    (plan,) = [line for line in before.raw if line.startswith("migrate: ") and "apply" in line]
    assert "to apply: contenttypes.0001_initial, contenttypes.0002_" in plan
    assert "migrate: nothing to apply" in after.raw


def test_check_reports_an_unknown_plan_if_the_database_is_unreachable(site: Site) -> None:
    run = site(migrate(), "--check", supervisor=over("postgresql://tests@127.0.0.1:1/tests"))

    assert run.end() == 0
    assert any(line.startswith("migrate: not known: ") for line in run.raw)
