"""The model behind the page is for permissions; a project notices nothing else of it."""

from __future__ import annotations

import subprocess
import sys

from .conftest import AdminSite

WITHOUT_ADMIN = """
import sys
from django.conf import settings

settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", *{}])
import django

django.setup()
from django.apps import apps

print(*(model._meta.label for model in apps.get_models()))
print(*sorted(sys.modules))
"""


def test_the_model_has_no_table_and_needs_no_migration(admin_site: AdminSite) -> None:
    admin_site.command("makemigrations", "--check")

    tables = admin_site.command("inspectdb")
    assert "class AuthPermission(" in tables
    assert "process" not in tables.lower()


def test_dumpdata_exports_no_rows_of_the_model(admin_site: AdminSite) -> None:
    for options in ([], ["--all"]):
        dumped = admin_site.command("dumpdata", *options)
        assert '"auth.user"' in dumped
        assert '"django_prodserver.process"' not in dumped


def test_djangos_system_checks_report_no_issues_with_the_model(admin_site: AdminSite) -> None:
    said = admin_site.command(
        "check", "--database", "default", "--fail-level", "WARNING", "--tag=models", "--tag=admin"
    )

    assert said == "System check identified no issues (0 silenced)."


def test_a_project_without_the_admin_loads_neither_the_model_nor_the_page() -> None:
    models, modules = loaded(["django_prodserver"])

    assert "Process" not in models
    assert [name for name in modules if name.startswith("django.contrib.admin")] == []
    assert "django_prodserver.admin" not in modules


def test_a_project_with_the_admin_loads_the_model_and_the_page() -> None:
    models, modules = loaded(["django_prodserver", "django.contrib.admin"])

    assert "django_prodserver.Process" in models.split()
    assert "django_prodserver.admin" in modules


def test_setting_up_the_admin_does_not_import_the_control_client() -> None:
    """In a worker, for example; with the admin, Django imports the pages themselves everywhere."""
    _, modules = loaded(["django_prodserver", "django.contrib.admin"])

    assert "django_prodserver.posix.control.client" not in modules
    assert "django_prodserver.admin.supervised" not in modules


def loaded(apps: list[str]) -> tuple[str, list[str]]:
    """Return the models and modules that are loaded once Django is set up with these apps."""
    program = WITHOUT_ADMIN.format(apps)
    command = [sys.executable, "-W", "error", "-c", program]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    models, modules = said.splitlines()
    return models, modules.split()
