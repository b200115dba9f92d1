"""`manage.py devserver`: Django's `runserver`, under a name that says what it is for."""

from __future__ import annotations

from django.core.management import ManagementUtility

# The one that this project has: staticfiles, Channels and others bring their own.
_Runserver = type(ManagementUtility().fetch_command("runserver"))


class Command(_Runserver):  # type: ignore[misc, valid-type]
    help = "Run the development server: `runserver`, under the name that says what it is for."
