from __future__ import annotations

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import models

# On first use the storage reads which files exist.
URL_OF_FILES = staticfiles_storage.base_url


class Task(models.Model):
    """A periodic task, as django-celery-beat stores them."""

    name = models.CharField(max_length=50)

    class Meta:
        # On import, Django translates the constraint's error message.
        constraints = (models.UniqueConstraint("name", name="names_are_unique"),)

    def __str__(self) -> str:
        return self.name
