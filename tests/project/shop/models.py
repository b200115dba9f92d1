from __future__ import annotations

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import models

# With its first use it reads which files there are.
URL_OF_FILES = staticfiles_storage.base_url


class Task(models.Model):
    """A periodic one, as django-celery-beat keeps them."""

    name = models.CharField(max_length=50)

    class Meta:
        # While this is imported, Django translates what it would say.
        constraints = (models.UniqueConstraint("name", name="names_are_unique"),)

    def __str__(self) -> str:
        return self.name
