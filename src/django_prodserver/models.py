"""The model of the admin page: it has permissions, but no table and no rows."""

from __future__ import annotations

from django.apps import apps

if apps.is_installed("django.contrib.admin"):
    from django.db import models

    class NoRows(models.Manager["Process"]):
        """Returns no rows instead of querying the missing table; `dumpdata` queries all models."""

        def get_queryset(self) -> models.QuerySet[Process]:
            return super().get_queryset().none()

    class Process(models.Model):
        """A process or an instance, by its name."""

        name: models.CharField[str, str] = models.CharField(max_length=255, primary_key=True)

        objects = NoRows()

        class Meta:
            managed = False
            base_manager_name = "objects"
            default_permissions = ("view",)
            permissions = (("control", "Can restart, start and stop processes"),)
            verbose_name_plural = "processes"

        def __str__(self) -> str:
            return self.name
